"""The audit: what is intact verifies; any changed byte of an export or of the database is noticed and named."""

import errno
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.schema import MIGRATIONS
from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Record
from podium.core.rows import AnyRow
from podium.server.audit import export, export_data, verify_data, verify_export
from podium.server.heads import heads_path, read_heads
from podium.server.replay import AuditResult
from podium.server.sequencer import Sequencer
from podium.wire.problems import OperatorFault
from tests.contract.plane_made import OTHER, SEED, StillClock, root, root_text, sign_head
from tests.contract.rows_made import ONE_OF_EACH, device, lease, record, salts, step


def fill(store: SqliteStore | MemoryStore, heads_file: Path, batches: int = 2) -> None:
    """Two records per batch, in two trees; each batch placed and signed."""
    store.set_meta("plane_id", "plane-1")
    store.set_meta("root", root_text())
    sequencer = Sequencer(store, StillClock(), sign_head, heads_file)
    sequencer.load()
    at = store.load().step
    for number in range(at + 1, at + batches + 1):
        rows: tuple[AnyRow, ...] = ONE_OF_EACH if number == 1 else (device("d1", number), device(f"d{number}"))
        records: list[Record] = [record(*rows), record(lease("r.9.9", f"x{number}", "LAPSED"), tree="plane")]
        store.commit("steps", [step(number, *records)], salts(2, number * 2))
        sequencer.place()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    store = SqliteStore(path)
    fill(store, heads_path(path))
    store.close()
    return path


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


# -- intact --------------------------------------------------------------------------------------------------


def test_an_intact_directory_verifies(data: Path) -> None:
    result = verify_data(data)
    assert (result.plane_id, result.entries, result.pending, result.erased) == ("plane-1", 4, 0, 0)
    assert {name: tree.size for name, tree in result.trees.items()} == {"default": 2, "plane": 2}
    assert result.heads == 8  # four in the database, the same four beside it
    assert (result.rows, result.unproven) == (10, 0)
    assert verify_data(data, heads=(), root=root()).heads == 4


def test_an_export_verifies_and_says_the_same(data: Path) -> None:
    lines = list(export_data(data))
    assert len(lines) == 1 + 4 + 4 + 1
    result = verify_export(lines, read_heads(heads_path(data)), root())
    assert msgspec.structs.replace(verify_data(data), rows=0) == result
    assert b'"record":{"actor":"plane","at_ms":1,"kind":"changed"' in lines[5]


def test_a_live_plane_is_read_beside_its_writer(data: Path) -> None:
    store = SqliteStore(data)
    store.commit("steps", [step(3, record(device("d1", 3)))], salts(1, 9))
    result = verify_data(data)
    assert (result.entries, result.pending, result.trees["default"].pending) == (5, 1, 1)
    assert verify_export(list(export_data(data))).pending == 1
    fill(store, heads_path(data))
    assert verify_data(data).pending == 0
    store.close()


def test_the_store_in_memory_exports_the_same(tmp_path: Path) -> None:
    memory, sqlite = MemoryStore(), SqliteStore(tmp_path / "data")
    for store in (memory, sqlite):
        fill(store, tmp_path / "heads.jsonl")
    assert list(export(memory, root())) == list(export(sqlite, root()))
    sqlite.close()


def test_read_only_media_are_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int = 0, exist_ok: bool = True) -> None:
        raise OSError(errno.EROFS, "read-only file system", str(self))

    monkeypatch.setattr(Path, "touch", refuse)  # a superuser may write wherever a mode forbids it
    before = sorted(path.name for path in data.iterdir())
    assert verify_data(data).entries == 4
    assert sorted(path.name for path in data.iterdir()) == before


def test_an_erased_entry_says_so(data: Path) -> None:
    db = sqlite3.connect(data / "podium.db")
    db.execute("UPDATE history SET salt = x'', record = x'' WHERE number = 1")  # what the triggers allow
    db.commit()
    db.close()
    result = verify_data(data)
    assert (result.entries, result.erased, result.rows) == (4, 1, 10)
    assert result.unproven == 7  # of the rows of entry 1, only device d1 was written again
    again = verify_export(list(export_data(data)))
    assert (again.erased, again.trees) == (1, result.trees)


# -- what somebody does to the database ----------------------------------------------------------------------

