"""Any changed byte is noticed: of an export, of any cell of the database, of its file."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.schema import MIGRATIONS
from podium.adapters.sqlite.seal import seal_path
from podium.adapters.sqlite.store import SqliteStore
from podium.server.journal.audit import export, verify_data, verify_export
from podium.server.journal.replay import AuditResult
from podium.wire.problems import OperatorFault
from tests.contract.plane_made import root
from tests.contract.rows_made import device, record, salts, step
from tests.unit.audit.journal_made import fill, refused


def split(blob: bytes) -> Iterator[bytes]:
    yield from blob.splitlines(keepends=True)


def test_every_changed_byte_of_an_export_is_noticed(tmp_path: Path) -> None:
    store = MemoryStore()
    fill(store, tmp_path / "h", batches=2)
    blob = b"".join(export(store, root()))
    assert verify_export(split(blob)).entries == 4
    draw = random.Random(7)
    unnoticed = []
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1 << draw.randrange(8)
        try:
            verify_export(split(bytes(changed)))
            unnoticed.append(at)
        except OperatorFault as fault:
            assert fault.code == "journal-broken", fault
    assert not unnoticed


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 9])
def test_a_shortened_or_reordered_export_is_noticed(tmp_path: Path, cut: int) -> None:
    store = MemoryStore()
    fill(store, tmp_path / "h", batches=2)
    lines = list(export(store, root()))
    for changed in (lines[:cut], lines[:cut] + lines[cut + 1 :], [*lines[:cut], lines[cut - 1], *lines[cut:]], []):
        with pytest.raises(OperatorFault, match=r"line|missing|export|head|entry"):
            verify_export(changed)


Key = dict[str, object]
"""The columns that find a row, with their values: its rowid, or its primary key where there is no rowid."""
ROWID_NAMES = {"history": "number", "heads": "number"}
"""Tables whose rowid is a column of theirs, and its name."""


def cells(db: sqlite3.Connection) -> list[tuple[str, Key, str]]:
    """Every (table, key of a row, column) of the database."""
    found = []
    for table, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = db.execute(f"PRAGMA table_info({table})").fetchall()
        names = [row[1] for row in columns if row[5]] if sql.endswith("WITHOUT ROWID") else ["rowid"]
        keys = [dict(zip(names, row, strict=True)) for row in db.execute(f"SELECT {', '.join(names)} FROM {table}")]
        found += [(table, key, row[1]) for key in keys for row in columns]
    return found


def put(db: sqlite3.Connection, table: str, key: Key, column: str, value: object) -> None:
    """Write one cell of the row that `key` finds."""
    where = " AND ".join(f"{name} = ?" for name in key)
    db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *key.values()))


def changed_value(value: object, draw: random.Random) -> object:
    """`value` with one bit changed, of the same type."""
    if isinstance(value, int):
        return value ^ (1 << draw.randrange(4))
    assert isinstance(value, str | bytes)
    whole = bytearray(value.encode() if isinstance(value, str) else value)
    if not whole:
        return "x" if isinstance(value, str) else b"x"
    whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(7)
    return whole.decode() if isinstance(value, str) else bytes(whole)


def test_a_changed_bit_of_any_cell_is_noticed(data: Path) -> None:
    path = data / "podium.db"
    db = sqlite3.connect(path, isolation_level=None)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    triggers = [sql for (sql,) in _trigger_sql()]
    draw = random.Random(11)
    tried = 0
    for table, key, column in cells(db):
        db.execute("BEGIN")
        where = " AND ".join(f"{name} = ?" for name in key)
        (value,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", tuple(key.values())).fetchone()
        changed = changed_value(value, draw)
        try:
            put(db, table, key, column, changed)
        except sqlite3.IntegrityError:  # taken by another row already: the table refused
            db.execute("ROLLBACK")
            continue
        for sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
        refused(data)
        tried += 1
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        moved = "rowid" if column == ROWID_NAMES.get(table) else column
        put(db, table, key | {moved: changed} if moved in key else key, column, value)
    assert tried > 90
    for sql in triggers:
        db.execute(sql)
    db.close()
    assert isinstance(verify_data(data), AuditResult)


def _trigger_sql() -> list[tuple[str]]:
    db = sqlite3.connect(":memory:")
    db.executescript(";".join(MIGRATIONS))
    return db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall()


def test_a_changed_byte_of_the_file_is_noticed_where_content_lies(data: Path) -> None:
    """Flip one byte wherever a record, a salt, a leaf, a row or a head stands in the raw file."""
    path = data / "podium.db"
    db = sqlite3.connect(path)
    wanted: list[bytes] = []
    for column, table in [
        ("salt", "history"),
        ("record", "history"),
        ("leaf", "history"),
        ("payload", "heads"),
        ("signature", "heads"),
        ("body", "devices"),
        ("body", "leases"),
        ("body", "tasks"),
    ]:
        wanted += [value for (value,) in db.execute(f"SELECT {column} FROM {table}")]
    db.execute("VACUUM")  # no older copies of a row in free space
    db.close()
    blob = path.read_bytes()
    draw = random.Random(3)
    tried = 0
    for value in wanted:
        at = blob.find(value)
        if at < 0:  # a long value continues on an overflow page
            at = blob.find(value[:100])
        assert at >= 0
        for _ in range(3):
            where = at + draw.randrange(min(len(value), 100))
            path.write_bytes(blob[:where] + bytes([blob[where] ^ (1 << draw.randrange(8))]) + blob[where + 1 :])
            refused(data)
            tried += 1
    assert tried >= 3 * len(wanted) > 60
    path.write_bytes(blob)
    verify_data(data)


def test_a_changed_byte_anywhere_in_a_stopped_planes_file_is_noticed(data: Path) -> None:
    SqliteStore(data).close()
    path = data / "podium.db"
    blob = path.read_bytes()
    draw = random.Random(23)
    kinds = {"sealed": 0, "other": 0}
    for _ in range(300):
        at = draw.randrange(len(blob))
        path.write_bytes(blob[:at] + bytes([blob[at] ^ (1 << draw.randrange(8))]) + blob[at + 1 :])
        try:
            verify_data(data)
            pytest.fail(f"byte {at} was changed unnoticed")
        except OperatorFault as fault:
            assert fault.code in ("journal-broken", "data-newer")  # the latter: a byte of the schema's number
            kinds["sealed" if "plane left" in fault.what else "other"] += 1
    assert min(kinds.values()) > 10, kinds
    path.write_bytes(blob)
    assert verify_data(data).entries == 4


def test_a_running_or_killed_plane_has_no_seal(data: Path) -> None:
    mark = seal_path(data / "podium.db")
    SqliteStore(data).close()
    assert mark.exists()
    store = SqliteStore(data)
    assert not mark.exists()
    store.commit("steps", [step(3, record(device("d1", failure="c3")))], salts(1, 9))
    store.close()
    assert mark.exists()
    assert verify_data(data).pending == 1


def test_a_plane_without_room_for_a_seal_stops_all_the_same(data: Path) -> None:
    mark = seal_path(data / "podium.db")
    store = SqliteStore(data)
    mark.with_name(mark.name + ".part").symlink_to("/dev/full")
    store.close()
    assert not mark.exists()
    assert verify_data(data).entries == 4
