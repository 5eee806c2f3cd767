"""Grids and exact sums by hand-derived numbers; blocks; what is refused."""

import tracemalloc

import numpy as np
import pytest

from podium.kernels.sums import BLOCK, Grid, accumulate, choose_grid, make_scratch, mean_of, merge

SCRATCH = make_scratch()


def test_the_grid_of_the_default_bounds() -> None:
    grid = choose_grid(1000, 10_000.0, 8.0)
    # 1000 * 10000 * 8 = 8e7 <= 2^27, and 2^27 / 2^51 = 2^-24; needed is 8 / 2^23 = 2^-20
    assert (grid.dtype, grid.exponent) == ("float64", -24)
    assert grid.step == 2.0**-24
    # 10000 <= 2^14, and 2^14 / 2^29 = 2^-15
    assert grid.weight_exponent == -15


def test_int64_takes_over_where_float64_is_too_coarse() -> None:
    # 2^28 is the last product of cohort and weight_max that float64 bears: 2^28 * 8 / 2^51 = 2^-20 = 8 / 2^23
    assert choose_grid(2**14, 2.0**14, 8.0).dtype == "float64"
    grid = choose_grid(2**14 + 1, 2.0**14, 8.0)
    assert grid.dtype == "int64"
    assert grid.exponent == 28 + 1 + 3 - 62


def test_int64_has_an_end_and_says_what_to_lower() -> None:
    assert choose_grid(2**20, 2.0**19, 8.0).dtype == "int64"
    with pytest.raises(ValueError, match="lower it to 524287 or less"):
        choose_grid(2**20 + 1, 2.0**19, 8.0)


@pytest.mark.parametrize(
    ("cohort", "weight_max", "value_abs_max"),
    [
        (0, 1.0, 1.0),
        (1, 0.0, 1.0),
        (1, -1.0, 1.0),
        (1, 1.0, float("inf")),
        (1, float("nan"), 1.0),
        (1, 1.0, 1e300),
        (1, 2.0**29 + 1, 1.0),
        (1, 1e-290, 1.0),
    ],
)
def test_bounds_that_cannot_be(cohort: int, weight_max: float, value_abs_max: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|above zero|one by one|float64 can hold"):
        choose_grid(cohort, weight_max, value_abs_max)


def test_weights_lie_on_their_grid() -> None:
    grid = choose_grid(10, 10_000.0, 8.0)
    assert grid.weight_units(1.0) == 2**15
    assert grid.weight_of(grid.weight_units(303.0)) == 303.0
    assert grid.weight_units(2.0**-15) == 1
    assert grid.weight_units(1.5 * 2.0**-15) == 2  # a tie, to even
    assert grid.weight_units(2.5 * 2.0**-15) == 2
    for weight in (0.0, -1.0, 10_000.001, float("nan"), float("inf"), 2.0**-16):
        with pytest.raises(ValueError, match="the weight"):
            grid.weight_units(weight)


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_rounding_is_half_to_even_by_hand(dtype: str) -> None:
    grid = Grid(4, 4.0, 1024.0, 0, -29, "float64" if dtype == "float64" else "int64")  # whole numbers
    total = grid.zeros(8)
    accumulate(total, np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 3.0, -7.6], np.float32), 1.0, grid, SCRATCH)
    assert total.tolist() == [0, 2, 2, 0, -2, 0, 3, -8]
    accumulate(total, np.array([0.5, 0.5, 0.25, 0.25, 1.0, 1.0, 1.0, 1.0], np.float32), 3.0, grid, SCRATCH)
    # 1.5 -> 2, 1.5 -> 2, 0.75 -> 1, 0.75 -> 1, then 3 each
    assert total.tolist() == [2, 4, 3, 1, 1, 3, 6, -5]


@pytest.mark.parametrize("cohort", [100, 10**6])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_blocks_meet_without_seam(size: int, cohort: int) -> None:
    grid = choose_grid(cohort, 100.0, 8.0)
    values = (np.arange(size) % 31 / 4).astype(np.float32)  # multiples of the grid: nothing is rounded
    total = grid.zeros(size)
    accumulate(total, values, 2.0, grid, SCRATCH)
    accumulate(total, values, 6.0, grid, SCRATCH)
    scale = 1.0 if grid.dtype == "float64" else grid.step
    assert np.array_equal(total * scale, 8.0 * values)
    assert np.array_equal(mean_of(total, grid.weight_units(8.0), grid), values)


def test_nothing_of_the_updates_size_is_allocated() -> None:
    grid = choose_grid(100, 100.0, 8.0)
    values, total = np.ones(500_000, np.float32), grid.zeros(500_000)
    tracemalloc.start()
    for _ in range(10):
        accumulate(total, values, 2.0, grid, SCRATCH)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_merge_adds_and_refuses_strangers() -> None:
    grid = choose_grid(10, 1.0, 1.0)
    total, other = grid.zeros(2), grid.zeros(2)
    accumulate(total, np.array([0.25, 0.5], np.float32), 1.0, grid, SCRATCH)
    accumulate(other, np.array([0.5, -1.0], np.float32), 1.0, grid, SCRATCH)
    merge(total, other)
    assert total.tolist() == [0.75, -0.5]
    with pytest.raises(ValueError, match="cannot merge"):
        merge(total, grid.zeros(3))
    with pytest.raises(ValueError, match="cannot merge"):
        merge(total, choose_grid(10**6, 1e5, 1.0).zeros(2))


def test_other_shapes_and_types_are_refused() -> None:
    grid = choose_grid(10, 1.0, 1.0)
    for values in (np.zeros(3, np.float32), np.zeros((2, 1), np.float32)):
        with pytest.raises(ValueError, match="cannot add"):
            accumulate(grid.zeros(2), values, 1.0, grid, SCRATCH)
    with pytest.raises(ValueError, match="cannot add"):
        accumulate(np.zeros(2, np.int64), np.zeros(2, np.float32), 1.0, grid, SCRATCH)


def test_a_mean_needs_weight() -> None:
    grid = choose_grid(10, 1.0, 1.0)
    with pytest.raises(ValueError, match="weight is zero"):
        mean_of(grid.zeros(1), 0, grid)