EDITS = {
    "UPDATE history SET record = replace(CAST(record AS TEXT), 'changed', 'Changed') WHERE number = 3": r"entry 3",
    "UPDATE history SET record = CAST(replace(CAST(record AS TEXT), 'changed', 'Changed') AS BLOB) WHERE number = 3": (
        r"entry 3 \(default, place 1: Changed d1\).*leaf"
    ),
    "UPDATE history SET salt = zeroblob(16) WHERE number = 2": r"entry 2 \(plane, place 0: changed r.9.9\)",
    "UPDATE history SET salt = x'' WHERE number = 2": r"entry 2",
    "UPDATE history SET leaf = zeroblob(32) WHERE number = 4": r"entry 4",
    "UPDATE history SET step = 1 WHERE number = 3": r"entry 3 .*step 2",
    "UPDATE history SET step = 3 WHERE number = 4": r"entry 4 .*step 2",
    "UPDATE history SET tree = 'other' WHERE number = 4": r"entry 4",
    "UPDATE history SET place = -1 WHERE number = 4": r"entry 4 .*no place",
    "UPDATE history SET place = 7 WHERE number = 4": r"entry 4 .*next place of tree plane is 1",
    "UPDATE history SET number = 9 WHERE number = 4": r"entry 4 is missing",
    "UPDATE history SET place = 'one' WHERE number = 4": r"entry 4.*another type",
    "DELETE FROM history WHERE number = 2": r"entry 2 is missing",
    "DELETE FROM history WHERE number = 4": r"place 1 of tree plane is missing",
    "INSERT INTO history SELECT 5, step, tree, 2, salt, record, leaf FROM history WHERE number = 4": (
        r"entry 5.*no signed"
    ),
    "DELETE FROM heads WHERE number = 1": r"table heads",
    "DELETE FROM heads WHERE number = 4": r"no signed head covers it",
    "UPDATE heads SET tree = 'other' WHERE number = 1": r"table heads",
    "UPDATE heads SET size = 5 WHERE number = 4": r"table heads",
    "UPDATE heads SET number = 5 WHERE number = 4": r"table heads",
    "UPDATE heads SET signature = zeroblob(64) WHERE number = 2": r"signed head 6 .*plane",
    "UPDATE heads SET key_id = 'me' WHERE number = 2": r"signed head 6",
    "UPDATE heads SET payload = CAST(replace(CAST(payload AS TEXT), '\"size\":1', '\"size\":2') AS BLOB)": (
        r"signed head"
    ),
    "UPDATE devices SET body = CAST(replace(CAST(body AS TEXT), 'active', 'banned') AS BLOB)": (
        r"row d1 of table devices"
    ),
    "UPDATE devices SET state = 'banned' WHERE id = 'd2'": r"column of row d2 of table devices",
    "UPDATE devices SET id = 'd7' WHERE id = 'd2'": r"row d7 of table devices.*no entry wrote it",
    "UPDATE leases SET body = CAST(body AS TEXT) WHERE id = 'r.1.1'": r"row r.1.1 of table leases",
    "DELETE FROM leases WHERE id = 'r.9.9'": r"row r.9.9 of table leases is missing.*entry 4",
    "UPDATE meta SET value = '7 70' WHERE name = 'step'": r"meta value step",
    "UPDATE meta SET value = replace(value, 'plane-1', 'plane-2') WHERE name = 'plane_id'": r"meta value plane_id",
    "UPDATE meta SET value = replace(value, 'key_id', 'key_is') WHERE name = 'root'": r"meta value root",
    "DELETE FROM meta WHERE name = 'root'": r"root document",
    "DELETE FROM meta WHERE name = 'step'": r"last durable step",
    "CREATE TABLE more (a)": r"schema.*more",
    "DROP INDEX leases_live": r"schema.*leases_live",
}


@pytest.mark.parametrize("statement", EDITS)
def test_an_edit_of_the_database_is_named(data: Path, statement: str) -> None:
    edit(data, statement)
    refused(data, EDITS[statement])


def test_a_dropped_trigger_is_named(data: Path) -> None:
    db = sqlite3.connect(data / "podium.db")
    db.execute("DROP TRIGGER history_removed")
    db.commit()
    db.close()
    refused(data, "history_removed")


