"""Keyed draws: choices that anybody can do again, and nobody needs to keep secret.

Decides: a uniform 64-bit number for (seed, label, id): a counter-based integer mix, so order of arrival, batching and
gateway change nothing. Used for fairness, jitter, ties, exploration and simulation. Never: keys, nonces, noise or
anything an adversary or an accountant relies on (the Entropy port). Limit: not a cryptographic generator.
Source: the finaliser is SplitMix64's (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators");
the label is folded by FNV-1a (64 bit).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BY_11, _BY_27, _BY_30, _BY_31 = (np.uint64(bits) for bits in (11, 27, 30, 31))
_LABELS = 256
"""So many labels are remembered folded: whoever draws does so with the same few, a batch at a time."""


@lru_cache(_LABELS)
def _base(seed: int, label: str) -> np.uint64:
    return np.uint64(_mix((seed ^ _fold(label)) & _MASK))


def _fold(label: str) -> int:
    folded = 0xCBF29CE484222325
    for byte in label.encode():
        folded = ((folded ^ byte) * 0x100000001B3) & _MASK
    return folded


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def draw(seed: int, label: str, ids: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One uniform uint64 per id, shape of `ids`; the same (seed, label, id) always gives the same number."""
    value = ids.astype(np.uint64)
    value *= _GOLDEN
    value += _base(seed, label)
    value ^= value >> _BY_30
    value *= _FIRST
    value ^= value >> _BY_27
    value *= _SECOND
    value ^= value >> _BY_31
    return value


def uniform(seed: int, label: str, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """`draw` as float64 in [0, 1), 53 bits, shape of `ids`."""
    fraction: NDArray[np.float64] = (draw(seed, label, ids) >> _BY_11).astype(np.float64) * 2.0**-53
    return fraction
