"""Which of several runs a device that checks in is for: by priority, and among equals by a weighted keyed draw.

Decides: for each device the one run that may nominate it or give it a seat now. One whose seat for a device was kept at
its last check-in goes on to have it; a run that turned it away then comes after those that did not; of the others the
highest `select.priority`, and among equals the smallest exponential draw over `select.weight`, so that runs share the
devices that fit all of them by their weights. The draw is made anew with each round that a run opens, so that no run
trains on the same part of the fleet for ever. Never: who fits (admit). It looks at what a device itself heard before,
and not at what others in its batch get, so it does not depend on batches: a device that finds its run full goes to the
next one at its next check-in.
Source: Efraimidis and Spirakis 2006 for the draw (strategies/weighted.py), of which the one smallest key is taken.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.selection.strategies.weighted import weighted_keys
from podium.tasks.task import Task

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Claim:
    """What one run may claim of some devices: columns of one length, an element a device."""

    def __init__(self, run: str, rounds_opened: int, task: Task, count: int) -> None:
        self.run, self.rounds_opened, self.task = run, rounds_opened, task
        self.fits: Mask = np.zeros(count, np.bool_)
        self.welcome: Mask = np.zeros(count, np.bool_)
        self.kept: Mask = np.zeros(count, np.bool_)

    def add(self, fits: Mask, turned_away: Mask, reserved: Mask) -> None:
        """One of its open rounds: who fits it, and what those heard of it at their last check-in."""
        self.fits |= fits
        self.welcome |= fits & ~turned_away
        self.kept |= fits & reserved


def claims(runs: list[Claim], devices: Numbers) -> NDArray[np.int64]:
    """For each of `devices` (int64) the place in `runs` of the run that it is for, -1 if it fits none."""
    whose: Numbers = np.full(len(devices), -1, np.int64)
    rank = np.full(len(devices), np.inf)
    for place, claim in enumerate(runs):
        select = claim.task.select
        label = f"share/{claim.run}/{claim.rounds_opened}"
        weight = np.full(len(devices), select.weight)
        drawn = weighted_keys(uniform(claim.task.run.seed, label, devices), weight)
        # grades far apart, the draw folded below 1 within one
        grade = np.where(claim.kept, 0.0, np.where(claim.welcome, 1.0, 2.0)) * 1e6 - select.priority
        key = np.where(claim.fits, grade + drawn / (1.0 + drawn), np.inf)
        better = key < rank
        whose[better], rank[better] = place, key[better]
    return whose
