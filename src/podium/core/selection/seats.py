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
from typing import NamedTuple

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
DEVICE_BITS = 40
"""More than a device number has; what is left of 63 is more than a group has seats."""
_BEFORE = np.tri(BLOCK, k=-1, dtype=np.bool_)


class Seats:
    """At most `capacities[group]` devices of each group; groups are numbers from 0 to 32,767."""

    def __init__(self, capacities: Mapping[int, int]) -> None:
        self._capacities = {group: capacity for group, capacity in sorted(capacities.items()) if capacity > 0}
        self._devices: dict[int, Devices] = {group: np.empty(0, np.int64) for group in self._capacities}
        self._keys: dict[int, Keys] = {group: np.empty(0, np.float64) for group in self._capacities}
        # by group + 1, the greatest key that still finds a seat; NaN compares false, so a group without seats keeps
        # nobody, and those below the first and beyond the last one are without
        self._greatest: Keys = np.full(max(self._capacities, default=-1) + 3, np.nan)
        for group in self._capacities:
            self._greatest[group + 1] = np.inf
        self._found: _Found | None = None  # as last asked for, until the members are others

    def offer(self, devices: Devices, groups: Groups, keys: Keys) -> Mask:
        """Nominate `devices` (int64) in `groups` (int16) with `keys` (float64), all of one shape.

        Which of them are kept right after their own row (bool, same shape); a later row may still take the seat. A
        group without capacity has no seat; a device already kept stays once, with its first key. A key that is NaN
        nominates nobody: such a row asks whether the device is kept.
        """
        kept = np.zeros(len(devices), np.bool_)
        start, count = 0, FIRST
        while start < len(devices):
            part = slice(start, start + count)
            kept[part] = self._offer(devices[part], groups[part], keys[part])
            start, count = start + count, 2 * count
        return kept

    def _offer(self, devices: Devices, groups: Groups, keys: Keys) -> Mask:
        kept = np.zeros(len(devices), np.bool_)
        beyond = self._greatest.take(np.add(groups, 1, dtype=np.int32), mode="clip")
        rows = ((keys <= beyond) | np.isnan(keys)).nonzero()[0]
        if len(rows) == 0:
            return kept
        devices, groups, keys = devices[rows], groups[rows], keys[rows]
        place = self._index().places(devices)
        there = place >= 0
        if np.count_nonzero(there):  # whoever is kept is asked after, and not taken in again
            groups[there], keys[there] = self._index().group[place[there]], self._index().key[place[there]]
        new = ~(there | np.isnan(keys))
        kept[rows[there]] = True  # until somebody new takes the seat
        for group in sorted(set(groups[new].tolist())):
            mine = ((groups == group) & (new | there)).nonzero()[0]
            kept[rows[mine]] = self._merge(group, devices[mine], keys[mine], new[mine])
        return kept

    def _merge(self, group: int, devices: Devices, keys: Keys, new: Mask) -> Mask:
        """Offer what may find a seat in `group`: everybody gets a rank, and a row is kept if few enough come before.

        Rows that are not `new` are kept already, with these keys.
        """
        held, capacity = self._devices[group], self._capacities[group]
        place, first = _places(held, self._keys[group], devices, keys), _first_places(devices)
        if first is not None:
            new, place = new & (first == np.arange(len(devices))), place[first]
        fresh = new.nonzero()[0]
        fresh = fresh[np.lexsort((devices[fresh], keys[fresh]))]
        risen, count = place[fresh], len(held) + len(fresh)
        rank = place + risen.searchsorted(place, side="right")
        rank[fresh] = risen + np.arange(len(fresh))
        stood = np.ones(count, np.bool_)
        stood[rank[fresh]] = False
        every, drawn = np.empty(count, np.int64), np.empty(count, np.float64)
        every[stood], drawn[stood] = held, self._keys[group]
        every[rank[fresh]], drawn[rank[fresh]] = devices[fresh], keys[fresh]
        self._devices[group], self._keys[group] = every[:capacity], drawn[:capacity]
        self._greatest[group + 1] = drawn[capacity - 1] if count >= capacity else np.inf
        came = ~stood[:capacity]
        self._found = self._index().after(every[capacity:], every[:capacity][came], group, drawn[:capacity][came])
        if count <= capacity:
            return np.ones(len(devices), np.bool_)
        return _kept_in_turn(place, rank if first is None else rank[first], new, capacity)

    def cutoffs(self) -> Keys:
        """By group, the greatest key that finds a seat now (float64); NaN for one without seats, such as the last."""
        return self._greatest[1:].copy()

    def copy(self) -> "Seats":
        """Seats of the same capacities with the same members."""
        made = Seats(self._capacities)
        made._devices, made._keys = dict(self._devices), dict(self._keys)
        made._greatest, made._found = self._greatest.copy(), self._found
        return made

    def drop(self, device: int) -> None:
        """Let the seat of `device` go, if it holds one; whoever found none before gets it only by a new `offer`."""
        for group, kept in self._devices.items():
            stay = kept != device
            if not stay.all():
                self._devices[group], self._keys[group] = kept[stay], self._keys[group][stay]
                self._greatest[group + 1], self._found = np.inf, None

    def members(self) -> Devices:
        """The kept device numbers (int64): groups in order, in each the smallest key first."""
        return np.concatenate([np.empty(0, np.int64), *self._devices.values()])

    def holds(self, devices: Devices) -> Mask:
        """Which of `devices` (int64) hold a seat now (bool, same shape)."""
        held: Mask = self._index().places(devices) >= 0
        return held

    def _index(self) -> "_Found":
        if self._found is None:
            self._found = _Found(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0))
            for group, devices in self._devices.items():
                self._found = self._found.after(devices[:0], devices, group, self._keys[group])
        return self._found


