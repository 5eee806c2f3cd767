"""Pages of the embedded store's tables: lists of a million rows, read a page at a time over a connection of its own.

Decides: which index a filter is answered by; every list goes on from a key, never from an offset. Never: writes, nor
what is volatile (who is online, who is at work). What no index answers is checked row by row, on at most `SCAN` rows a
call: a page may then be short, and says where the next one begins.
"""

import json
from collections.abc import Sequence
from typing import TypeVar

from podium.adapters.sqlite.reader import SqliteReader, entry
from podium.core.records import decode_row
from podium.core.rows import AliasMoveRow, LeaseRow
from podium.ports.plane import DevicesWanted, EntriesWanted, Entry, Found
from podium.wire.problems import StoreFault

SCAN = 10_000
"""Rows that one call looks at for a filter beside the one that leads."""
TOP = 2**62
"""Above every place and number."""
_LAST = "\U0010ffff"

R = TypeVar("R", LeaseRow, AliasMoveRow)
Condition = tuple[str, list[str | int]]
"""An SQL text (a condition, or a whole query) and its values."""


class SqlitePages:
    """The `Pages` port over a reader of its own, so that a page never waits for the plane's other readings."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    def devices(self, wanted: DevicesWanted, after: int, limit: int) -> Found:
        """Numbers of devices, in order of enrolment, or by name where a name is wanted, beyond device `after` (-1)."""
        leading, values, order = _leading_devices(wanted, after)
        conditions = _of_devices(wanted)
        checked = " AND ".join(sql for sql, _ in conditions) or "1"
        some = f"SELECT number FROM ({leading} ORDER BY {order} LIMIT {SCAN})"
        query = f"SELECT c.number FROM ({some}) AS c CROSS JOIN devices AS d ON d.number = c.number WHERE {checked}"
        if len(conditions) <= len(_ordered(wanted)):  # the leading index has answered them all
            query, conditions = f"SELECT number FROM ({some}) AS c WHERE 1", []
        given = [*values, *(value for _, each in conditions for value in each)]
        return self._found("listing devices", (query, given), (some, values), limit)

    def devices_called(self, text: str, limit: int) -> tuple[list[int], list[int]]:
        """Numbers of devices of that very name, and of those whose id begins with `text`; at most `limit` each."""
        with self._reader.read("looking for a device") as db:
            named = db.execute("SELECT number FROM devices WHERE name = ? ORDER BY number LIMIT ?", (text, limit))
            numbers = [number for (number,) in named]
            query = "SELECT number FROM devices WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
            return numbers, [number for (number,) in db.execute(query, (text, text + _LAST, limit))]

    def devices_among(self, numbers: Sequence[int], wanted: DevicesWanted) -> list[int]:
        """Those of `numbers` whose devices are as wanted, in their order."""
        conditions = _of_devices(wanted)
        if not conditions:
            return list(numbers)
        checked = " AND ".join(sql for sql, _ in conditions)
        query = (
            "SELECT d.number FROM json_each(?) AS c CROSS JOIN devices AS d ON d.number = c.value"
            f" WHERE {checked} ORDER BY c.key"
        )
        with self._reader.read("listing devices") as db:
            given = [json.dumps(list(numbers)), *(value for _, each in conditions for value in each)]
            return [number for (number,) in db.execute(query, given)]

    def device_leases(self, device: str, before: int, limit: int) -> list[tuple[int, LeaseRow]]:
        """The leases of a device with their place in the table, newest first, below place `before` (0: all)."""
        return self._leases("device = ? AND rowid < ? ORDER BY rowid DESC", (device, before or TOP), limit)

    def round_leases(self, run: str, round: int, after: int, limit: int) -> list[tuple[int, LeaseRow]]:
        """The leases of a round with their place in the table, oldest first, above place `after`."""
        return self._leases("run = ? AND round = ? AND rowid > ? ORDER BY rowid", (run, round, after), limit)

    def _leases(self, where: str, given: tuple[str | int, ...], limit: int) -> list[tuple[int, LeaseRow]]:
        with self._reader.read("listing leases") as db:
            found = db.execute(f"SELECT rowid, body FROM leases WHERE {where} LIMIT ?", (*given, limit)).fetchall()
        return [(place, _row(body, LeaseRow)) for place, body in found]

    def moves(self, alias: str, before: int, limit: int) -> list[AliasMoveRow]:
        """The moves of an alias, newest first, with a counter below `before` (0: all)."""
        with self._reader.read("listing moves") as db:
            found = db.execute(
                "SELECT body FROM alias_moves WHERE alias = ? AND counter < ? ORDER BY counter DESC LIMIT ?",
                (alias, before or TOP, limit),
            ).fetchall()
        return [_row(body, AliasMoveRow) for (body,) in found]

    def journal(self, wanted: EntriesWanted, before: int, limit: int) -> Found:
        """Numbers of history entries, newest first, below `before` (0: all)."""
        led, rest = _leading_entries(wanted)
        values = [*led[1], before or TOP]
        some = f"SELECT number FROM history WHERE {led[0]} AND number < ? ORDER BY number DESC LIMIT {SCAN}"
        query = f"SELECT number FROM ({some}) AS c WHERE 1"
        if rest:
            checked = " AND ".join(sql for sql, _ in rest)
            query = f"SELECT c.number FROM ({some}) AS c CROSS JOIN history AS h ON h.number = c.number WHERE {checked}"
        given = [*values, *(value for _, each in rest for value in each)]
        return self._found("listing the journal", (query, given), (some, values), limit)

    def numbered(self, numbers: Sequence[int]) -> list[Entry]:
        """The history entries of these numbers, in this order."""
        query = (
            "SELECT h.number, step, tree, place, salt, record, leaf FROM json_each(?) AS c"
            " CROSS JOIN history AS h ON h.number = c.value ORDER BY c.key"
        )
        with self._reader.read("reading entries") as db:
            return [entry(row) for row in db.execute(query, (json.dumps(list(numbers)),))]

    def pending(self) -> int:
        """How many history entries wait for their place."""
        with self._reader.read("counting entries without a place") as db:
            return int(db.execute("SELECT count(*) FROM history WHERE place = -1").fetchone()[0])

    def close(self) -> None:
        """Release the connection."""
        self._reader.close()

    def _found(self, what: str, query: Condition, looked: Condition, limit: int) -> Found:
        """The page of `query`, which checks the rows of `looked` in order and stops at the page's end."""
        with self._reader.read(what) as db:
            numbers = [number for (number,) in db.execute(f"{query[0]} LIMIT ?", (*query[1], limit + 1))]
            if len(numbers) > limit:
                return Found(numbers=numbers[:limit], next=numbers[limit - 1])
            last = db.execute(f"SELECT number FROM ({looked[0]}) LIMIT 1 OFFSET {SCAN - 1}", looked[1]).fetchone()
        return Found(numbers=numbers, next=-1 if last is None else last[0])


