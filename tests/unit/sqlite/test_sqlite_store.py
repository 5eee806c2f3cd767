"""The embedded store where it differs from one in memory: files, locks, schemas, a full disk, damage."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from podium.adapters.sqlite.backup import copy_to
from podium.adapters.sqlite.faults import store_fault
from podium.adapters.sqlite.migrations import migrate
from podium.adapters.sqlite.reader import DATABASE, open_readonly
from podium.adapters.sqlite.schema import APPLICATION_ID, MIGRATIONS
from podium.adapters.sqlite.store import SqliteStore
from podium.wire.problems import Bug, OperatorFault, StoreFault
from tests.contract.rows_made import ONE_OF_EACH, device, lease, record, salts, step


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def filled(data: Path) -> SqliteStore:
    store = SqliteStore(data)
    store.commit("steps", [step(1, record(*ONE_OF_EACH))], salts(1))
    return store


def test_everything_is_there_after_reopening(data: Path) -> None:
    store = filled(data)
    before = (tuple(store.load().rows), store.entries(0, 9))
    store.close()
    again = SqliteStore(data)
    assert (tuple(again.load().rows), again.entries(0, 9)) == before
    again.commit("steps", [step(2, record(device()))], salts(1, 1))
    assert [entry.number for entry in again.entries(0, 9)] == [1, 2]
    again.close()


def test_commits_are_made_durable_before_they_return(data: Path) -> None:
    store = SqliteStore(data)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()


# -- whose directory -----------------------------------------------------------------------------------------


def test_a_second_plane_is_refused(data: Path) -> None:
    store = filled(data)
    with pytest.raises(OperatorFault) as caught:
        SqliteStore(data)
    assert caught.value.code == "data-in-use"
    script = (
        "import sys; from pathlib import Path; from podium.adapters.sqlite.store import SqliteStore;"
        "from podium.wire.problems import OperatorFault\n"
        "try: SqliteStore(Path(sys.argv[1]))\n"
        "except OperatorFault as fault: print(fault.code)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(data)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "data-in-use"
    store.close()
    SqliteStore(data).close()


def test_a_newer_directory_is_refused_and_left_alone(data: Path) -> None:
    filled(data).close()
    db = sqlite3.connect(data / DATABASE)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    for opening in (SqliteStore, open_readonly):
        with pytest.raises(OperatorFault, match=f"schema {len(MIGRATIONS) + 1}") as caught:
            opening(data)
        assert caught.value.code == "data-newer"
    db = sqlite3.connect(data / DATABASE)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    db.close()


@pytest.mark.parametrize("content", [b"not a database" * 400, None])
def test_what_is_not_ours_is_refused(data: Path, content: bytes | None) -> None:
    data.mkdir()
    if content is None:
        db = sqlite3.connect(data / DATABASE)
        db.execute("CREATE TABLE theirs (a)")
        db.close()
    else:
        (data / DATABASE).write_bytes(content)
    for opening in (SqliteStore, open_readonly):
        with pytest.raises(StoreFault) as caught:
            opening(data)
        assert caught.value.code == "store-corrupt"


def test_an_older_directory_is_copied_aside_and_migrated(data: Path) -> None:
    filled(data).close()
    path = data / DATABASE
    more = (*MIGRATIONS, "ALTER TABLE devices ADD COLUMN colour TEXT; UPDATE devices SET colour = 'red';")
    db = sqlite3.connect(path, isolation_level=None)
    known = len(MIGRATIONS)
    assert migrate(db, path, more) == known
    assert db.execute("SELECT colour FROM devices").fetchall() == [("red",)]
    assert db.execute("PRAGMA user_version").fetchone() == (known + 1,)
    db.close()
    old = sqlite3.connect(data / f"{DATABASE}.schema-{known}")
    assert old.execute("PRAGMA user_version").fetchone() == (known,)
    assert old.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert old.execute("SELECT count(*) FROM devices").fetchone() == (1,)
    old.close()


def test_a_migration_that_fails_changes_nothing(data: Path) -> None:
    filled(data).close()
    path = data / DATABASE
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(StoreFault, match=f"migration {len(MIGRATIONS) + 1}"):
        migrate(db, path, (*MIGRATIONS, "ALTER TABLE devices ADD COLUMN colour TEXT; UPDATE nothing SET a = 1;"))
    assert "colour" not in [row[1] for row in db.execute("PRAGMA table_info(devices)")]
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()
    store = SqliteStore(data)
    assert tuple(store.load().rows) == ONE_OF_EACH
    store.close()


def test_reading_an_older_directory_asks_for_a_plane_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(data).close()
    monkeypatch.setattr("podium.adapters.sqlite.reader.MIGRATIONS", (*MIGRATIONS, "SELECT 1"))
    with pytest.raises(OperatorFault, match="older than"):
        open_readonly(data)


def test_a_backup_is_a_whole_copy(data: Path, tmp_path: Path) -> None:
    store = filled(data)
    target = tmp_path / "copy" / DATABASE
    target.parent.mkdir()
    target.write_bytes(b"what was there")
    copy_to(store._db, target)
    store.commit("steps", [step(2, record(device()))], salts(1, 1))
    assert [path.name for path in target.parent.iterdir()] == [DATABASE]
    copy = open_readonly(target.parent)
    assert tuple(copy.load().rows) == ONE_OF_EACH
    assert copy.load().step == 1
    copy.close()
    with pytest.raises(StoreFault):
        copy_to(store._db, tmp_path / "no such place" / "x")
    store.close()


# -- the database itself keeps the rules ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history SET record = x'00'",
        "UPDATE history SET salt = x''",
        "UPDATE history SET leaf = x'00'",
        "UPDATE history SET tree = 'other'",
        "UPDATE history SET step = 7",
        "UPDATE history SET number = 7",
        "UPDATE history SET place = 3 WHERE place = 0",
        "UPDATE history SET place = -1 WHERE place = 0",
        "DELETE FROM history",
        "UPDATE heads SET size = 9",
        "DELETE FROM heads",
        "INSERT INTO leases SELECT 'r.1.2', run, round, device, 'HELD', body FROM leases",
    ],
)
def test_the_tables_refuse(data: Path, statement: str) -> None:
    store = filled(data)
    store._db.execute("UPDATE history SET place = 0")
    store._db.execute("INSERT INTO heads VALUES (1, 'default', 1, x'00', 'k', x'00')")
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|not changed|not removed|UNIQUE"):
        store._db.execute(statement)
    store.close()


def test_erasing_salt_and_record_together_is_allowed(data: Path) -> None:
    store = filled(data)
    store._db.execute("UPDATE history SET salt = x'', record = x''")
    (entry,) = store.entries(0, 1)
    assert (entry.salt, entry.record, len(entry.leaf)) == (b"", b"", 32)
    store.close()


def test_a_row_that_cannot_be_kept_is_a_bug_that_writes_nothing(data: Path) -> None:
    store = filled(data)
    with pytest.raises(Bug, match=r"r\.1\.1 of table leases"):
        store.commit("steps", [step(2, record(device("d2"), lease(weight=float("nan"))))], salts(1))
    assert store.load().step == 1
    assert not store._db.in_transaction
    store.commit("steps", [step(2, record(device("d2")))], salts(1))
    store.close()


# -- a full disk, damage -------------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing_acknowledged(data: Path) -> None:
    store = filled(data)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 20}")
    number = 1
    with pytest.raises(StoreFault) as caught:
        for number in range(2, 500):
            store.commit("steps", [step(number, record(device(f"d{number}")))], salts(1, number))
    assert caught.value.code == "store-full"
    assert caught.value.retryable
    assert number > 10
    loaded = store.load()
    assert loaded.step == number - 1
    assert len(tuple(loaded.rows)) == len(ONE_OF_EACH) + number - 2
    assert [entry.step for entry in store.entries(0, 999)] == list(range(1, number))
    store._db.execute(f"PRAGMA max_page_count = {pages + 5_000}")
    store.commit("steps", [step(number, record(device(f"d{number}")))], salts(1, number))
    assert store.load().step == number
    store.close()


def test_damage_is_told_as_such(data: Path) -> None:
    store = filled(data)
    for number in range(2, 60):
        store.commit("steps", [step(number, record(device(f"d{number}")))], salts(1, number))
    store.close()
    path = data / DATABASE
    blob = bytearray(path.read_bytes())
    for at in range(2 * 4096, len(blob), 4096):
        blob[at : at + 64] = b"\xff" * 64
    path.write_bytes(bytes(blob))
    with pytest.raises(StoreFault) as caught:
        damaged = SqliteStore(data)
        tuple(damaged.load().rows)
    assert caught.value.code == "store-corrupt"


@pytest.mark.parametrize(
    ("code", "committing", "expected"),
    [
        (sqlite3.SQLITE_FULL, True, "store-full"),
        (sqlite3.SQLITE_FULL, False, "store-full"),
        (sqlite3.SQLITE_IOERR_FSYNC, True, "store-unknown"),
        (sqlite3.SQLITE_IOERR_WRITE, False, "store-failed"),
        (sqlite3.SQLITE_CORRUPT, True, "store-corrupt"),
        (sqlite3.SQLITE_NOTADB, False, "store-corrupt"),
        (sqlite3.SQLITE_BUSY, True, "store-unknown"),
        (sqlite3.SQLITE_READONLY, False, "store-failed"),
    ],
)
def test_what_an_error_of_sqlite_means(code: int, committing: bool, expected: str) -> None:
    error = sqlite3.OperationalError("what it says")
    error.sqlite_errorcode = code
    fault = store_fault(error, "the transaction", committing=committing)
    assert fault.code == expected
    assert "what it says" in fault.why
    assert store_fault(sqlite3.ProgrammingError("closed"), "x").code == "store-failed"


def test_a_closed_store_says_so(data: Path) -> None:
    store = filled(data)
    store.close()
    with pytest.raises(StoreFault, match="closed"):
        store.load()
    with pytest.raises(StoreFault, match="closed"):
        store.commit("steps", [step(2, record(device()))], salts(1))
