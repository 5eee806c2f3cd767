"""Runs share a fleet: all rows at once come to what one after the other would; shares follow weights."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.core.selection.sharing import asking, turn
from tests.support.core_drive import Drive
from tests.support.core_made import task

TURNS = st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3), min_size=1, max_size=30)


@given(TURNS, st.lists(st.integers(0, 8), min_size=3, max_size=3))
def test_all_at_once_come_to_what_one_after_the_other_would(rows: list[list[int]], seats: list[int]) -> None:
    turns = np.array(rows, np.float64).T
    turns[turns < 0] = np.inf
    left, asked, got = list(seats), np.zeros(turns.shape, np.bool_), Counter[int]()
    for row in range(turns.shape[1]):
        for place in np.argsort(turns[:, row], kind="stable").tolist():
            if np.isinf(turns[place, row]):
                break
            asked[place, row] = True
            if left[place]:
                left[place] -= 1
                got[place] += 1
                break
    assert asking(turns, lambda place, mine: np.arange(len(mine)) < seats[place]).tolist() == asked.tolist()


def test_a_kept_seat_comes_before_any_priority() -> None:
    fits: NDArray[np.bool_] = np.array([True, True, False])
    kept = np.array([False, True, True])
    assert turn(np.array([-1_000.0] * 3), fits, kept).tolist() == [-1_000.0, -1_001_000.0, np.inf]


def nominees(weight: float, devices: int = 200) -> tuple[set[int], set[int]]:
    """Who goes to run "a" of this weight, and who to "b" of weight 1, when every device fits both."""
    drive = Drive()
    drive.fleet(100)
    drive.begin(task(goal=devices, over=1.0, weight=weight), 100, run="a")
    drive.begin(task(goal=devices, over=1.0), run="b")
    drive.check_in(*range(devices))
    first, second = (set(np.flatnonzero(drive.state.open[run, 1].nominated).tolist()) for run in ("a", "b"))
    return first, second


def test_shares_follow_weights() -> None:
    before: set[int] = set()
    for weight in (0.25, 1.0, 5.0):
        first, second = nominees(weight)
        assert first | second == set(range(200)) and not first & second
        assert before <= first, "more weight takes none away"
        share, expected = len(first) / 200, weight / (weight + 1.0)
        assert abs(share - expected) <= 4.0 * (expected * (1.0 - expected) / 200) ** 0.5
        before = first
