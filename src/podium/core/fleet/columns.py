"""The fleet in columns: what the core must know of every device to decide about it, one array element per device.

Decides: nothing; it is the memory that selection reads. Volatile by design: session epoch, begin and facts, last
seen, and the momentary facts of the last check-in (an operator is told them). A snapshot of them (snapshot.py) is kept
now and then; what it misses comes back with the device's next session.
Durable rows (core/rows.py DeviceRow) fill `participated_ms`, `place`, `banned` and `cordoned`.
Limits: arrays grow by doubling; some 150 bytes a device. Equal fact sets are kept once.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.facts import DATASETS, Facts, data_row
from podium.core.fleet.sets import SLOTS, FactSets
from podium.core.fleet.telemetry import ABSENT, QUALITIES, SWITCHES, DataFacts, Telemetry
from podium.core.rows import DeviceRow

NEVER = -1
CHUNK_BITS = 16
CHUNK = 1 << CHUNK_BITS
"""Devices of which one `changed` tells, and that are kept together (snapshot.py)."""
TOLD = np.dtype(
    [(name, np.int8 if name in SWITCHES else np.float32) for name in Telemetry.__struct_fields__], align=True
)
DATA = np.dtype([*((name, np.float32) for name in QUALITIES), ("examples", np.int32, (SLOTS,))])
"""What a device tells at once is one record: devices of a batch are anywhere in memory, a record costs one access."""
Place = tuple[str, str, dict[str, str]]
"""Where a device was enrolled: its population, its site, and its labels."""


class Fleet:
    """Columns by device number: `epoch`, `seen_ms`, `session_ms`, `participated_ms` int64, `facts_id`, `place` int32,
    what is so or not: `banned`, `cordoned`, `live`; what devices told: `telemetry`, `qualities`, `examples` (n, SLOTS).
    `changed` is by chunk: whether one of its devices told something since it was last kept."""

    FILLS: ClassVar[dict[str, tuple[type, int]]] = {
        "epoch": (np.int64, NEVER),
        "seen_ms": (np.int64, NEVER),
        "session_ms": (np.int64, NEVER),
        "participated_ms": (np.int64, NEVER),
        "facts_id": (np.int32, NEVER),
        "place": (np.int32, 0),
        "banned": (np.bool_, False),
        "cordoned": (np.bool_, False),
        "live": (np.bool_, False),
        "_mark": (np.int32, 0),
    }

    def __init__(self) -> None:
        self.size = 0
        self.epoch: NDArray[np.int64]
        self.seen_ms: NDArray[np.int64]
        self.session_ms: NDArray[np.int64]
        self.participated_ms: NDArray[np.int64]
        self.facts_id: NDArray[np.int32]
        self.place: NDArray[np.int32]
        self.banned: NDArray[np.bool_]
        self.cordoned: NDArray[np.bool_]
        self.live: NDArray[np.bool_]
        self._mark: NDArray[np.int32]
        for name, (kind, fill) in self.FILLS.items():
            setattr(self, name, np.full(16, fill, kind))
        self._look(_untold(16, TOLD), _untold(16, DATA))
        self.changed: NDArray[np.bool_] = np.zeros(-(-16 // CHUNK), np.bool_)
        self.facts = FactSets()
        self.places: list[Place] = []
        self._place_numbers: dict[tuple[Sequence[str], ...], int] = {}

    def take(self, rows: Sequence[DeviceRow]) -> None:
        """Let the columns hold what `rows` say, whose numbers follow one another; they grow for new devices."""
        first = rows[0].number
        end = first + len(rows)
        self._grow(end)
        self.size = max(self.size, end)
        self.participated_ms[first:end] = [row.participated_ms for row in rows]
        states = [row.state for row in rows]
        self.banned[first:end] = [state == "banned" for state in states]
        self.cordoned[first:end] = [state == "cordoned" for state in states]
        known = self._place_numbers.get
        places = [known((row.population, row.site, *row.labels.items())) for row in rows]
        self.place[first:end] = [
            self._place_of(row) if place is None else place for place, row in zip(places, rows, strict=True)
        ]

    def _place_of(self, row: DeviceRow) -> int:
        """The number of the place of `row`, maybe a new one; labels in another order are a further key of one place."""
        ordered = (row.population, row.site, *sorted(row.labels.items()))
        number = self._place_numbers.setdefault(ordered, len(self.places))
        self._place_numbers[row.population, row.site, *row.labels.items()] = number
        if number == len(self.places):
            self.places.append((row.population, row.site, dict(row.labels)))
        return number

    def _grow(self, size: int) -> None:
        if size <= len(self.epoch):
            return
        more = max(size, 2 * len(self.epoch)) - len(self.epoch)
        chunks = -(-(len(self.epoch) + more) // CHUNK) - len(self.changed)
        self.changed = np.concatenate([self.changed, np.zeros(chunks, np.bool_)])
        for name, (kind, fill) in self.FILLS.items():
            setattr(self, name, np.concatenate([getattr(self, name), np.full(more, fill, kind)]))
        told, data = (
            np.concatenate([self._told, _untold(more, TOLD)]),
            np.concatenate([self._data, _untold(more, DATA)]),
        )
        self._look(told, data)

    def _look(self, told: NDArray[np.void], data: NDArray[np.void]) -> None:
        """Let the columns be those of the records `told` and `data`."""
        self._told, self._data = told, data
        self.telemetry = Telemetry(**{name: told[name] for name in TOLD.names or ()})
        self.qualities: dict[str, NDArray[np.float32]] = {name: data[name] for name in QUALITIES}
        self.examples: NDArray[np.int32] = data["examples"]

    def hear(self, devices: NDArray[np.int64], told: Telemetry, rows: NDArray[np.int64] | slice) -> None:
        """Keep what `devices` (int64, shape (n,)) told in `rows` of `told`."""
        kept = np.empty(len(devices), TOLD)
        for name in Telemetry.__struct_fields__:
            kept[name] = getattr(told, name)[rows]
        self._told.put(devices, kept, mode="clip")
        self.changed[devices >> CHUNK_BITS] = True

    def open_sessions(self, devices: NDArray[np.int64], epochs: NDArray[np.int64], sets: NDArray[np.int32]) -> None:
        """Start `epochs` of `devices`, none twice, which hold the fact sets `sets`; those of their last go."""
        before = self.facts_id[devices]
        for number, holders in zip(*np.unique(before[before != NEVER], return_counts=True), strict=True):
            self.facts.release(int(number), int(holders))
        self.epoch[devices] = epochs
        self.facts_id[devices] = sets
        self.changed[devices >> CHUNK_BITS] = True

    def hear_data(self, devices: NDArray[np.int64], told: DataFacts, rows: NDArray[np.int64]) -> None:
        """Keep what `devices`, whose session is open, told of their data in `rows` of `told`."""
        kept = np.empty(len(devices), DATA)
        for name in QUALITIES:
            kept[name] = getattr(told, name)[rows]
        kept["examples"] = ABSENT
        held = self.facts_id[devices]
        order = np.argsort(held, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(held[order])) + 1) if len(order) else ():
            names = self.facts.of(int(held[part[0]]))[DATASETS]
            for slot, name in enumerate(names if isinstance(names, dict) else ()):
                kept["examples"][part, slot] = told.examples[name][rows[part]]
        self._data.put(devices, kept, mode="clip")

    def examples_of(self, name: str, devices: NDArray[np.int64]) -> NDArray[np.int32]:
        """How many examples of dataset `name` each of `devices`, whose session is open, told; 0 not told, or ABSENT."""
        slot = self.facts.slot(name)[self.facts_id[devices]]
        told: NDArray[np.int32] = np.where(slot >= 0, self.examples[devices, np.maximum(slot, 0)], ABSENT)
        return told

    def facts_of(self, device: int) -> Facts:
        """The facts of one device that hold for its session: its fact set, and what it told of its data."""
        standing = self.facts.of(int(self.facts_id[device]))
        if not standing:
            return {}
        names, told = standing[DATASETS], self.examples[device]
        assert isinstance(names, dict)
        datasets = {name: int(told[slot]) for slot, name in enumerate(names)}
        return {**standing, DATASETS: datasets, **data_row(self.qualities, device)}

    def first_again(self, devices: NDArray[np.int64]) -> int:
        """Where in `devices` the first one stands that stood before; their length if none does."""
        places = np.arange(len(devices), dtype=np.int32)
        self._mark[devices] = places
        again = self._mark[devices] != places
        if not np.count_nonzero(again):
            return len(devices)
        _, firsts = np.unique(devices, return_index=True)
        twice = np.ones(len(devices), np.bool_)
        twice[firsts] = False
        return int(np.argmax(twice))

    def online(self, since_ms: int) -> int:
        """How many devices were seen at or after `since_ms`."""
        return int(np.count_nonzero(self.seen_ms[: self.size] >= since_ms))


def _untold(rows: int, kind: np.dtype[np.void]) -> NDArray[np.void]:
    """`rows` records in which nothing is known."""
    one = np.empty(1, kind)
    for name in kind.names or ():
        counted = kind[name].base.kind == "i"
        one[name] = -1 if counted else np.nan
    return one.repeat(rows)
