"""The seats of a forming round: one keyed bottom-k per group, whatever the order of whoever comes.

Decides: which nominees are kept: in each group those with the smallest keys, ties by the smaller number. Never: who is
nominated, in which group and with which key (a strategy). The kept set depends only on the set of nominees, not on
their order, batches or gateways; two seat-keepings over the same keys merge by `offer`ing one's members to the other.
Limits: memory of the sum of the capacities; a device has one group and one key while a round forms (of a second one,
the first kept counts).
Source: bottom-k sketches (Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches").
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Devices = NDArray[np.int64]
Groups = NDArray[np.int16]
Keys = NDArray[np.float64]


SAMPLED_ABOVE = 65_536
"""A batch of more rows is first cut by a bound from every `SAMPLE_STEP`-th of them."""
SAMPLE_STEP = 16


class Seats:
    """At most `capacities[group]` devices of each group; groups are numbers from 0 to 32,767."""

    def __init__(self, capacities: Mapping[int, int]) -> None:
        self._capacities = {group: capacity for group, capacity in sorted(capacities.items()) if capacity > 0}
        self._devices: dict[int, Devices] = {group: np.empty(0, np.int64) for group in self._capacities}
        self._keys: dict[int, Keys] = {group: np.empty(0, np.float64) for group in self._capacities}
        # by group, the greatest key that still finds a seat; NaN compares false, so a group without seats keeps nobody
        self._greatest: Keys = np.full(max(self._capacities, default=-1) + 2, np.nan)
        for group in self._capacities:
            self._greatest[group] = np.inf

    def offer(self, devices: Devices, groups: Groups, keys: Keys) -> None:
        """Nominate `devices` (int64) in `groups` (int16) with `keys` (float64), all of one shape.

        A key that is NaN, and a group without capacity, find no seat; a device already kept stays once. A batch of
        more than `SAMPLED_ABOVE` rows holds no device twice (as none of admission's does).
        """
        spare = len(self._greatest) - 1
        known = groups if len(groups) and groups.min() >= 0 and groups.max() < spare else np.clip(groups, -1, spare)
        rows = np.flatnonzero(keys <= self._bounds(groups, keys)[known])
        if len(rows) == 0:
            return
        if len(self._capacities) > 1:
            rows = rows[np.argsort(groups[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(groups[rows])) + 1
        for part in np.split(rows, cuts):
            self._merge(int(groups[part[0]]), devices[part], keys[part])

    def _bounds(self, groups: Groups, keys: Keys) -> Keys:
        """By group, a key above which nobody of this batch finds a seat."""
        if len(keys) <= SAMPLED_ABOVE:
            return self._greatest
        # a part of the batch that fills a group with keys up to a bound shows that the whole does
        some, of, bounds = keys[::SAMPLE_STEP], groups[::SAMPLE_STEP], self._greatest.copy()
        for group, capacity in self._capacities.items():
            own = some[of == group]
            if len(own) > capacity:
                bounds[group] = np.fmin(bounds[group], np.partition(own, capacity - 1)[capacity - 1])
        return bounds

    def _merge(self, group: int, devices: Devices, keys: Keys) -> None:
        capacity = self._capacities[group]
        devices, keys = _smallest(devices, keys, capacity)
        if np.isin(self.members(), devices).any():
            new = ~self.holds(devices)
            devices, keys = devices[new], keys[new]
        every = np.concatenate([self._devices[group], devices])
        drawn = np.concatenate([self._keys[group], keys])
        # nearly in order already, so a stable sort is quick; only ties need the device number too
        order = np.argsort(drawn, kind="stable")
        if (np.diff(drawn[order]) == 0).any():
            order = np.lexsort((every, drawn))
        order = order[:capacity]
        self._devices[group], self._keys[group] = every[order], drawn[order]
        self._greatest[group] = self._keys[group][-1] if len(order) == capacity else np.inf

    def drop(self, device: int) -> None:
        """Let the seat of `device` go, if it holds one; whoever found none before gets it only by a new `offer`."""
        for group, kept in self._devices.items():
            stay = kept != device
            if not stay.all():
                self._devices[group], self._keys[group] = kept[stay], self._keys[group][stay]
                self._greatest[group] = np.inf

    def members(self) -> Devices:
        """The kept device numbers (int64): groups in order, in each the smallest key first."""
        return np.concatenate([np.empty(0, np.int64), *self._devices.values()])

    def holds(self, devices: Devices) -> NDArray[np.bool_]:
        """Which of `devices` (int64) hold a seat now (bool, same shape)."""
        held: NDArray[np.bool_] = np.isin(devices, self.members())
        return held


def _smallest(devices: Devices, keys: Keys, count: int) -> tuple[Devices, Keys]:
    """The `count` smallest keys with their devices, each device once, and whatever ties with the last of them."""
    taken, wanted = np.arange(len(keys)), count
    while wanted < len(keys):
        # a device told twice in one batch takes two of the places: then look further
        taken = np.flatnonzero(keys <= np.partition(keys, wanted - 1)[wanted - 1])
        if len(taken) == len(keys) or len(np.unique(devices[taken])) >= count:
            break
        taken, wanted = np.arange(len(keys)), 2 * wanted
    taken = taken[np.argsort(keys[taken], kind="stable")]
    _, first = np.unique(devices[taken], return_index=True)
    return devices[taken[first]], keys[taken[first]]
