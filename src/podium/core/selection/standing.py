"""What a rule's parts give for a fact set, remembered: computed once a set by the CEL library, then looked up by row.

Decides: nothing. A part names standing facts, and perhaps switches (a bool of one check-in), of which there are so few
values that all are computed at once. Never: how a part is evaluated, the library does that.
Limits: `SETS_MAX` sets are remembered a rule. Fact set numbers are never used twice and grow, so a set has the place of
its number modulo the table's length: sets that nobody holds any more are overwritten by later ones, and what a set's
number says stays so for as long as it is there.
"""

from collections.abc import Callable, Sequence
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.facts import Fact, Facts
from podium.core.selection.operations import Column, Values

SETS_MAX = 1 << 20
"""More than the distinct fact sets of any fleet that fits in memory; about 10 bytes each and part."""
_FEWEST = 64
_EMPTY = -1
TOLD: tuple[bool | None, ...] = (None, False, True)
"""The values of a switch, by its column's number plus one."""

Evaluate = Callable[[Facts], Fact | None]
"""A part's value for the facts, None if it is unknown."""


class Part(msgspec.Struct, frozen=True):
    """One part of a rule: how it is evaluated, the switches it names, and the type of its values."""

    evaluate: Evaluate
    switches: tuple[str, ...]
    dtype: type[np.generic]


class Crowded(Exception):
    """Two of the sets asked for have the same place in a table that may not grow any more."""


class Standing:
    """The values of `parts` for each fact set met so far."""

    def __init__(self, sets_max: int = SETS_MAX) -> None:
        self.parts: list[Part] = []
        self._sets_max = sets_max
        self._held: NDArray[np.int64] = np.full(min(_FEWEST, sets_max), _EMPTY, np.int64)
        self._values: list[Values] = []
        self._unknown: list[NDArray[np.bool_]] = []
        self._some_unknown: list[bool] = []

    def add(self, part: Part) -> int:
        """Remember `part` too (before any set is met); its number."""
        shape: tuple[int, ...] = (len(self._held),)
        if part.switches:
            shape = (*shape, len(TOLD) ** len(part.switches))
        self.parts.append(part)
        self._values.append(np.zeros(shape, part.dtype))
        self._unknown.append(np.zeros(shape, np.bool_))
        self._some_unknown.append(False)
        return len(self.parts) - 1

    def places(self, sets: NDArray[np.int32], facts_of: Callable[[int], Facts]) -> NDArray[np.int64]:
        """The place of each set of `sets` (shape (rows,)); sets not met before are evaluated. `Crowded`."""
        places = sets & np.int64(len(self._held) - 1)
        if not self.parts:  # nothing is remembered
            return places
        strange = self._held[places] != sets
        if not np.count_nonzero(strange):
            return places
        for number in np.unique(sets[strange]).tolist():
            self._meet(number, facts_of(number))
        places = sets & np.int64(len(self._held) - 1)
        if (self._held[places] != sets).any():
            raise Crowded
        return places

    def column(self, number: int, places: NDArray[np.int64], told: NDArray[np.int64] | None) -> Column:
        """Part `number` for the sets at `places`; `told` is the number of its switches' values, None if it has none."""
        where = places if told is None else (places, told)
        values, unknown = self._values[number], self._unknown[number]
        return values[where], unknown[where] if self._some_unknown[number] else None

    def _meet(self, number: int, facts: Facts) -> None:
        place = number & (len(self._held) - 1)
        while self._held[place] not in (_EMPTY, number) and len(self._held) < self._sets_max:
            self._grow()
            place = number & (len(self._held) - 1)
        self._held[place] = number
        for index, part in enumerate(self.parts):
            for told, values in enumerate(product(TOLD, repeat=len(part.switches))):
                known = {name: value for name, value in zip(part.switches, values, strict=True) if value is not None}
                value = part.evaluate({**facts, **known} if part.switches else facts)
                where = (place, told) if part.switches else place
                self._unknown[index][where] = value is None
                self._values[index][where] = 0 if value is None else value
                self._some_unknown[index] |= value is None

    def _grow(self) -> None:
        """Double the table: places that differ stay different."""
        kept = np.flatnonzero(self._held != _EMPTY)
        length = 2 * len(self._held)
        places = self._held[kept] & (length - 1)
        self._held = _moved(self._held, kept, places, _EMPTY)
        self._values = [_moved(each, kept, places, 0) for each in self._values]
        self._unknown = [_moved(each, kept, places, False) for each in self._unknown]


def told_number(switches: Sequence[NDArray[np.int8]]) -> NDArray[np.int64]:
    """The number of the switches' values (-1 unknown, 0, 1), in the order in which they are evaluated."""
    number = np.zeros(len(switches[0]), np.int64)
    for each in switches:
        number = number * len(TOLD) + each + 1
    return number


def _moved(table: Values, kept: NDArray[np.int64], places: NDArray[np.int64], fill: int) -> Values:
    wider = np.full((2 * len(table), *table.shape[1:]), fill, table.dtype)
    wider[places] = table[kept]
    return wider
