"""A small journal, on disk or in memory, and what the tests do to it and expect of the audit."""

import sqlite3
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Record
from podium.core.rows import AnyRow
from podium.server.journal.audit import verify_data
from podium.server.journal.sequencer import Sequencer
from podium.wire.problems import OperatorFault
from tests.contract.plane_made import StillClock, root_text, sign_head
from tests.contract.rows_made import ONE_OF_EACH, device, lease, record, salts, step


def fill(store: SqliteStore | MemoryStore, heads_file: Path, batches: int = 2) -> None:
    """Two records per batch, in two trees; each batch placed and signed."""
    store.set_meta("plane_id", "plane-1")
    store.set_meta("root", root_text())
    sequencer = Sequencer(store, StillClock(), sign_head, heads_file)
    sequencer.load()
    at = store.load().step
    for number in range(at + 1, at + batches + 1):
        rows: tuple[AnyRow, ...] = (
            ONE_OF_EACH if number == 1 else (device("d1", failure=f"c{number}"), device(f"d{number}"))
        )
        records: list[Record] = [record(*rows), record(lease("r.9.9", "x", "LAPSED", float(number)), tree="plane")]
        store.commit("steps", [step(number, *records)], salts(2, number * 2))
        sequencer.place()


def refused(data: Path, match: str | None = None) -> OperatorFault:
    with pytest.raises(OperatorFault, match=match) as caught:
        verify_data(data)
    assert caught.value.code == "journal-broken"
    return caught.value


def edit(data: Path, *statements: str) -> None:
    """Change the database as somebody with the file and SQLite can: triggers away, edit, triggers back."""
    db = sqlite3.connect(data / "podium.db")
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    for _, sql in triggers:
        db.execute(sql)
    db.commit()
    db.close()
