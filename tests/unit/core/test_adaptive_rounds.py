"""Adaptive rounds against numbers derived by hand, and the normal approximation against the exact sum of chances."""

import numpy as np
import pytest
from numpy.typing import NDArray

from podium.core.pacing.adapt import (
    cohort_now,
    hope_ms,
    leases_for,
    outlook,
    replacement_pays,
    should_abort,
)
from podium.tasks.task import Abort, Ramp
from podium.wire.limits import Limits

LIMITS = Limits()


def levels(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def chance(rates: NDArray[np.float64], goal: int) -> float:
    """The chance that at least `goal` report, by convolution of each device's two outcomes."""
    reports = np.ones(1)
    for rate in rates:
        reports = np.convolve(reports, [rate, 1.0 - rate])
    return float(reports[goal:].sum())


def test_by_hand() -> None:
    # nobody is ever lost: the goal itself
    assert leases_for(LIMITS, 100, levels(0.0)) == 100
    # 0.9 n - 100 + 0.5 >= 0.8416 sqrt(0.09 n): at n = 113 2.2 < 2.68, at 114 3.1 >= 2.70
    assert leases_for(LIMITS, 100, levels(0.1)) == 114
    # bounded: half are lost, twice the goal is the most
    assert leases_for(LIMITS, 100, levels(0.5)) == 200
    assert leases_for(Limits(over_min=1.3), 100, levels(0.0)) == 130
    assert leases_for(LIMITS, 1, levels(0.0)) == 1
    # the devices chosen first count first: the lossy ones are not reached
    assert leases_for(LIMITS, 50, np.repeat(levels(0.0, 0.9), 50)) == 50


def test_near_the_exact_chance() -> None:
    draws = np.random.default_rng(8)
    met, off = 0, 0
    for _ in range(300):
        goal = int(draws.integers(2, 60))
        rates = draws.uniform(0.0, 0.35, int(goal * 2)).astype(np.float32)
        wanted = leases_for(Limits(over_max=2.0), goal, rates)
        exact = rates.astype(np.float64)
        fewest = next((n for n in range(goal, 2 * goal + 1) if chance(exact[:n], goal) >= 0.8), 2 * goal)
        met += wanted == fewest
        off = max(off, abs(wanted - fewest))
    assert off <= 1
    assert met >= 270


def test_waiting_is_never_longer_than_promised() -> None:
    assert hope_ms(300_000, levels(40_000, 60_000)) == 90_000
    assert hope_ms(300_000, levels(40_000, 900_000)) == 300_000
    assert hope_ms(300_000, levels(40_000, float("nan"))) == 300_000
    assert hope_ms(300_000, levels()) == 300_000


def test_a_replacement_must_be_able_to_report() -> None:
    assert replacement_pays(60_000, levels(59_000, 60_000, 61_000, float("nan"))).tolist() == [True, True, False, True]
    assert replacement_pays(0, levels(0.0, float("nan"))).tolist() == [False, False]


@pytest.mark.parametrize(
    ("stored", "hopeful", "expected"),
    [
        (10, 0, "met"),
        (12, 5, "met"),
        (9, 1, "open"),
        (0, 10, "open"),
        (8, 0, "short"),  # the minimum is there, the goal cannot be
        (8, 1, "open"),  # nor can it here, but one more is on its way
        (5, 3, "open"),
        (5, 2, "hopeless"),
        (0, 0, "hopeless"),
    ],
)
def test_outlook_of_ten_with_a_minimum_of_eight(stored: int, hopeful: int, expected: str) -> None:
    assert outlook(10, 8, stored, hopeful) == expected


def test_ramp() -> None:
    ramp = Ramp(base=10, factor=2.0, after=3)
    assert [cohort_now(ramp, 100, sealed) for sealed in (0, 2, 3, 6, 9, 12, 10**9)] == [10, 10, 20, 40, 80, 100, 100]
    assert cohort_now(Ramp(base=500), 100, 0) == 100
    assert cohort_now(Ramp(base=10, factor=1.0), 100, 10**12) == 10


def test_abort() -> None:
    criteria = [Abort(kind="failed", share=0.2, min=50), Abort(kind="lapsed", share=0.3, min=10)]
    assert should_abort(criteria, {"accepted": 39, "failed": 10}) == "", "49 are too few to tell"
    assert should_abort(criteria, {"accepted": 40, "failed": 10}) == "failed"
    assert should_abort(criteria, {"accepted": 41, "failed": 10}) == ""
    assert should_abort(criteria, {"accepted": 5, "lapsed": 3, "refused": 2}) == "lapsed"
    assert should_abort(criteria, {}) == ""
    assert should_abort([Abort(kind="failed", share=0.0, min=1)], {"accepted": 5}) == ""


def test_a_goal_of_a_thousand_million_costs_no_memory() -> None:
    # 0.9 n - g >= 0.8416 sqrt(0.09 n) - 0.5: g / 0.9 and 0.8416 * 0.3 * sqrt(1.11 g) / 0.9 more
    goal = 10**9
    assert leases_for(LIMITS, goal, levels(0.1)) == pytest.approx(goal / 0.9 + 0.2805 * (goal / 0.9) ** 0.5, abs=100)
    assert leases_for(LIMITS, goal, levels(0.9)) == 2 * goal
