"""A day of a fleet in a small model: paced, cold and learned, against one window for all; and small fleets that meet.

The model is not the core: devices are awake by a threshold on a fourfold swing, come when their window is over or when
they wake, and are told what `windows` says.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from podium.core.fleet.columns import Fleet
from podium.core.pacing.arrivals import DAY_MS, QUARTER_MS, QUARTERS, Arrivals
from podium.core.pacing.pace import Pace
from podium.core.pacing.windows import PaceView, windows
from podium.wire.limits import Limits

Numbers = NDArray[np.int64]

DEVICES = 20_000
STEP_MS = 60_000
# twenty thousand stand for twenty million: the floor and the ceiling apply in full
LIMITS = Limits(checkins_easy_per_s_max=1)


def awake_share(at_ms: int, phase: float) -> float:
    """0.2 to 0.8, with a mean of 0.5."""
    return 0.5 * (1.0 + 0.6 * math.cos(2.0 * math.pi * (at_ms / DAY_MS - phase)))


class Plane:
    """What tells windows: the core's pacing, with so many devices enrolled."""

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self.pace, self.arrivals, self.fleet = Pace(LIMITS), Arrivals(), Fleet()
        self.fleet.size = DEVICES

    def come(self, devices: Numbers, at: Numbers) -> Numbers:
        """Devices (int64) check in at `at` (rising); their windows."""
        self.pace.observe(self.arrivals, self.fleet, at)
        told = windows(LIMITS, self.pace.view(self.fleet, self.seats, -1), devices, at)[1]
        self.pace.tell(self.fleet, devices, at, told)
        return told

    def until(self, at_ms: int) -> None:
        """A minute may be over."""
        if self.pace.due_ms <= at_ms:
            self.pace.look(self.arrivals, self.fleet, at_ms, self.seats)


class OneWindow(Plane):
    """The same window for all."""

    def come(self, devices: Numbers, at: Numbers) -> Numbers:
        return np.full(len(devices), 1_000_000)


def day_counts(plane: Plane, days: int, phase: float) -> NDArray[np.int64]:
    """Check-ins of each quarter hour, shape (days, 96), of a fleet whose most devices are awake at `phase` of a day."""
    threshold = np.random.default_rng(5).permutation(DEVICES) / DEVICES
    due = np.random.default_rng(6).integers(0, 1_000_000, DEVICES)
    counts = np.zeros(days * QUARTERS, np.int64)
    for start in range(0, days * DAY_MS, STEP_MS):
        here = np.flatnonzero((threshold < awake_share(start, phase)) & (due < start + STEP_MS))
        at = np.maximum(due[here], start)
        order = np.argsort(at, kind="stable")
        here, at = here[order], at[order]
        counts[start // QUARTER_MS] += len(here)
        plane.until(start)
        due[here] = at + plane.come(here, at)
    return counts.reshape(days, QUARTERS)


def peak_to_mean(counts: NDArray[np.int64]) -> float:
    return float(counts.max() / counts.mean())


def test_one_window_for_all_swings_as_the_devices_do() -> None:
    counts = day_counts(OneWindow(1), 2, 0.5)
    # 0.8 awake at most, 0.5 on the mean
    assert peak_to_mean(counts[1]) == pytest.approx(1.6, abs=0.06)


@pytest.mark.parametrize("seats", [1, 1_000], ids=["little wanted", "much wanted"])
@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75], ids=["most first", "rising", "least first", "falling"])
def test_a_paced_fleet_comes_at_one_rate_all_day(phase: float, seats: int) -> None:
    counts = day_counts(Plane(seats), 3, phase)
    # cold: from when the first two hours are over; before, all that were awake came at once
    assert peak_to_mean(counts[0, 8:]) <= 1.3
    assert peak_to_mean(counts[2]) <= 1.2
    if seats == 1_000:
        assert counts[2].sum() > 2 * counts[0].sum() or phase != 0.5, "once the day is known, more may be wanted of it"


def test_small_fleets_meet_and_form_in_their_first_window() -> None:
    devices = np.arange(200, dtype=np.int64)
    view = PaceView(awake=200, low=200, high=200, learned=False, seats=50)
    every = 200
    draws = np.random.default_rng(3)
    due, formed = draws.integers(0, 5_000, 200), 0
    for number in range(400):
        opened = 10_000 + 1_000 * number + int(draws.integers(0, 1_000))
        while due.min() < opened:
            early = due < opened
            due[early] += windows(LIMITS, view, devices[early], due[early])[1]
        # the fiftieth to come is there before the moment after the next would have been
        formed += int(np.sort(due)[49] <= opened + every + every // 50)
    assert formed >= 380, "95 % of 400 rounds"
