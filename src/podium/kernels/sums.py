"""Exact sums: weight * value rounded to a fixed power-of-two grid and added without error, so that no order matters.

Decides: the grid, and how one update is added. Never: what is summed or what becomes of the total.
A float64 adds multiples of g = 2^exponent exactly while every total stays within 2^53 g. Rounding to the grid by
adding and subtracting 1.5 * 2^52 g (round to nearest, ties to even) is exact while |x| <= 2^51 g, so 2^51 g bounds the
whole sum; beyond that bound the multiples are counted in int64, up to 2^62.
Weights lie on a grid of their own of 2^29 steps up to `weight_max`, so that weight (29 bits) * float32 value (24 bits)
is exact in float64 and rounded once. `kernels/exact.py` is the slow twin by fractions; a test holds them equal.
Limits: float32 values, finite and within `value_abs_max` (the caller has checked: kernels/checks.py).
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Total = NDArray[np.float64] | NDArray[np.int64]

BLOCK = 64 * 1024
"""Elements per block: 512 KiB of float64 stays in a core's second-level cache."""
FLOAT_BITS = 51
INT_BITS = 62
WEIGHT_BITS = 29
MEAN_BITS = 23
"""The mean's rounding error is at most 2^-23 of `value_abs_max` (float32 level)."""
EXPONENT_ABS_MAX = 900
"""Every product, grid step and bound then is a normal float64."""


@dataclass(frozen=True)
class Grid:
    """Where sums of one round lie: multiples of 2^`exponent`; weights are multiples of 2^`weight_exponent`.

    `cohort`: how many updates one sum may hold. `weight_max`, `value_abs_max`: the bounds it was chosen for.
    """

    cohort: int
    weight_max: float
    value_abs_max: float
    exponent: int
    weight_exponent: int
    dtype: Literal["float64", "int64"]

    @property
    def step(self) -> float:
        """The grid's step, 2^exponent."""
        return math.ldexp(1.0, self.exponent)

    def weight_units(self, weight: float) -> int:
        """`weight` in whole steps of the weight grid, ties to even.

        `ValueError` unless it is within (0, weight_max] and not rounded to zero.
        """
        if not 0 < weight <= self.weight_max:
            raise ValueError(f"the weight {weight} is not within (0, {self.weight_max}]")
        units = round(math.ldexp(weight, -self.weight_exponent))
        if units == 0:
            raise ValueError(f"the weight {weight} is below half a step of {math.ldexp(1.0, self.weight_exponent)}")
        return units

    def weight_of(self, units: int) -> float:
        """The weight that `units` steps are; exact up to 2^53 steps, else correctly rounded."""
        return float(Fraction(units) * Fraction(2) ** self.weight_exponent)

    def zeros(self, size: int) -> Total:
        """A fresh total of `size` elements."""
        return np.zeros(size, np.float64) if self.dtype == "float64" else np.zeros(size, np.int64)


@dataclass(frozen=True)
class Scratch:
    """Working memory of `accumulate`: one block of float64 and one of int64, used again by every call."""

    floats: NDArray[np.float64]
    ints: NDArray[np.int64]


def make_scratch() -> Scratch:
    """Working memory for one thread (1 MiB)."""
    return Scratch(np.empty(BLOCK, np.float64), np.empty(BLOCK, np.int64))


