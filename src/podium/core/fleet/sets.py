"""Distinct sets of standing facts, kept once however many devices hold them.

Decides: the number of a set, and in which slot of `Fleet.examples` a dataset's count stands for the devices of a set.
Never: what a rule makes of them. A set names its datasets; how many examples a device has is its own column, so that a
million devices with as many different counts still share a few sets.
Limits: numbers are never used twice, so whoever keeps something by number never finds another set under it; a device
has at most `SLOTS` datasets (its gateway refuses more).
"""

import heapq
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.facts import DATASETS, Facts

SLOTS = 8
NONE = -1
TABLES_MAX = 64
"""More than the datasets that the tasks of a plane name; devices may name any number."""


class FactSets:
    """Distinct fact sets by a small number, counted by their holders; `count` numbers were given so far."""

    def __init__(self) -> None:
        self._by_bytes: dict[bytes, int] = {}
        self._held: dict[int, tuple[bytes, Facts, int]] = {}
        self.count = 0
        self._slots: dict[str, NDArray[np.int16]] = {}

    def hold(self, facts: Facts, holders: int = 1) -> int:
        """The number of this fact set, with `holders` more. Numbers are never used twice."""
        key = msgspec.json.encode(facts, order="deterministic")
        number = self._by_bytes.get(key)
        if number is None:
            number, self.count = self.count, self.count + 1
            self._by_bytes[key] = number
            self._held[number] = (key, facts, 0)
            for dataset, table in self._slots.items():
                self._slots[dataset] = _with(table, number, _place(facts, dataset))
        key, facts, before = self._held[number]
        self._held[number] = (key, facts, before + holders)
        return number

    def release(self, number: int, holders: int = 1) -> None:
        """`holders` less; the last one frees the set. -1 is nobody's."""
        if number == NONE:
            return
        key, facts, before = self._held[number]
        if before > holders:
            self._held[number] = (key, facts, before - holders)
            return
        del self._held[number], self._by_bytes[key]

    def of(self, number: int) -> Facts:
        """The facts of a set; none for -1."""
        return self._held[number][1] if number != NONE else {}

    def slot(self, dataset: str) -> NDArray[np.int16]:
        """By set number: the slot in which its devices' examples of `dataset` stand, -1 if it has none.

        It may go on beyond the last set's. Of the last `TABLES_MAX` datasets asked for it is kept, and grows by set.
        """
        table = self._slots.get(dataset)
        if table is None:
            table = np.full(max(16, self.count), NONE, np.int16)
            for number, (_, facts, _) in self._held.items():
                table[number] = _place(facts, dataset)
            if len(self._slots) >= TABLES_MAX:
                del self._slots[next(iter(self._slots))]
            self._slots[dataset] = table
        return table

    def most(self, limit: int) -> Iterator[tuple[int, Facts]]:
        """The numbers and facts of the `limit` sets that the most devices hold, the most first."""
        held = heapq.nlargest(limit, self._held.items(), key=lambda item: item[1][2])
        return ((number, facts) for number, (_, facts, _) in held)


def _place(facts: Facts, dataset: str) -> int:
    """The slot of `dataset` in a set, `NONE` if it has it not."""
    names = facts.get(DATASETS)
    return list(names).index(dataset) if isinstance(names, dict) and dataset in names else NONE


def _with(table: NDArray[np.int16], number: int, slot: int) -> NDArray[np.int16]:
    """`table`, grown by doubling, with `slot` at `number`."""
    if number >= len(table):
        table = np.concatenate([table, np.full(max(number + 1, 2 * len(table)) - len(table), NONE, np.int16)])
    table[number] = slot
    return table