class _Found(NamedTuple):
    """The members by device number, rising, with their groups and keys."""

    device: Devices
    group: Groups
    key: Keys

    def places(self, devices: Devices) -> NDArray[np.int64]:
        """Where each of `devices` stands (int64, same shape), -1: nowhere."""
        if len(self.device) == 0:
            return np.full(len(devices), -1)
        place = self.device.searchsorted(devices)
        place[self.device.take(place, mode="clip") != devices] = -1
        return place

    def after(self, gone: Devices, came: Devices, group: int, keys: Keys) -> "_Found":
        """These without those of `gone`, some of whom may not be there, and with `came` in `group` with `keys`."""
        kept = self
        if len(gone):
            stay = np.ones(len(self.device) + 1, np.bool_)
            stay[self.places(gone)] = False  # of whoever is not there the last one, of nobody
            kept = _Found(self.device[stay[:-1]], self.group[stay[:-1]], self.key[stay[:-1]])
        devices = np.concatenate([kept.device, came])
        groups = np.concatenate([kept.group, np.full(len(came), group, np.int16)])
        order = devices.argsort(kind="stable")  # that makes use of it that the first ones rise
        return _Found(devices[order], groups[order], np.concatenate([kept.key, keys])[order])


def _places(held: Devices, drawn: Keys, devices: Devices, keys: Keys) -> NDArray[np.int64]:
    """How many of those `held`, by rising `drawn` keys and number, come before each of `devices` with `keys`: int64."""
    place = drawn.searchsorted(keys)
    tied = ((drawn.take(place, mode="clip") == keys) if len(drawn) else np.zeros(len(keys), np.bool_)).nonzero()[0]
    if len(tied):  # among equal keys the smaller number is first
        run = (drawn.searchsorted(drawn) << DEVICE_BITS) + held
        place[tied] = run.searchsorted((place[tied] << DEVICE_BITS) + devices[tied])
    return place


def _first_places(devices: Devices) -> NDArray[np.int64] | None:
    """For each of `devices` where it first stands among them (int64, same shape); None: all differ."""
    rising = np.sort(devices)
    if not np.count_nonzero(rising[1:] == rising[:-1]):
        return None
    _, first, same = np.unique(devices, return_index=True, return_inverse=True)
    return first[same]


def _kept_in_turn(place: NDArray[np.int64], rank: NDArray[np.int64], new: Mask, capacity: int) -> Mask:
    """Of rows that come in turn, who is among the first `capacity` right then.

    `place`: how many of those kept before come before each; `rank`: the order of all. Rows that are not `new` are asked
    after and take nobody's place.
    """
    kept, came = np.zeros(len(rank), np.bool_), np.empty(0, np.int64)
    for start in range(0, len(rank), BLOCK):
        part = slice(start, start + BLOCK)
        asked, adding = rank[part], new[part]
        count = len(asked)
        before = (asked[None, :] < asked[:, None]) & adding[None, :] & _BEFORE[:count, :count]
        kept[part] = place[part] + came.searchsorted(asked) + before.sum(axis=1) < capacity
        came = np.sort(np.concatenate([came, asked[adding & kept[part]]]), kind="stable")
    return kept
