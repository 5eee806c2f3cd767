"""Several runs, one fleet: which run a device that checks in goes to first, and which next if that has no seat for it.

Decides: the order in which each device asks the open rounds that it fits: first one that kept a seat for it at its last
check-in; then by `select.priority`; among equals by the smallest exponential draw over `select.weight`, so that runs
share the devices that fit all of them by their weights; within a run its older round. The draw is made anew with each
round that a run opens, so that no run trains on the same part of the fleet for ever. Then who asks which round, if each
row is answered before the next one. Never: who fits, and what a round answers (admit).
That is found for all rows at once: those whom a round would turn away ask the next, until nobody moves. A round's
answer to a row depends on the rows that asked before it, and more of them never let one in that was turned away; so
whoever is turned away stays so, and the end is what one row after the other would have come to.
Source: deferred acceptance (Gale and Shapley 1962), where all seats rank the rows alike (serial dictatorship);
Efraimidis and Spirakis 2006 for the draw (strategies/weighted.py).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.rows import RunRow
from podium.core.selection.strategies.weighted import weighted_keys
from podium.tasks.task import Task

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_KEPT = 1e6
"""More than any priority, so that a seat that is kept comes first."""


def claim(run: RunRow, task: Task, devices: Numbers) -> Floats:
    """How late `run` comes for each of `devices` (int64): float64, same shape; the smallest of several is first."""
    weight = np.full(len(devices), task.select.weight)
    drawn = weighted_keys(uniform(task.run.seed, f"share/{run.id}/{run.rounds_opened}", devices), weight)
    return drawn / (1.0 + drawn) - task.select.priority


def turn(claims: Floats, fits: Mask, kept: Mask) -> Floats:
    """The order in which a round is asked: `claims` of its run, `_KEPT` sooner where `kept`, never where not `fits`."""
    return np.where(fits, claims - _KEPT * kept, np.inf)


def asking(turns: Floats, accepts: Callable[[int, Numbers], Mask]) -> Mask:
    """Who asks which round: bool of the shape of `turns`, (rounds, rows).

    `turns`: by round and row, inf where it does not fit; equal ones in the order of the rounds. `accepts(round, rows)`:
    which of `rows`, ascending, would get something there if just these asked; it changes nothing.
    """
    order = np.argsort(turns, axis=0, kind="stable")
    fits = np.count_nonzero(np.isfinite(turns), axis=0)
    rows = np.arange(turns.shape[1])
    asks: Mask = np.zeros(turns.shape, np.bool_)
    level = np.zeros(len(rows), np.int64)
    moving = np.flatnonzero(fits > 0)
    while len(moving):
        asks[order[level[moving], moving], moving] = True
        now = order[np.minimum(level, len(turns) - 1), rows]
        away = np.zeros(len(rows), np.bool_)
        for place in range(len(turns)):
            mine = np.flatnonzero(asks[place])
            refused = mine[~accepts(place, mine)]
            away[refused] |= (now[refused] == place) & (level[refused] < fits[refused])
        level[away] += 1
        moving = np.flatnonzero(away & (level < fits))
    return asks