def test_rows_removed_from_the_end_are_noticed_against_a_kept_head(data: Path) -> None:
    edit(
        data,
        "DELETE FROM history WHERE number > 2",
        "DELETE FROM heads WHERE number > 2",
    )
    refused(data, r"place 1 of tree default is missing.*counts 2 entries, the journal has 1")
    kept = read_heads(heads_path(data))
    heads_path(data).unlink()
    with pytest.raises(OperatorFault, match="place 1 of tree default is missing"):
        verify_data(data, kept)
    lines = list(export_data(data))
    assert verify_export(lines).entries == 2  # by itself, an older export is whole
    with pytest.raises(OperatorFault, match="place 1 of tree default is missing"):
        verify_export(lines, kept[-2:])


def test_a_journal_signed_again_by_another_key_is_noticed(data: Path, tmp_path: Path) -> None:
    other = MemoryStore()
    sequencer = Sequencer(other, StillClock(), lambda payload: sign_head(payload, OTHER), tmp_path / "h")
    other.commit("steps", [step(1, record(device()))], salts(1))
    sequencer.place()
    lines = list(export(other, root(OTHER)))
    assert verify_export(lines).entries == 1  # it vouches for itself
    with pytest.raises(OperatorFault, match="root document"):
        verify_export(lines, root=root(SEED))
    with pytest.raises(OperatorFault, match=r"signed head 1 .kept outside"):
        verify_export(lines, read_heads(heads_path(data)))
    lines = list(export(other, root(SEED)))
    with pytest.raises(OperatorFault, match=r"signed head 1 .in the journal"):
        verify_export(lines)


def test_a_fork_is_noticed(tmp_path: Path) -> None:
    """The plane itself tells two stories, both signed."""
    stores = []
    for name in ("a", "b"):
        store = MemoryStore()
        sequencer = Sequencer(store, StillClock(), sign_head, tmp_path / name)
        store.commit("steps", [step(1, record(device(name)), record(device(name)))], salts(2))
        sequencer.place()
        stores.append(store)
    with pytest.raises(OperatorFault, match="contradict each other"):
        verify_export(list(export(stores[0], root())), stores[1].heads())


def test_a_changed_record_with_a_new_leaf_is_named_by_the_next_head(tmp_path: Path) -> None:
    store = MemoryStore()
    store.commit("steps", [step(1, *(record(device(f"d{n}")) for n in range(5)))], salts(5))
    Sequencer(store, StillClock(), sign_head, tmp_path / "h").place()
    kept = store.heads()
    forged = MemoryStore()
    forged.commit("steps", [step(1, *(record(device(f"d{n}" if n != 2 else "dx")) for n in range(5)))], salts(5))
    forged.place([(number, number - 1) for number in range(1, 6)], kept)
    with pytest.raises(OperatorFault, match=r"entry 1 .*or one up to entry 5 .*not the one that was signed"):
        verify_export(list(export(forged, root())))


# -- bytes ---------------------------------------------------------------------------------------------------


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


def cells(db: sqlite3.Connection) -> list[tuple[str, int, str]]:
    """Every (table, rowid, column) of the database."""
    found = []
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        rowids = [row[0] for row in db.execute(f"SELECT rowid FROM {table}")]
        found += [(table, rowid, column) for rowid in rowids for column in columns]
    return found


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
    for table, rowid, column in cells(db):
        db.execute("BEGIN")
        (value,) = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (rowid,)).fetchone()
        changed = changed_value(value, draw)
        try:
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
        except sqlite3.IntegrityError:  # taken by another row already: the table refused
            db.execute("ROLLBACK")
            continue
        for sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
        refused(data)
        tried += 1
        where = "number = ?" if column == "number" and table in ("history", "heads") else "rowid = ?"
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, changed if "number" in where else rowid))
    assert tried > 90
    for sql in triggers:
        db.execute(sql)
    db.close()
    assert isinstance(verify_data(data), AuditResult)


def _trigger_sql() -> list[tuple[str]]:
    db = sqlite3.connect(":memory:")
    db.executescript(MIGRATIONS[0])
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


def test_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault) as caught:
        verify_data(tmp_path)
    assert caught.value.code == "data-missing"
    (tmp_path / "podium.db").write_bytes(b"not a database" * 400)
    refused(tmp_path)
