"""The seats of a forming round: one keyed bottom-k per group, whatever the order of whoever comes.

Decides: which nominees are kept: in each group those with the smallest keys, ties by the smaller number; and who of a
batch is kept right after its own row, which depends on the rows before it alone. Never: who is nominated, in which
group and with which key (a strategy). The kept set depends only on the set of nominees, not on their order, batches or
gateways; two seat-keepings over the same keys merge by `offer`ing one's members to the other.
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
Mask = NDArray[np.bool_]

FIRST = 4_096
"""So many rows of a batch are looked at first, then twice as many, and so on: each part by the bound of the last."""
BLOCK = 128
"""Rows that are compared with each other, each with all, to tell which of them were kept when they came."""
_BEFORE = np.tri(BLOCK, k=-1, dtype=np.bool_)


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

    def offer(self, devices: Devices, groups: Groups, keys: Keys) -> Mask:
        """Nominate `devices` (int64) in `groups` (int16) with `keys` (float64), all of one shape.

        Which of them are kept right after their own row (bool, same shape); a later row may still take the seat. A
        group without capacity has no seat; a device already kept stays once, with its first key. A key that is NaN
        nominates nobody: such a row asks whether the device is kept.
        """
        kept = np.zeros(len(devices), np.bool_)
        groups, keys = self._own(devices, groups, keys)
        start, count = 0, FIRST
        while start < len(devices):
            part = slice(start, start + count)
            kept[part] = self._offer(devices[part], groups[part], keys[part])
            start, count = start + count, 2 * count
        return kept

    def _own(self, devices: Devices, groups: Groups, keys: Keys) -> tuple[Groups, Keys]:
        """`groups` and `keys` with those of the kept devices where nobody is nominated."""
        asks, members = np.flatnonzero(np.isnan(keys)), self.members()
        if len(asks) == 0 or len(members) == 0:
            return groups, keys
        order = np.argsort(members)
        place = order[np.minimum(members[order].searchsorted(devices[asks]), len(members) - 1)]
        there = members[place] == devices[asks]
        asks, place = asks[there], place[there]
        groups, keys = groups.copy(), keys.copy()
        sizes = [len(each) for each in self._devices.values()]
        groups[asks] = np.repeat(np.array(list(self._devices), np.int16), sizes)[place]
        keys[asks] = np.concatenate(list(self._keys.values()))[place]
        return groups, keys

    def _offer(self, devices: Devices, groups: Groups, keys: Keys) -> Mask:
        spare, kept = len(self._greatest) - 1, np.zeros(len(devices), np.bool_)
        known = groups if len(groups) and groups.min() >= 0 and groups.max() < spare else np.clip(groups, -1, spare)
        rows = np.flatnonzero(keys <= self._greatest[known])
        if len(rows) == 0:
            return kept
        if len(self._capacities) > 1:
            rows = rows[np.argsort(groups[rows], kind="stable")]
        there = self.holds(devices[rows])
        cuts = np.flatnonzero(np.diff(groups[rows])) + 1
        for part, held in zip(np.split(rows, cuts), np.split(there, cuts), strict=True):
            kept[part] = self._merge(int(groups[part[0]]), devices[part], keys[part], held)
        return kept

    def _merge(self, group: int, devices: Devices, keys: Keys, there: Mask) -> Mask:
        """Offer what may find a seat in `group`: everybody gets a rank, and a row is kept if few enough come before."""
        capacity, held = self._capacities[group], len(self._devices[group])
        every = np.concatenate([self._devices[group], devices])
        drawn = np.concatenate([self._keys[group], keys])
        order = np.lexsort((every, drawn))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        # whoever is there already, here or in another group, is asked after and not taken in again
        _, first, same = np.unique(every, return_index=True, return_inverse=True)
        rank = rank[first[same]]
        new = first[same] == np.arange(len(every))
        elsewhere = there & ~np.isin(devices, self._devices[group]) if there.any() else there
        new[held:] &= ~elsewhere
        kept, taken = _kept_in_turn(np.sort(rank[:held]), rank[held:], new[held:], capacity)
        chosen = order[taken]
        self._devices[group], self._keys[group] = every[chosen], drawn[chosen]
        self._greatest[group] = self._keys[group][-1] if len(chosen) == capacity else np.inf
        return kept | elsewhere

    def cutoffs(self) -> Keys:
        """By group, the greatest key that finds a seat now (float64); NaN for one without seats, such as the last."""
        return self._greatest.copy()

    def copy(self) -> "Seats":
        """Seats of the same capacities with the same members."""
        made = Seats(self._capacities)
        made._devices, made._keys = dict(self._devices), dict(self._keys)
        made._greatest = self._greatest.copy()
        return made

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

    def holds(self, devices: Devices) -> Mask:
        """Which of `devices` (int64) hold a seat now (bool, same shape)."""
        held: Mask = np.isin(devices, self.members())
        return held


def _kept_in_turn(
    standing: NDArray[np.int64], ranks: NDArray[np.int64], new: Mask, capacity: int
) -> tuple[Mask, NDArray[np.int64]]:
    """Of rows that come in turn with `ranks`: who is among the `capacity` smallest right then; and the last such ranks.

    `standing`: the sorted ranks of those kept before. Rows that are not `new` are asked after and take nobody's place.
    """
    kept = np.zeros(len(ranks), np.bool_)
    for start in range(0, len(ranks), BLOCK):
        part = slice(start, start + BLOCK)
        asked, adding = ranks[part], new[part]
        count = len(asked)
        before = (asked[None, :] < asked[:, None]) & adding[None, :] & _BEFORE[:count, :count]
        kept[part] = standing.searchsorted(asked) + before.sum(axis=1) < capacity
        came = np.sort(asked[adding & kept[part]])
        standing = np.insert(standing, standing.searchsorted(came), came)[:capacity]
    return kept, standing
