"""Exact sums equal their slow twin by fractions, to the bit, over wide bounds, ties and subnormals; in any order."""

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.kernels import exact
from podium.kernels.sums import Grid, Total, accumulate, choose_grid, make_scratch, mean_of, merge

CELLS: Counter[str] = Counter()
SCRATCH = make_scratch()
SUBNORMAL = 2.0**-126
F32_MAX = float(np.finfo(np.float32).max)

Updates = list[tuple[NDArray[np.float32], int]]


def steps(total: Total, grid: Grid) -> list[int]:
    """A fast total in whole steps of the grid; fails if it is no multiple."""
    if total.dtype == np.int64:
        return [int(count) for count in total]
    counts = [Fraction(float(value)) / Fraction(2) ** grid.exponent for value in total]
    assert all(count.denominator == 1 for count in counts)
    return [int(count) for count in counts]


def summed(updates: Updates, grid: Grid, size: int) -> Total:
    total = grid.zeros(size)
    for values, units in updates:
        accumulate(total, values, grid.weight_of(units), grid, SCRATCH)
    return total


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    cohort = draw(st.sampled_from([1, 2, 3, 4, 7, 100, 1000, 30_000, 1_000_000]))
    weight_max = draw(st.sampled_from([0.003, 0.5, 1.0, 3.7, 1e4, 123_456.0, 3e8, 3e8, 2.0**29, 2.0**29]))
    value_abs_max = draw(st.sampled_from([1e-40, 1e-30, 1e-6, 0.1, 1.0, 8.0, 8.1, 1e6, 1e30, F32_MAX]))
    try:
        return choose_grid(cohort, weight_max, value_abs_max)
    except ValueError:
        assume(False)
        raise


def value_of(grid: Grid) -> st.SearchStrategy[float]:
    """float32 values within the bound: any, its ends, ties of the grid at weight one, subnormals."""
    bound = float(np.float32(grid.value_abs_max))
    if bound > grid.value_abs_max:
        bound = float(np.nextafter(np.float32(bound), np.float32(0)))
    odd_halves = st.integers(-(2**23), 2**23 - 1).map(lambda k: (2 * k + 1) * grid.step / 2)
    choices = [
        st.floats(-bound, bound, width=32),
        st.sampled_from([bound, -bound, 0.0, -0.0]),
        odd_halves.filter(lambda value: abs(value) <= bound and float(np.float32(value)) == value),
    ]
    if bound > SUBNORMAL:
        choices.append(st.floats(-SUBNORMAL, SUBNORMAL, width=32))
    return st.one_of(choices)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Grid, Updates, int]:
    grid = draw(grids())
    size = draw(st.integers(1, 4))
    top = grid.weight_units(grid.weight_max)
    one = grid.weight_units(1.0) if grid.weight_max >= 1 else top
    units = st.one_of(st.integers(1, top), st.sampled_from([1, top, one]))
    count = draw(st.integers(1, min(grid.cohort, 6)))
    update = st.tuples(st.lists(value_of(grid), min_size=size, max_size=size), units)
    drawn = draw(st.lists(update, min_size=count, max_size=count))
    return grid, [(np.array(values, np.float32), units) for values, units in drawn], size


def count_cells(grid: Grid, updates: Updates, total: list[int]) -> None:
    CELLS[grid.dtype] += 1
    for values, units in updates:
        weight = Fraction(units) * Fraction(2) ** grid.weight_exponent
        for value in values.tolist():
            doubled = 2 * weight * Fraction(value) / Fraction(2) ** grid.exponent
            CELLS["tie"] += doubled.denominator == 1 and doubled.numerator % 2 == 1
            CELLS["subnormal"] += 0 < abs(value) < SUBNORMAL
            CELLS["at the value bound"] += abs(value) >= 0.999 * grid.value_abs_max
        CELLS["at the weight bound"] += units == grid.weight_units(grid.weight_max)
    CELLS["large total"] += any(abs(count) > 2**45 for count in total)
    CELLS["beyond float64"] += any(abs(count) > 2**53 for count in total)


def check_twin() -> None:
    @settings(max_examples=600, deadline=None, derandomize=True, database=None)
    @given(cases(), st.randoms(use_true_random=False))
    def check(case: tuple[Grid, Updates, int], order: random.Random) -> None:
        grid, updates, size = case
        total = summed(updates, grid, size)
        slow = exact.sum_steps([(values.tolist(), units) for values, units in updates], grid)
        assert steps(total, grid) == slow
        shuffled = updates[:]
        order.shuffle(shuffled)
        assert summed(shuffled, grid, size).tobytes() == (total + 0).tobytes()
        cut = order.randint(0, len(shuffled))
        shard = summed(shuffled[:cut], grid, size)
        merge(shard, summed(shuffled[cut:], grid, size))
        assert shard.tobytes() == (total + 0).tobytes()
        count_cells(grid, updates, slow)

    check()


def test_fast_equals_slow_and_order_and_shards_change_no_bit() -> None:
    CELLS.clear()
    check_twin()
    assert CELLS["float64"] >= 150
    assert CELLS["int64"] >= 60
    assert CELLS["tie"] >= 100
    assert CELLS["subnormal"] >= 50
    assert CELLS["at the value bound"] >= 100
    assert CELLS["at the weight bound"] >= 100
    assert CELLS["large total"] >= 40
    assert CELLS["beyond float64"] >= 10


def test_the_mean_keeps_its_promised_error() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(cases())
    def check(case: tuple[Grid, Updates, int]) -> None:
        grid, updates, size = case
        average = Fraction(sum(units for _, units in updates), len(updates)) * Fraction(2) ** grid.weight_exponent
        assume(average >= min(Fraction(1), Fraction(grid.weight_max)))
        assume(grid.value_abs_max > 1e-35)  # below, float32 itself has not 24 bits
        mean = mean_of(summed(updates, grid, size), sum(units for _, units in updates), grid)
        true = exact.exact_mean([(values.tolist(), units) for values, units in updates], grid)
        error = max(abs(Fraction(float(a)) - b) for a, b in zip(mean, true, strict=True))
        assert error <= Fraction(grid.value_abs_max) / 2**23
        reached[grid.dtype] += 1

    check()
    assert reached["float64"] >= 80
    assert reached["int64"] >= 30


@pytest.mark.parametrize("goal", [3, 3000])
def test_a_whole_cohort_at_every_bound_stays_exact(goal: int) -> None:
    """The worst sum the grid was chosen for: everybody at weight_max and value_abs_max, of one sign."""
    for weight_max, value_abs_max in ((1e4, 8.0), (3.7, 0.1), (1e6, 1.0)):
        grid = choose_grid(goal, weight_max, value_abs_max)
        value = float(np.nextafter(np.float32(value_abs_max), np.float32(0)))
        units = grid.weight_units(weight_max)
        values = np.full(3, value, np.float32)
        total = grid.zeros(3)
        for _ in range(goal):
            accumulate(total, values, grid.weight_of(units), grid, SCRATCH)
        assert steps(total, grid) == [goal * exact.steps_of(value, units, grid)] * 3
        assert math.isclose(float(mean_of(total, goal * units, grid)[0]), value, rel_tol=2**-22)
