"""The fleet in columns: what the core must know of every device to decide about it, one array element per device.

Decides: nothing; it is the memory that selection reads. Volatile by design: session epoch and facts, last seen, and the
momentary facts of the last check-in (an operator is told them); they come back with the device's next session.
Durable rows (core/rows.py DeviceRow) fill `participated_ms`, `banned` and `cordoned`.
Limits: arrays grow by doubling; equal fact sets are kept once.
"""

import heapq
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.events import Telemetry
from podium.core.fleet.facts import Facts
from podium.core.rows import DeviceRow

NEVER = -1


class Fleet:
    """Columns by device number: `epoch`, `seen_ms`, `participated_ms` int64, `facts_id` int32, and what is so or not:
    `banned`, `cordoned`, `live`."""

    def __init__(self) -> None:
        self.size = 0
        self.epoch: NDArray[np.int64] = np.full(16, NEVER, np.int64)
        self.seen_ms: NDArray[np.int64] = np.full(16, NEVER, np.int64)
        self.participated_ms: NDArray[np.int64] = np.full(16, NEVER, np.int64)
        self.facts_id: NDArray[np.int32] = np.full(16, NEVER, np.int32)
        self.banned: NDArray[np.bool_] = np.zeros(16, np.bool_)
        self.cordoned: NDArray[np.bool_] = np.zeros(16, np.bool_)
        self.live: NDArray[np.bool_] = np.zeros(16, np.bool_)
        self.telemetry = _untold(16)
        self.facts = FactSets()

    def take(self, row: DeviceRow) -> None:
        """Let the columns hold what `row` says, growing them if it is a new device."""
        while row.number >= len(self.epoch):
            for name in ("epoch", "seen_ms", "participated_ms", "facts_id", "banned", "cordoned", "live"):
                column = getattr(self, name)
                fill = np.zeros_like(column) if column.dtype == np.bool_ else np.full_like(column, NEVER)
                setattr(self, name, np.concatenate([column, fill]))
            self.telemetry = _joined(self.telemetry, _untold(len(self.epoch) // 2))
        self.size = max(self.size, row.number + 1)
        self.participated_ms[row.number] = row.participated_ms
        self.banned[row.number] = row.state == "banned"
        self.cordoned[row.number] = row.state == "cordoned"

    def hear(self, devices: NDArray[np.int64], telemetry: Telemetry, rows: NDArray[np.int64]) -> None:
        """Keep what `devices` (int64, shape (n,)) told in `rows` (int64, shape (n,)) of `telemetry`."""
        for name in Telemetry.__struct_fields__:
            getattr(self.telemetry, name)[devices] = getattr(telemetry, name)[rows]

    def open_session(self, device: int, epoch: int, facts: Facts) -> None:
        """Start `epoch` of `device` with `facts`; the facts of its last session are let go."""
        self.epoch[device] = epoch
        self.facts.release(int(self.facts_id[device]))
        self.facts_id[device] = self.facts.hold(facts)

    def online(self, since_ms: int) -> int:
        """How many devices were seen at or after `since_ms`."""
        return int(np.count_nonzero(self.seen_ms[: self.size] >= since_ms))


def _untold(rows: int) -> Telemetry:
    """`rows` rows in which nothing is known."""

    def level() -> NDArray[np.float32]:
        return np.full(rows, np.nan, np.float32)

    def switch() -> NDArray[np.int8]:
        return np.full(rows, -1, np.int8)

    return Telemetry(
        battery=level(),
        charging=switch(),
        metered=switch(),
        ram_free_mb=level(),
        disk_free_mb=level(),
        thermal_c=level(),
    )


def _joined(first: Telemetry, second: Telemetry) -> Telemetry:
    names = Telemetry.__struct_fields__
    return Telemetry(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


class FactSets:
    """Distinct fact sets by a small number, counted by their holders."""

    def __init__(self) -> None:
        self._by_bytes: dict[bytes, int] = {}
        self._held: dict[int, tuple[bytes, Facts, int]] = {}
        self._next = 0

    def hold(self, facts: Facts) -> int:
        """The number of this fact set, with one holder more. Numbers are never used twice."""
        key = msgspec.json.encode(facts, order="deterministic")
        number = self._by_bytes.get(key)
        if number is None:
            number, self._next = self._next, self._next + 1
            self._by_bytes[key] = number
            self._held[number] = (key, facts, 0)
        key, facts, holders = self._held[number]
        self._held[number] = (key, facts, holders + 1)
        return number

    def release(self, number: int) -> None:
        """One holder less; the last one frees the set. -1 is nobody's."""
        if number == NEVER:
            return
        key, facts, holders = self._held[number]
        if holders > 1:
            self._held[number] = (key, facts, holders - 1)
            return
        del self._held[number], self._by_bytes[key]

    def of(self, number: int) -> Facts:
        """The facts of a set; none for -1."""
        return self._held[number][1] if number != NEVER else {}

    def most(self, limit: int) -> Iterator[tuple[int, Facts]]:
        """The numbers and facts of the `limit` sets that the most devices hold, the most first."""
        held = heapq.nlargest(limit, self._held.items(), key=lambda item: item[1][2])
        return ((number, facts) for number, (_, facts, _) in held)
