"""Weighted sampling without replacement by keys: the smallest of -ln(1 - draw) / weight are the sample.

Decides: how a weight and a keyed draw become one key, so that a bottom-k of the keys is a weighted sample: with equal
weights it is the uniform one, in the order of the draws. Never: what is weighed. Limit: a weight counts as at least
`WEIGHT_LEAST`, so that a preference never becomes a filter: a candidate of weight 0 comes last, not never.
Source: Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir", algorithm A-ES (their largest
u^(1/w) are the smallest -ln(u)/w).
"""

import numpy as np
from numpy.typing import NDArray

WEIGHT_LEAST = 0.01
"""The least weight: a hundredth of the best one's."""

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Weights = NDArray[np.float32] | Floats


def weighted_keys(draw: Floats, weight: Weights) -> Floats:
    """A key (float64, >= 0, finite) per draw in [0, 1) and weight, aligned; the smallest are the sample."""
    keys: Floats = -np.log1p(-draw) / np.maximum(weight, WEIGHT_LEAST)
    return keys


def smallest(keys: Floats, device: Numbers, count: int) -> Numbers:
    """Positions (int64) of the `count` smallest keys, smallest first, ties by the smaller device number."""
    rows = np.arange(len(keys))
    if 0 < count < len(keys):
        rows = np.flatnonzero(keys <= np.partition(keys, count - 1)[count - 1])
    order: Numbers = rows[np.lexsort((device[rows], keys[rows]))][: max(0, count)]
    return order
