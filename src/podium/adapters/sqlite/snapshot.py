"""A copy of a live plane's database, and its rows table by table: what a backup is made from.

Decides: nothing. Never: writes to the plane's own file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from podium.adapters.sqlite.backup import copy_to
from podium.adapters.sqlite.reader import SqliteReader, open_readonly
from podium.core.records import decode_row
from podium.core.rows import LeaseRow, Row
from podium.wire.problems import StoreFault

R = TypeVar("R", bound=Row)


def snapshot(data: Path, target: Path) -> None:
    """Copy the database of the data directory `data`, in one committed state, to the file `target`.

    `OperatorFault(data-missing | data-newer | usage)`, `StoreFault`.
    """
    reader = open_readonly(data)
    try:
        with reader.read("copying the database") as db:
            copy_to(db, target)
    finally:
        reader.close()


def rows_of(reader: SqliteReader, kind: type[R]) -> Iterator[R]:
    """Every current row of the table of `kind`, by key; `StoreFault`."""
    table = str(kind.__struct_config__.tag)
    yield from _decoded(reader, f"SELECT body FROM {table} ORDER BY id", (), kind)


def leases_of(reader: SqliteReader, run: str, round_number: int) -> Iterator[LeaseRow]:
    """The leases of one round; `StoreFault`."""
    where = "SELECT body FROM leases WHERE run = ? AND round = ? ORDER BY id"
    yield from _decoded(reader, where, (run, round_number), LeaseRow)


def count_entries(reader: SqliteReader) -> int:
    """How many entries the history has; `StoreFault`."""
    with reader.read("counting entries") as db:
        return int(db.execute("SELECT coalesce(max(number), 0) FROM history").fetchone()[0])


def _decoded(reader: SqliteReader, select: str, values: tuple[str | int, ...], kind: type[R]) -> Iterator[R]:
    with reader.read("reading rows") as db:
        for (body,) in db.execute(select, values):
            row = decode_row(body)
            if not isinstance(row, kind):
                raise StoreFault("store-corrupt", what=f"a row of {kind.__name__} is a {type(row).__name__}")
            yield row