def _leading_devices(wanted: DevicesWanted, after: int) -> tuple[str, list[str | int], str]:
    """The select whose index answers most, its values, and its order."""
    led = _ordered(wanted)
    if led == ("name",):
        beyond = ""
        values: list[str | int] = [wanted.name, wanted.name + _LAST]
        if after >= 0:
            beyond = "AND (name, number) > ((SELECT name FROM devices WHERE number = ?), ?)"
            values += [after, after]
        return f"SELECT name, number FROM devices WHERE name >= ? AND name < ? {beyond}", values, "name, number"
    if led == ("label",):
        return "SELECT number FROM device_labels WHERE label = ? AND number > ?", [wanted.labels[0], after], "number"
    if led == ("state",):
        where = "state = ? AND state <> 'active' AND"  # as the partial index says
        return f"SELECT number FROM devices WHERE {where} number > ?", [wanted.state, after], "number"
    if led == ("site",):
        return "SELECT number FROM devices WHERE site = ? AND number > ?", [wanted.site, after], "number"
    return "SELECT number FROM devices WHERE number > ?", [after], "number"


def _ordered(wanted: DevicesWanted) -> tuple[str, ...]:
    """Which filter leads: the one that usually leaves fewest; () if none can."""
    if wanted.name:
        return ("name",)
    if wanted.labels:
        return ("label",)
    if wanted.state not in ("", "active"):
        return ("state",)
    return ("site",) if wanted.site else ()


def _of_devices(wanted: DevicesWanted) -> list[Condition]:
    conditions: list[Condition] = []
    if wanted.state:
        conditions.append(("d.state = ?", [wanted.state]))
    if wanted.site:
        conditions.append(("d.site = ?", [wanted.site]))
    if wanted.name:
        conditions.append(("d.name >= ? AND d.name < ?", [wanted.name, wanted.name + _LAST]))
    labelled = "EXISTS (SELECT 1 FROM device_labels AS l WHERE l.label = ? AND l.number = d.number)"
    return conditions + [(labelled, [label]) for label in wanted.labels]


def _leading_entries(wanted: EntriesWanted) -> tuple[Condition, list[Condition]]:
    """The condition whose index answers most ("1" if none does), and those to be checked row by row."""
    conditions: list[Condition] = [("1", [])]
    if wanted.kind:
        conditions.insert(0, ("kind = ?", [wanted.kind]))
    if wanted.actor == "plane" or wanted.actor.startswith("device:"):
        conditions.append(("actor = ?", [wanted.actor]))  # most entries are theirs, and no index tells them apart
    elif wanted.actor:
        conditions.insert(0, ("actor = ? AND actor NOT LIKE 'device:%' AND actor <> 'plane'", [wanted.actor]))
    if wanted.subject:
        conditions.insert(0, ("subject = ?", [wanted.subject]))
    return conditions[0], [each for each in conditions[1:] if each[1]]


def _row(body: bytes, kind: type[R]) -> R:
    row = decode_row(body)
    if not isinstance(row, kind):
        raise StoreFault("store-corrupt", what=f"a {kind.__name__} was expected, not {row.key()}")
    return row
