"""The gateways of a simulated plane: at which of them each device checks in, and what befalls them.

Decides: a device's home (a few gateways have most of them), and how the faults bend that: a gateway that dies takes its
slices with it, and its devices check in at the next one for a while; one that hears no more of the coordinator goes on
with the slices that it had. Never: what the plane lets in (core/selection/quotas.py).
"""

import random

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.selection.quotas import NEWEST, Landed
from podium.sim.faults import Faults

AWAY_MS = (2_000, 60_000)
"""How long a gateway is dead, or hears nothing."""
SKEW = 2.0
"""Of 8 gateways the first is home to 35 % of the devices, the last to 6 %."""


class Gateways:
    """`count` gateways, all of which are well at first."""

    def __init__(self, count: int, devices: int, chance: random.Random, faults: Faults) -> None:
        self._count = count
        self._home = (uniform(0, "gateway", np.arange(devices)) ** SKEW * count).astype(np.int64)
        self._chance = chance
        self._faults = faults
        self._dead_ms: NDArray[np.int64] = np.full(count, -1)  # until when
        self._deaf_ms: NDArray[np.int64] = np.full(count, -1)
        self._heard: NDArray[np.int64] = np.full(count, NEWEST)  # what a deaf one goes on with

    def befall(self, at_ms: int, generation: int) -> None:
        """What happens to gateways until `at_ms`; `generation`: of the slices that were leased last."""
        if self._count == 1:
            return
        self._heard[self._deaf_ms <= at_ms] = NEWEST
        if self._faults.strikes("gateway-deaf"):
            number = self._chance.randrange(self._count)
            self._deaf_ms[number] = at_ms + self._chance.randint(*AWAY_MS)
            self._heard[number] = max(0, generation)
        if self._faults.strikes("gateway-dies"):
            self._dead_ms[self._chance.randrange(self._count)] = at_ms + self._chance.randint(*AWAY_MS)

    def landed(self, devices: NDArray[np.int64], at_ms: int) -> Landed | None:
        """Where `devices` (int64) check in at `at_ms`; None with one gateway. If all are dead, none is."""
        if self._count == 1:
            return None
        well = np.flatnonzero(self._dead_ms <= at_ms)
        if len(well) == 0:
            well = np.arange(self._count)
        home = self._home[devices]
        gateway = well[np.minimum(well.searchsorted(home), len(well) - 1)]
        return Landed(gateway=gateway, generation=self._heard[gateway])
