"""The audit: what is intact verifies; any changed byte of an export or of the database is noticed and named."""

import errno
import sqlite3
from pathlib import Path

import msgspec
import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.store import SqliteStore
from podium.server.journal.audit import export, export_data, verify_data, verify_export
from podium.server.journal.heads import heads_path, read_heads
from podium.server.journal.sequencer import Sequencer
from podium.wire.problems import OperatorFault
from tests.contract.plane_made import OTHER, SEED, StillClock, root, sign_head
from tests.contract.rows_made import ONE_OF_EACH, device, record, salts, step
from tests.unit.audit.journal_made import edit, fill, refused

ROWS = len(ONE_OF_EACH) + 2
"""One of each, a device more, and the lease that every batch writes anew."""

# -- intact --------------------------------------------------------------------------------------------------


def test_an_intact_directory_verifies(data: Path) -> None:
    result = verify_data(data)
    assert (result.plane_id, result.entries, result.pending, result.erased) == ("plane-1", 4, 0, 0)
    assert {name: tree.size for name, tree in result.trees.items()} == {"default": 2, "plane": 2}
    assert result.heads == 8  # four in the database, the same four beside it
    assert (result.rows, result.unproven) == (ROWS, 0)
    assert verify_data(data, heads=(), root=root()).heads == 4


def test_an_export_verifies_and_says_the_same(data: Path) -> None:
    lines = list(export_data(data))
    assert len(lines) == 1 + 4 + 4 + 1
    result = verify_export(lines, read_heads(heads_path(data)), root())
    assert msgspec.structs.replace(verify_data(data), rows=0) == result
    assert b'"record":{"actor":"plane","at_ms":1,"kind":"changed"' in lines[5]


def test_a_live_plane_is_read_beside_its_writer(data: Path) -> None:
    store = SqliteStore(data)
    store.commit("steps", [step(3, record(device("d1", failure="c3")))], salts(1, 9))
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
    assert (result.entries, result.erased, result.rows) == (4, 1, ROWS)
    assert result.unproven == len(ONE_OF_EACH) - 1  # of the rows of entry 1, only device d1 was written again
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


def test_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault) as caught:
        verify_data(tmp_path)
    assert caught.value.code == "data-missing"
    (tmp_path / "podium.db").write_bytes(b"not a database" * 400)
    refused(tmp_path)
