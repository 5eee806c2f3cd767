"""The embedded store: whole steps in one transaction, history append-only, one live lease per device.

Decides: the order and content of each transaction. Never: what a record means, nor when steps are grouped
(server/loop/writer.py). WAL with `synchronous = FULL`: what `commit` returned from survives a crash of the machine
(https://www.sqlite.org/pragma.html#pragma_synchronous). One process holds the directory, by a file lock of the
operating system that dies with it.
"""

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from podium.adapters.sqlite.faults import store_fault
from podium.adapters.sqlite.migrations import migrate
from podium.adapters.sqlite.reader import DATABASE, SqliteReader, last_step, meta_digest
from podium.adapters.sqlite.schema import COLUMNS, upsert, values
from podium.adapters.sqlite.seal import seal, unseal
from podium.core.effects import Step
from podium.core.journal.tree import leaf_hash
from podium.core.records import encode_record, encode_row
from podium.core.rows import FactsChunk, table_of
from podium.ports.plane import SignedHead
from podium.wire.canonical import decode_canonical
from podium.wire.messages import Head
from podium.wire.problems import Bug, OperatorFault, PodiumError

LOCK = "podium.lock"

_UPSERTS = {table: upsert(table) for table in COLUMNS}
_MOVED = "UPDATE leases SET round = ? WHERE id = ?"
"""For the few leases that end or report in another round than granted them: no other writes that index anew."""
_APPEND = "INSERT INTO history (number, step, tree, place, salt, record, leaf) VALUES (?, ?, ?, -1, ?, ?, ?)"
_PLACE = "UPDATE history SET place = ? WHERE number = ? AND place = -1"
_HEAD = (
    "INSERT INTO heads (number, tree, size, payload, key_id, signature) VALUES "
    "((SELECT coalesce(max(number), 0) + 1 FROM heads), ?, ?, ?, ?, ?)"
)
_FACTS = "INSERT OR REPLACE INTO facts (number, at_ms, digest, body) VALUES (?, ?, ?, ?)"
_META = (
    "INSERT INTO meta (name, value, digest) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, digest = excluded.digest"
)

Cells = tuple[str | int | bytes, ...]


class SqliteStore(SqliteReader):
    """The `Store` port over the data directory `data`, which it makes, locks and migrates.

    `OperatorFault(data-in-use)` if another process holds it, `OperatorFault(data-newer)` if a newer release wrote it.
    Steps and places are written from one thread; `set_meta`, `keep_facts` and reading methods may be called from any.
    """

    def __init__(self, data: Path) -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = _lock(data)
        self._writing = threading.Lock()
        path = self._path = data / DATABASE
        try:
            unseal(path)
            self._db = _connect(path)
            migrate(self._db, path)
            super().__init__(_connect(path))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._held.close()
            raise store_fault(error, f"opening {path}") from error
        except (OSError, PodiumError):
            self._held.close()
            raise

    @contextmanager
    def _transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        """All or nothing; an error of SQLite becomes a `StoreFault` that says whether it may have been written."""
        db = self._db
        committing = False
        with self._writing:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                committing = True
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise store_fault(error, f"transaction {name!r}", committing=committing) from error
            finally:
                with contextlib.suppress(sqlite3.Error):  # nothing is left open after a commit; the first error tells
                    db.rollback()

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        """Write whole `steps` in one transaction; `salts`: 16 bytes per record, in order.

        Step numbers must rise above the last stored one (those between had no records), else `Bug`. `Bug` too when a
        device would hold two live leases: nothing is written then. `StoreFault` as the port says.
        """
        if not steps:
            return
        with self._transaction(name) as db:
            before, _ = last_step(db)
            number = db.execute("SELECT coalesce(max(number), 0) FROM history").fetchone()[0]
            rows, entries = _cells(steps, salts, before, number)
            for table, cells in rows.items():
                try:
                    db.executemany(_UPSERTS[table], cells)
                except sqlite3.IntegrityError as error:
                    raise Bug(f"steps after {before} break a rule of table {table}: {error}") from error
            db.executemany(_MOVED, _moved(rows.get("leases", ())))
            db.executemany(_APPEND, entries)
            _set_meta(db, "step", f"{steps[-1].number} {steps[-1].at_ms}")

    def place(self, entries: Sequence[tuple[int, int]], heads: Sequence[SignedHead]) -> None:
        """Give entries (number, place) their places and keep `heads`, in one transaction; `Bug` if one has a place."""
        with self._transaction("place") as db:
            done = db.executemany(_PLACE, [(place, number) for number, place in entries]).rowcount if entries else 0
            if done != len(entries):
                raise Bug(f"{len(entries) - done} of {len(entries)} entries have a place already or do not exist")
            for signed in heads:
                head = decode_canonical(signed.payload, Head)
                db.execute(_HEAD, (head.tree, head.size, signed.payload, signed.key_id, signed.signature))

    def keep_facts(self, chunks: Sequence[FactsChunk]) -> None:
        """Keep `chunks` in place of those of their numbers."""
        cells = [(chunk.number, chunk.at_ms, chunk.digest, chunk.body) for chunk in chunks]
        with self._transaction("facts") as db:
            db.executemany(_FACTS, cells)

    def set_meta(self, name: str, value: str) -> None:
        """Keep `value` under `name`."""
        with self._transaction(f"meta {name}") as db:
            _set_meta(db, name, value)

    def close(self) -> None:
        """Seal and release the files and the lock; the store is then unusable."""
        super().close()
        self._db.close()
        try:
            if not self._held.closed:
                seal(self._path)
        finally:
            self._held.close()


def _moved(leases: Sequence[Cells]) -> list[Cells]:
    """(round, id) of the leases whose id names another round than they count in."""
    return [(number, name) for name, run, number, *_ in leases if not str(name).startswith(f"{run!s}.{number!s}.")]


def _cells(
    steps: Sequence[Step], salts: Sequence[bytes], before: int, number: int
) -> tuple[dict[str, list[Cells]], list[Cells]]:
    """What to write: table -> rows in order, and the history entries after `number`. `Bug` if the steps do not fit."""
    rows: dict[str, list[Cells]] = {}
    entries: list[Cells] = []
    for step in steps:
        if step.number <= before:
            raise Bug(f"step {step.number} comes after step {before}")
        before = step.number
        for record in step.records:
            bodies: list[bytes] = []
            for row in record.rows:
                body = encode_row(row)
                table = table_of(row)
                rows.setdefault(table, []).append(values(table, row, body))
                bodies.append(body)
            number += 1
            data = encode_record(record, step.number, bodies)
            if len(entries) == len(salts):
                raise Bug("there are fewer salts than records")
            salt = salts[len(entries)]
            entries.append((number, step.number, record.tree, salt, data, leaf_hash(salt, data)))
    if len(entries) != len(salts):
        raise Bug(f"there are {len(salts)} salts for {len(entries)} records")
    return rows, entries


def _set_meta(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute(_META, (name, value, meta_digest(name, value)))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _lock(data: Path) -> IO[bytes]:
    """Hold the directory until the file is closed or the process dies; `OperatorFault(data-in-use)`."""
    held = (data / LOCK).open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        raise OperatorFault("data-in-use", what=f"{data} is held by another plane") from error
    return held
