"""The slow exact twins of `kernels/sums.py`, by whole numbers and fractions: what the fast must equal to the bit.

Decides: nothing; it is the definition. Never: used where speed matters.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from podium.kernels.sums import Grid


def steps_of(value: float, units: int, grid: Grid) -> int:
    """weight * value in whole steps of the grid, round half to even; `units` is the weight in steps of its own grid."""
    weight = Fraction(units) * Fraction(2) ** grid.weight_exponent
    return round(weight * Fraction(value) / Fraction(2) ** grid.exponent)


def sum_steps(updates: Iterable[tuple[Sequence[float], int]], grid: Grid) -> list[int]:
    """The sum over (values, weight units) of equal lengths, element by element, in whole steps of the grid."""
    totals: list[int] = []
    for values, units in updates:
        steps = [steps_of(value, units, grid) for value in values]
        totals = [a + b for a, b in zip(totals, steps, strict=True)] if totals else steps
    return totals


def exact_mean(updates: Sequence[tuple[Sequence[float], int]], grid: Grid) -> list[Fraction]:
    """The true weighted mean, unrounded: what the grid's mean may differ from by its promised error."""
    weights = [Fraction(units) * Fraction(2) ** grid.weight_exponent for _, units in updates]
    size = len(updates[0][0])
    sums = (
        sum((Fraction(values[i]) * weight for (values, _), weight in zip(updates, weights, strict=True)), Fraction(0))
        for i in range(size)
    )
    whole = sum(weights, Fraction(0))
    return [total / whole for total in sums]
