"""When the devices of a synthetic fleet are there at all.

Decides: the moment at which a device that wants to check in can. "flat": always. "diurnal": a quarter of the fleet is
always there, the others for some hours around their night, so that at the peak four times as many are there as at the
trough. Never: what a device does once it is there. Virtual time begins at midnight.
Source: the fourfold swing is that of Bonawitz et al. 2019, "Towards federated learning at scale", section 9.
"""

import random

import numpy as np
from numpy.typing import NDArray

from podium.wire.problems import OperatorFault

TRACES = ("flat", "diurnal")
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ALWAYS = 0.25
"""The share of a diurnal fleet that is always there."""


class Trace:
    """When each of `count` devices is there; drawn once, from `chance`. `OperatorFault(usage)` for another name."""

    def __init__(self, name: str, count: int, chance: random.Random) -> None:
        if name not in TRACES:
            raise OperatorFault("usage", what=f"trace {name!r}", why=f"the traces are {', '.join(TRACES)}")
        self._begins: NDArray[np.int64] = np.zeros(count, np.int64)
        self._lasts: NDArray[np.int64] = np.full(count, DAY_MS, np.int64)
        if name == "diurnal":
            draws = np.random.Generator(np.random.PCG64(chance.getrandbits(64)))
            nightly = draws.random(count) >= ALWAYS
            begins = (draws.normal(22.0, 1.0, count) * HOUR_MS).astype(np.int64) % DAY_MS
            self._begins[nightly] = begins[nightly]
            self._lasts[nightly] = (draws.uniform(5.0, 10.0, count) * HOUR_MS).astype(np.int64)[nightly]

    def next_ms(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first moment at or after `at_ms` at which each of `devices` is there (int64 ms, shape of both)."""
        since = (at_ms - self._begins[devices]) % DAY_MS
        away: NDArray[np.int64] = np.where(since < self._lasts[devices], 0, DAY_MS - since)
        return at_ms + away
