"""Reading the embedded store: current rows, history, heads; also from a directory that nobody may write to.

Decides: nothing. Never: writes. One connection under one lock, so any thread may call; what a call returns is one
committed state. `open_readonly` is for an audit, beside a live plane or long after it.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from podium.adapters.sqlite.faults import store_fault
from podium.adapters.sqlite.migrations import version_of
from podium.adapters.sqlite.schema import COLUMNS, MIGRATIONS
from podium.core.records import decode_row
from podium.core.rows import LEASES_REMEMBERED_MAX, AnyRow, FactsChunk
from podium.ports.plane import Entry, Loaded, SignedHead
from podium.wire.problems import OperatorFault, StoreFault

DATABASE = "podium.db"
"""The name of the database within a data directory."""

PAGE_ROWS = 10_000
"""So many rows are read at once."""
_PAGE = "SELECT rowid, body FROM {table} WHERE rowid > ?1 {if_wanted} ORDER BY rowid LIMIT ?2"
"""Rows are changed and never removed: those that came last have the highest rowids."""
_IF_WANTED = {
    "leases": f"AND (rowid > (SELECT max(rowid) FROM leases) - {LEASES_REMEMBERED_MAX} OR state IN ('OFFERED', 'HELD')"
    " OR (run, round) IN (SELECT run, number FROM rounds WHERE state NOT IN ('SEALED', 'ABANDONED')))",
}
_ENTRY = "SELECT number, step, tree, place, salt, record, leaf FROM history"
_FACTS = "SELECT number, at_ms, digest, body FROM facts"
_HEAD = "SELECT payload, key_id, signature FROM heads"


def meta_digest(name: str, value: str) -> str:
    """What guards a meta value, which no leaf covers, against a changed byte: hex SHA-256 of name, NUL, value."""
    return sha256(f"{name}\x00{value}".encode()).hexdigest()


class SqliteReader:
    """The reading half of the store, over one connection that it owns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._reading = connection
        self._lock = threading.RLock()
        self._depth = 0  # of nested readings

    @contextmanager
    def read(self, what: str) -> Iterator[sqlite3.Connection]:
        """One committed state for as long as the block lasts; `StoreFault` on an error of SQLite."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._reading.execute("BEGIN")
                yield self._reading
            except (sqlite3.Error, UnicodeDecodeError) as error:  # damage may also break the text of an error
                raise store_fault(error, what) from error
            finally:
                self._leave()

    def _leave(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            with contextlib.suppress(sqlite3.Error):  # a reading transaction has nothing to lose
                self._reading.rollback()

    def load(self) -> Loaded:
        """Every current row that a plane goes on from, and where the last durable step stood."""
        with self.read("loading the last step") as db:
            step, at_ms = last_step(db)
        return Loaded(rows=_Rows(self), step=step, at_ms=at_ms)

    def last_ms(self) -> int:
        """`at_ms` of the last durable step, 0 if none."""
        with self.read("reading the last step") as db:
            return last_step(db)[1]

    def unplaced(self, limit: int) -> list[Entry]:
        """Up to `limit` entries without a place, by number."""
        with self.read("reading unplaced entries") as db:
            return [entry(row) for row in db.execute(f"{_ENTRY} WHERE place = -1 ORDER BY number LIMIT ?", (limit,))]

    def leaves(self, tree: str) -> list[bytes]:
        """The leaf hashes of `tree` in place order."""
        with self.read("reading leaves") as db:
            cursor = db.execute("SELECT leaf FROM history WHERE tree = ? AND place >= 0 ORDER BY place", (tree,))
            return [leaf for (leaf,) in cursor]

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` history entries with number > `after`."""
        with self.read("reading history") as db:
            cursor = db.execute(f"{_ENTRY} WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
            return [entry(row) for row in cursor]

    def trees(self) -> list[str]:
        """The trees that have a signed head, sorted; one probe of the index each."""
        found: list[str] = []
        with self.read("reading trees") as db:
            name = db.execute("SELECT min(tree) FROM heads").fetchone()[0]
            while name is not None:
                found.append(name)
                name = db.execute("SELECT min(tree) FROM heads WHERE tree > ?", (name,)).fetchone()[0]
        return found

    def head(self, tree: str) -> SignedHead | None:
        """The newest signed head of `tree`."""
        with self.read("reading a head") as db:
            row = db.execute(f"{_HEAD} WHERE tree = ? ORDER BY size DESC LIMIT 1", (tree,)).fetchone()
        return None if row is None else _head(row)

    def heads(self) -> list[SignedHead]:
        """Every signed head, oldest first."""
        with self.read("reading heads") as db:
            return [_head(row) for row in db.execute(f"{_HEAD} ORDER BY number")]

    def facts(self) -> Iterator[FactsChunk]:
        """The chunks kept, by number, one at a time."""
        number = -1
        while True:
            with self.read("reading facts of devices") as db:
                row = db.execute(f"{_FACTS} WHERE number > ? ORDER BY number LIMIT 1", (number,)).fetchone()
            if row is None:
                return
            number = row[0]
            yield FactsChunk(number=number, at_ms=row[1], digest=row[2], body=row[3])

    def get_meta(self, name: str) -> str:
        """The value kept under `name`, "" if none; `StoreFault(store-corrupt)` if it was changed."""
        with self.read("reading meta") as db:
            return meta_of(db, name)

    def close(self) -> None:
        """Release the connection; the reader is then unusable."""
        with self._lock:
            self._reading.close()


class _Rows:
    """The current rows, read a page at a time by whoever iterates; `StoreFault` from the iterating."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[AnyRow]:
        for table in COLUMNS:
            yield from self._of(table)

    def _of(self, table: str) -> Iterator[AnyRow]:
        select, after = _PAGE.format(table=table, if_wanted=_IF_WANTED.get(table, "")), 0
        while True:
            with self._reader.read(f"loading the rows of {table}") as db:
                page = db.execute(select, (after, PAGE_ROWS)).fetchall()
            yield from (decode_row(body) for _, body in page)
            if len(page) < PAGE_ROWS:
                return
            after = page[-1][0]


def meta_of(db: sqlite3.Connection, name: str) -> str:
    """The meta value `name`, "" if none; `StoreFault(store-corrupt)` if it does not match its digest."""
    row = db.execute("SELECT value, digest FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        return ""
    value, digest = str(row[0]), row[1]
    if digest != meta_digest(name, value):
        raise StoreFault("store-corrupt", what=f"the meta value {name} is not what was written")
    return value


def last_step(db: sqlite3.Connection) -> tuple[int, int]:
    """Number and `at_ms` of the last durable step; zeros if none."""
    step, _, at_ms = meta_of(db, "step").partition(" ")
    return int(step or 0), int(at_ms or 0)


def entry(row: tuple[int, int, str, int, bytes, bytes, bytes]) -> Entry:
    """A row of the history table as an `Entry`."""
    number, step, tree, place, salt, record, leaf = row
    return Entry(number=number, step=step, tree=tree, place=place, salt=salt, record=record, leaf=leaf)


def _head(row: tuple[bytes, str, bytes]) -> SignedHead:
    return SignedHead(payload=row[0], key_id=row[1], signature=row[2])


def open_readonly(data: Path) -> SqliteReader:
    """Read the store of the data directory `data` without its lock and without writing, beside a live plane or not.

    `OperatorFault(data-missing)` if there is none, `OperatorFault(data-newer)` or `usage` if this release cannot read
    its schema, `StoreFault(store-corrupt)` if it is no database of Podium.
    """
    path = data / DATABASE
    if not path.is_file():
        raise OperatorFault("data-missing", what=f"there is no {DATABASE} in {data}")
    # a directory that cannot be written (evidence on read-only media) has no room for SQLite's shared memory file
    frozen = "" if path.with_name(DATABASE + "-wal").exists() else _frozen(data)
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{frozen}", uri=True, isolation_level=None, check_same_thread=False
        )
        version = version_of(connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise store_fault(error, f"opening {path}") from error
    if version < len(MIGRATIONS):
        connection.close()
        raise OperatorFault(
            "usage", what=f"{path} has schema {version}, older than this release's", next="start a plane on it once"
        )
    return SqliteReader(connection)


def _frozen(data: Path) -> str:
    probe = data / f".{DATABASE}-probe"
    try:
        probe.touch(exist_ok=False)
    except OSError:
        return "&immutable=1"
    probe.unlink()
    return ""
