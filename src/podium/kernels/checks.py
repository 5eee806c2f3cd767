"""What an update is checked for, measured in one blocked pass: finite, largest magnitude, squared norm.

Decides: three numbers. Never: which bound they break (adapters/engine.py raises).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.kernels.sums import BLOCK, Scratch


@dataclass(frozen=True)
class Measure:
    """`abs_max`: largest |value|, infinity if one is NaN or infinite. `squared_norm`: sum of squares, float64."""

    abs_max: float
    squared_norm: float


def measure(values: NDArray[np.float32], scratch: Scratch) -> Measure:
    """The `Measure` of one-dimensional float32 `values`; stops at the first block that is not finite.

    Squares of float32 cannot overflow float64; numpy's pairwise sum errs by a few units in the last place.
    """
    abs_max, squared_norm = 0.0, 0.0
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        # max and min keep a NaN, where a comparison would drop it
        abs_max = max(abs_max, _largest(float(block.max()), float(block.min())))
        if not math.isfinite(abs_max):
            return Measure(abs_max, math.inf)
        squares = scratch.floats[: len(block)]
        np.multiply(block, block, out=squares, dtype=np.float64)
        squared_norm += float(squares.sum())
    return Measure(abs_max, squared_norm)


def _largest(high: float, low: float) -> float:
    """max(|high|, |low|), infinity if either is NaN."""
    return math.inf if math.isnan(high) or math.isnan(low) else max(abs(high), abs(low))
