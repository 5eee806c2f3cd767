"""Keyed draws: choices that anybody can do again, and nobody needs to keep secret.

Decides: a uniform 64-bit number for (seed, label, id): a counter-based integer mix, so order of arrival, batching and
gateway change nothing. Used for fairness, jitter, ties, exploration and simulation. Never: keys, nonces, noise or
anything an adversary or an accountant relies on (the Entropy port). Limit: not a cryptographic generator.
Source: the finaliser is SplitMix64's (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators");
the label is folded by FNV-1a (64 bit).
"""

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


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
    base = np.uint64(_mix((seed ^ _fold(label)) & _MASK))
    value = ids.astype(np.uint64) * np.uint64(_GOLDEN) + base
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


def uniform(seed: int, label: str, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """`draw` as float64 in [0, 1), 53 bits, shape of `ids`."""
    fraction: NDArray[np.float64] = (draw(seed, label, ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return fraction
