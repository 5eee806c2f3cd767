"""The blocked measure: finite, largest magnitude, squared norm."""

import math

import numpy as np
import pytest

from podium.kernels.checks import measure
from podium.kernels.sums import BLOCK, make_scratch

SCRATCH = make_scratch()


def test_by_hand() -> None:
    found = measure(np.array([3.0, -4.0, 0.0], np.float32), SCRATCH)
    assert (found.abs_max, found.squared_norm) == (4.0, 25.0)


def test_nothing_measures_zero() -> None:
    found = measure(np.zeros(0, np.float32), SCRATCH)
    assert (found.abs_max, found.squared_norm) == (0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 4])
def test_one_bad_value_anywhere_is_found(bad: float, place: int) -> None:
    values = np.ones(2 * BLOCK + 5, np.float32)
    values[place] = bad
    found = measure(values, SCRATCH)
    assert found.abs_max == math.inf
    assert found.squared_norm == math.inf


def test_blocks_add_up() -> None:
    values = np.full(2 * BLOCK + 5, 0.5, np.float32)
    values[BLOCK] = -7.0
    found = measure(values, SCRATCH)
    assert found.abs_max == 7.0
    assert found.squared_norm == (2 * BLOCK + 4) * 0.25 + 49.0


def test_squares_of_the_largest_float32_do_not_overflow() -> None:
    top = float(np.finfo(np.float32).max)
    found = measure(np.full(10, top, np.float32), SCRATCH)
    assert found.squared_norm == pytest.approx(10 * top * top, rel=1e-15)
