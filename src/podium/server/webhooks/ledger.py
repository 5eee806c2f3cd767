"""How far each webhook is, and what was given up: a small database of its own beside the plane's, `DATA/webhooks.db`.

Decides: what is durable of deliveries. Never: what is delivered. It is no part of the journal: delivering is no
decision of the plane. One that is lost begins again where the webhook was set: more is told twice, nothing is left
out. Blocking; calls come from one thread at a time.
"""

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from podium.adapters.sqlite.backup import copy_to
from podium.adapters.sqlite.faults import store_fault

FILE = "webhooks.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (webhook TEXT PRIMARY KEY, number INTEGER NOT NULL, delivered INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dead (webhook TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL,
  kind TEXT NOT NULL, why TEXT NOT NULL, at_ms INTEGER NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (webhook, number));
"""
_MOVE = (
    "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT (webhook)"
    " DO UPDATE SET number = max(number, excluded.number), delivered = delivered + excluded.delivered"
)
_LETTER = "SELECT webhook, number, event, kind, why, at_ms FROM dead"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was given up: of journal entry `number`, at `at_ms` of the plane's clock."""

    webhook: str
    number: int
    event: str
    kind: str
    why: str
    at_ms: int


class Ledger:
    """Cursors and dead letters. Every method may raise `StoreFault`."""

    def __init__(self, data: Path) -> None:
        try:
            self._db = sqlite3.connect(data / FILE, isolation_level=None, check_same_thread=False)
            (data / FILE).chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise store_fault(error, f"opening {data / FILE}") from error

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def cursor(self, webhook: str) -> tuple[int, int]:
        """(the last entry that is done with, how many were delivered); (0, 0) if it never began."""
        rows = self._all("SELECT number, delivered FROM cursors WHERE webhook = ?", (webhook,))
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def move(self, webhook: str, number: int, delivered: int) -> None:
        """Entries up to `number` are done with, `delivered` of them by a delivery just now."""
        self._write([(_MOVE, (webhook, number, delivered))])

    def give_up(self, letter: DeadLetter) -> None:
        """Keep `letter` and go on behind it, or neither."""
        values = (letter.webhook, letter.number, letter.event, letter.kind, letter.why, letter.at_ms, 0)
        put = ("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._write([put, (_MOVE, (letter.webhook, letter.number, 0))])

    def dead(self, webhook: str, limit: int, due: bool = False) -> list[DeadLetter]:
        """The oldest dead letters of a webhook; with `due` those that are to be tried again."""
        where = f"{_LETTER} WHERE webhook = ? {'AND due = 1' if due else ''} ORDER BY number LIMIT ?"
        names = DeadLetter.__struct_fields__
        return [
            msgspec.convert(dict(zip(names, row, strict=True)), DeadLetter)
            for row in self._all(where, (webhook, limit))
        ]

    def count_dead(self, webhook: str) -> int:
        """How many there are."""
        return int(self._all("SELECT count(*) FROM dead WHERE webhook = ?", (webhook,))[0][0])

    def retry(self, webhook: str) -> None:
        """Every dead letter of a webhook is to be tried once more."""
        self._write([("UPDATE dead SET due = 1 WHERE webhook = ?", (webhook,))])

    def still_dead(self, letter: DeadLetter, why: str) -> None:
        """It was tried, in vain."""
        change = "UPDATE dead SET due = 0, why = ? WHERE webhook = ? AND number = ?"
        self._write([(change, (why, letter.webhook, letter.number))])

    def arrived(self, letter: DeadLetter) -> None:
        """It was tried, and taken; or there is nothing left to tell."""
        drop = ("DELETE FROM dead WHERE webhook = ? AND number = ?", (letter.webhook, letter.number))
        self._write([drop, (_MOVE, (letter.webhook, 0, 1))])

    def forget(self, webhook: str) -> None:
        """The webhook is removed."""
        self._write(
            [
                ("DELETE FROM dead WHERE webhook = ?", (webhook,)),
                ("DELETE FROM cursors WHERE webhook = ?", (webhook,)),
            ]
        )

    def _all(self, select: str, values: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        try:
            return self._db.execute(select, values).fetchall()
        except sqlite3.Error as error:
            raise store_fault(error, "reading the webhooks") from error

    def _write(self, changes: list[tuple[str, tuple[str | int, ...]]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, values in changes:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise store_fault(error, "writing the webhooks", committing=True) from error
        finally:
            if self._db.in_transaction:
                self._db.rollback()


def copy_ledger(data: Path, target: Path) -> bool:
    """Copy the ledger of the data directory `data` to the file `target`, while it is in use; whether there is one.

    `StoreFault` if it cannot be read or written.
    """
    path = data / FILE
    if not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            copy_to(db, target)
    except sqlite3.Error as error:
        raise store_fault(error, f"reading {path}") from error
    return True
