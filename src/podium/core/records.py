"""Records as bytes: what a history entry holds, what its leaf hashes, what an auditor reads.

Decides: the one encoding of a record with the number of its step. Never: how it is stored. Each row stands in the
record as the very bytes that its current-state table holds, so "the tables equal the folded history" is a comparison
of bytes. Canonical JSON with tagged decimals (wire/canonical.py, wire/plain.py); keys in RFC 8785 order.
Limits: integers within 2^53-1, finite numbers.
"""

import re
from collections.abc import Iterable

import msgspec

from podium.core.effects import Record
from podium.core.rows import TABLES, AnyRow, LeaseRow, RoundRow, table_of
from podium.wire.canonical import canonical
from podium.wire.plain import duration_from_ms, plain, unplain
from podium.wire.problems import Bug, StoreFault


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record as an entry holds it, its rows still bytes; `step` is the number of the step that made it."""

    at_ms: int
    tree: str
    kind: str
    subject: str
    actor: str
    step: int
    why: dict[str, str | int]
    rows: tuple[msgspec.Raw, ...]

    def record(self) -> Record:
        """With typed rows, the inverse of `encode_record`; `StoreFault(store-corrupt)` if a row is not ours."""
        return Record(
            at_ms=self.at_ms,
            tree=self.tree,
            kind=self.kind,
            subject=self.subject,
            actor=self.actor,
            why=self.why,
            rows=tuple(decode_row(bytes(body)) for body in self.rows),
        )


_ROWS: msgspec.json.Decoder[AnyRow] = msgspec.json.Decoder(AnyRow, dec_hook=duration_from_ms)
_ROWS_OF: dict[str, msgspec.json.Decoder[AnyRow]] = {
    table: msgspec.json.Decoder(kind, dec_hook=duration_from_ms) for table, kind in TABLES.items()
}
"""By table: whoever knows it need not look for it in the row, which names it last."""

_DECIMAL = re.compile(rb'\{"decimal":"(-?\d[-+.e\d]*)"\}')
_MEASURED = (LeaseRow, RoundRow)
"""Rows whose decimals all stand where only a float may: there a plain number reads as the same float. A text within a
row cannot look like a tag, because its quotation marks are escaped."""
_DIGITS = re.compile(rb"\d{16}")


def _canonical(value: object) -> bytes:
    """`canonical(value)`, at a third of its cost for most records; `ValueError` as it.

    Among ASCII keys msgspec's order is RFC 8785's, and an integer beyond 2^53-1 has at least 16 digits: whatever shows
    neither non-ASCII bytes nor 16 digits in a row needs no second look.
    """
    data = msgspec.json.encode(value, order="sorted")
    return data if data.isascii() and _DIGITS.search(data) is None else canonical(value)


def encode_row(row: AnyRow) -> bytes:
    """The canonical bytes of a row, with its table's name as "table"; `Bug` if it holds what has none (NaN)."""
    try:
        return _canonical(plain(row))
    except ValueError as error:
        raise Bug(f"row {row.key()} of table {table_of(row)} cannot be kept: {error}") from error


def decode_row(data: bytes, table: str = "") -> AnyRow:
    """The inverse of `encode_row`; `StoreFault(store-corrupt)` if it is none of ours, or none of `table` if given."""
    rows = _ROWS_OF[table] if table else _ROWS
    try:
        if b"decimal" not in data:  # no float inside: straight from the bytes, ten times as fast
            return rows.decode(data)
        if (b'"table":"leases"' in data or b'"table":"rounds"' in data) and b'_decimal"' not in data:
            quick = rows.decode(b"".join(_DECIMAL.split(data)))  # between the tags stand their numbers
            if isinstance(quick, _MEASURED):
                return quick
        kind = TABLES[table] if table else AnyRow
        row: AnyRow = msgspec.convert(unplain(msgspec.json.decode(data)), kind, dec_hook=duration_from_ms)
        return row
    except (ValueError, msgspec.DecodeError) as error:
        raise _corrupt(error) from error


def decode_rows(bodies: Iterable[bytes], table: str) -> list[AnyRow]:
    """`decode_row` of each of the many `bodies` of `table`."""
    decode = _ROWS_OF[table].decode
    try:
        return [decode_row(body, table) if b"decimal" in body else decode(body) for body in bodies]
    except (ValueError, msgspec.DecodeError) as error:
        raise _corrupt(error) from error


def _corrupt(error: Exception) -> StoreFault:
    return StoreFault("store-corrupt", what="a stored row does not decode", why=str(error))


def encode_record(record: Record, step: int, rows: list[bytes] | None = None) -> bytes:
    """The canonical bytes of `record` as step `step` made it; `rows`: its rows' bytes, if they are made already."""
    bodies = [encode_row(row) for row in record.rows] if rows is None else rows
    # "rows" sorts between these two groups of keys: the rows' bytes go in as they are
    try:
        before = _canonical({"actor": record.actor, "at_ms": record.at_ms, "kind": record.kind})
        after = _canonical({"step": step, "subject": record.subject, "tree": record.tree, "why": record.why})
    except ValueError as error:
        raise Bug(f"record {record.kind} of {record.subject} cannot be kept: {error}") from error
    return b'%s,"rows":[%s],%s' % (before[:-1], b",".join(bodies), after[1:])


def read_record(data: bytes) -> Kept:
    """The record in an entry's bytes, its rows still bytes; `StoreFault(store-corrupt)` if it does not decode."""
    try:
        return msgspec.json.decode(data, type=Kept)
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreFault("store-corrupt", what="a history record does not decode", why=str(error)) from error
