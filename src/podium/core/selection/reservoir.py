"""A keyed bottom-k reservoir: a uniform sample of whoever comes, whatever the order.

Decides: which k of the nominated devices hold a seat: those with the smallest keyed draw. Never: who is nominated.
The kept set depends only on the set of nominees, not on their order, batches or gateways; two reservoirs over the same
key merge by `offer`ing one's members to the other. Limit: memory of k rows.
Source: bottom-k sketches (Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches").
"""

import numpy as np
from numpy.typing import NDArray


class Reservoir:
    """At most `capacity` device numbers with the smallest keys (ties by smaller number)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._keys: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._devices: NDArray[np.int64] = np.empty(0, np.int64)

    def offer(self, devices: NDArray[np.int64], keys: NDArray[np.uint64]) -> None:
        """Nominate `devices` (int64) with `keys` (uint64), same shape; a device already kept stays once."""
        every = np.concatenate([self._devices, devices])
        drawn = np.concatenate([self._keys, keys])
        _, first = np.unique(every, return_index=True)
        every, drawn = every[first], drawn[first]
        order = np.lexsort((every, drawn))[: self.capacity]
        self._devices, self._keys = every[order], drawn[order]

    def drop(self, device: int) -> None:
        """Let the seat of `device` go, if it holds one; whoever found none before gets it only by a new `offer`."""
        stay = self._devices != device
        self._devices, self._keys = self._devices[stay], self._keys[stay]

    def members(self) -> NDArray[np.int64]:
        """The kept device numbers (int64), smallest key first."""
        return self._devices
