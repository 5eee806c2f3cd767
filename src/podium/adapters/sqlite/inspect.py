"""What an audit needs to see of the embedded store beyond its entries: pages, schema, tables, heads as they lie there.

Decides: nothing; it shows. Never: writes. Bytes that belong to no table, index or schema (free space within pages) are
not content, and are not looked at.
"""

import sqlite3
from collections.abc import Iterator

import msgspec

from podium.adapters.sqlite.reader import SqliteReader, last_step, meta_of
from podium.adapters.sqlite.schema import COLUMNS, LABELS, MIGRATIONS, values
from podium.core.records import decode_row
from podium.ports.plane import SignedHead
from podium.wire.problems import StoreFault


class HeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the heads table: its own number, tree and size beside the signed head."""

    number: int
    tree: str
    size: int
    head: SignedHead


class CurrentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a current-state table: its table, key and canonical bytes."""

    table: str
    id: str
    body: bytes


def check_pages(reader: SqliteReader) -> None:
    """SQLite's own check of pages and indexes, and the schema as this release made it; `StoreFault(store-corrupt)`."""
    with reader.read("checking the database") as db:
        found = [str(line) for (line,) in db.execute("PRAGMA integrity_check(10)")]
        if found != ["ok"]:
            raise StoreFault("store-corrupt", what="SQLite's integrity check fails", why="; ".join(found))
        changed = _schema(db) ^ _expected()
        if changed:
            names = ", ".join(sorted({name for _, name, _ in changed}))
            raise StoreFault("store-corrupt", what="the schema is not what this release made", why=f"changed: {names}")
        kept = "SELECT number, label FROM device_labels"
        odd = db.execute(f"SELECT * FROM ({LABELS} EXCEPT {kept}) UNION SELECT * FROM ({kept} EXCEPT {LABELS}) LIMIT 1")
        if found := odd.fetchone():
            what = f"table device_labels contradicts the label {found[1]} of the device with number {found[0]}"
            raise StoreFault("store-corrupt", what=what)


def current_rows(reader: SqliteReader) -> Iterator[CurrentRow]:
    """Every row of every current-state table; `StoreFault(store-corrupt)` if its columns contradict its body.

    A row is yielded before its columns are looked at, so that the reader judges the body first.
    """
    for table in COLUMNS:
        with reader.read(f"reading table {table}") as db:
            yield from _rows_of(db, table)


def _rows_of(db: sqlite3.Connection, table: str) -> Iterator[CurrentRow]:
    names = ", ".join(("id", *COLUMNS[table], "body"))
    for cells in db.execute(f"SELECT {names} FROM {table} ORDER BY id"):
        id, body = cells[0], _blob(cells[-1], f"row {cells[0]} of table {table}")
        yield CurrentRow(table=table, id=id, body=body)
        if values(table, decode_row(body), body) != cells:
            raise StoreFault("store-corrupt", what=f"a column of row {id} of table {table} contradicts its body")


def _blob(value: object, what: str) -> bytes:
    """`value`, which SQLite may have kept as another type than was written; `StoreFault(store-corrupt)` then."""
    if not isinstance(value, bytes):
        raise StoreFault("store-corrupt", what=f"{what} holds another type than was written")
    return value


def head_rows(reader: SqliteReader) -> list[HeadRow]:
    """The heads table, oldest first."""
    with reader.read("reading heads") as db:
        return [
            HeadRow(
                number=number,
                tree=tree,
                size=size,
                head=SignedHead(
                    payload=_blob(payload, f"head {number}"), key_id=key, signature=_blob(sign, f"head {number}")
                ),
            )
            for number, tree, size, payload, key, sign in db.execute(
                "SELECT number, tree, size, payload, key_id, signature FROM heads ORDER BY number"
            )
        ]


def stored_step(reader: SqliteReader) -> int:
    """The number of the last durable step; every meta value is checked. `StoreFault(store-corrupt)`."""
    with reader.read("reading meta") as db:
        for (name,) in db.execute("SELECT name FROM meta").fetchall():
            meta_of(db, name)
        return last_step(db)[0]


def _schema(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return {
        (kind, name, sql or "")
        for kind, name, sql in db.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
        )
    }


def _expected() -> set[tuple[str, str, str]]:
    fresh = sqlite3.connect(":memory:")
    try:
        for script in MIGRATIONS:
            fresh.executescript(script)
        return _schema(fresh)
    finally:
        fresh.close()
