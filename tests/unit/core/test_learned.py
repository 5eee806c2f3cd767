"""How long leases of a run take, by class: a class's own p95, the run's where a class told too little."""

import numpy as np
import pytest

from podium.core.fleet.learned import DURATIONS_MIN, Learned

BIN = 1.24
"""Quantiles are right to a bin of 24 %."""


def told(durations: dict[int, list[float]], run: str = "r") -> Learned:
    """Leases of each class that took so many ms, by devices of their own."""
    learned = Learned()
    for group, each in durations.items():
        for place, duration_ms in enumerate(each):
            learned.note(run, 1_000 * group + place, group, False, duration_ms, at_ms=place)
    return learned


def test_a_class_that_told_enough_has_its_own_p95_and_the_others_the_runs() -> None:
    # 76 of 80 leases of class 1 take a second, class 2 told 4 of a minute: of all 84 the 95th in 100 is the 80th
    learned = told({1: [1_000.0] * 80, 2: [60_000.0] * 4})
    slowest = learned.slowest("r", np.array([1, 2, 3]))
    assert slowest[0] == pytest.approx(1_000, rel=BIN - 1)
    assert slowest[1] == slowest[2] == pytest.approx(1_000, rel=BIN - 1)
    # with 10 of 90 slow, the p95 of all is a slow one
    slowest = told({1: [1_000.0] * 80, 2: [60_000.0] * 10}).slowest("r", np.array([1, 2]))
    assert slowest.tolist() == pytest.approx([1_000, 60_000], rel=BIN - 1)


def test_many_small_classes_are_known_together_although_none_is_alone() -> None:
    learned = told({group: [2_000.0] for group in range(DURATIONS_MIN)})
    every = np.arange(DURATIONS_MIN)
    assert np.isnan(learned.durations("r", every, 0.95)).all()
    assert learned.slowest("r", every).tolist() == pytest.approx([2_000] * DURATIONS_MIN, rel=BIN - 1)


def test_nothing_is_known_of_a_run_with_too_few_reports_of_another_or_of_one_that_is_over() -> None:
    learned = told({group: [2_000.0] for group in range(DURATIONS_MIN - 1)})
    assert np.isnan(learned.slowest("r", np.array([0, 1]))).all()
    learned.note("r", 0, 0, True, float("nan"), 0)  # a lost lease tells no duration
    assert np.isnan(learned.slowest("r", np.array([0, 1]))).all()
    learned.note("r", 0, 0, False, 2_000.0, 0)
    assert not np.isnan(learned.slowest("r", np.array([0, 1]))).any()
    assert np.isnan(learned.slowest("other", np.array([0]))).all()
    learned.forget("r")
    assert np.isnan(learned.slowest("r", np.array([0]))).all()