def _ceil_log2(value: Fraction) -> int:
    """The smallest e with value <= 2^e; `value` above zero."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    while value > Fraction(2) ** exponent:
        exponent += 1
    while value <= Fraction(2) ** (exponent - 1):
        exponent -= 1
    return exponent


def choose_grid(cohort: int, weight_max: float, value_abs_max: float) -> Grid:
    """The finest grid on which a sum of `cohort` updates within the bounds is exact.

    float64 if its 2^51 steps are fine enough for the mean's error, else int64. The mean of updates whose average weight
    is at least min(1, weight_max) errs by at most 2^-23 of `value_abs_max` (half a step each: usually far less).
    `ValueError` if the bounds are not finite and above zero, `weight_max` is above 2^29 (whole weights would be
    rounded), or the bounds are so wide that not even int64 keeps that promise.
    """
    if cohort < 1:
        raise ValueError(f"a sum of {cohort} updates cannot be")
    for name, bound in (("weight_max", weight_max), ("value_abs_max", value_abs_max)):
        if not (math.isfinite(bound) and bound > 0):
            raise ValueError(f"{name} is {bound}: it is a finite number above zero")
    if weight_max > 2**WEIGHT_BITS:
        raise ValueError(f"weight_max is {weight_max}: above {2**WEIGHT_BITS} examples are not counted one by one")
    weight_exponent = _ceil_log2(Fraction(weight_max)) - WEIGHT_BITS
    weight_step = Fraction(2) ** weight_exponent
    weight_top = math.ceil(Fraction(weight_max) / weight_step) * weight_step  # rounding may lift a weight up to this
    bits = _ceil_log2(cohort * weight_top * Fraction(value_abs_max))
    needed = Fraction(value_abs_max) * min(Fraction(1), Fraction(weight_max)) / 2**MEAN_BITS
    if abs(bits) > EXPONENT_ABS_MAX or abs(weight_exponent) > EXPONENT_ABS_MAX:
        raise ValueError("weight_max * value_abs_max is beyond what float64 can hold: choose bounds nearer to 1")
    grids: tuple[tuple[Literal["float64", "int64"], int], ...] = (("float64", FLOAT_BITS), ("int64", INT_BITS))
    for dtype, held in grids:
        if Fraction(2) ** (bits - held) <= needed:
            return Grid(cohort, weight_max, value_abs_max, bits - held, weight_exponent, dtype)
    most = 2 ** (INT_BITS - MEAN_BITS) // cohort
    raise ValueError(
        f"no exact sum of {cohort} updates bears weight_max {weight_max}: lower it to {most} or less, or the goal"
    )


def accumulate(total: Total, values: NDArray[np.float32], weight: float, grid: Grid, scratch: Scratch) -> None:
    """Add weight * values, rounded to the grid, to `total` in place, exactly.

    `total` of `grid.zeros(n)`, `values` float32 of the same n elements, both one-dimensional; `weight` a multiple of
    the weight grid's step. Allocates nothing of their size. `ValueError` on other shapes or types.
    """
    if values.shape != total.shape or values.ndim != 1 or values.dtype != np.float32 or total.dtype != grid.dtype:
        raise ValueError(f"cannot add {values.dtype}{values.shape} to {total.dtype}{total.shape} on {grid.dtype}")
    if total.dtype == np.float64:
        _accumulate_floats(total, values, weight, grid, scratch)
    else:
        _accumulate_ints(total, values, weight, grid, scratch)


def _accumulate_floats(total: Total, values: NDArray[np.float32], weight: float, grid: Grid, scratch: Scratch) -> None:
    magic = math.ldexp(1.5, grid.exponent + 52)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        products = scratch.floats[: len(block)]
        np.multiply(block, weight, out=products, dtype=np.float64)
        np.add(products, magic, out=products)
        np.subtract(products, magic, out=products)
        part = total[start : start + BLOCK]
        np.add(part, products, out=part)


def _accumulate_ints(total: Total, values: NDArray[np.float32], weight: float, grid: Grid, scratch: Scratch) -> None:
    # Scaling the weight by a power of two is exact, so the product is in steps of the grid at once.
    steps = math.ldexp(weight, -grid.exponent)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        products, counts = scratch.floats[: len(block)], scratch.ints[: len(block)]
        np.multiply(block, steps, out=products, dtype=np.float64)
        np.rint(products, out=products)
        np.copyto(counts, products, casting="unsafe")
        part = total[start : start + BLOCK]
        np.add(part, counts, out=part)


def merge(total: Total, other: Total) -> None:
    """Add another shard's total of the same grid to `total` in place; exact, so sharding changes no bit."""
    if total.shape != other.shape or total.dtype != other.dtype:
        raise ValueError(f"cannot merge {other.dtype}{other.shape} into {total.dtype}{total.shape}")
    np.add(total, other, out=total)


def mean_of(total: Total, units: int, grid: Grid) -> NDArray[np.float64]:
    """total / weight as float64, where `units` is the whole weight in steps; `ValueError` if it is zero.

    A function of the exact sums alone: at most two roundings (int64 to float64, and the division).
    """
    if units <= 0:
        raise ValueError("the total weight is zero")
    scale = 1.0 if total.dtype == np.float64 else grid.step
    mean = np.multiply(total, scale, dtype=np.float64)
    return np.divide(mean, grid.weight_of(units), out=mean)
