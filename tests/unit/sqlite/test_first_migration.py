"""A directory that the first release left: today's store opens it with every row, entry and head intact.

The rows are those of the export that the release made (tests/histories), in tables as its schema had them: the columns
are written out here, so that no later schema can change what is migrated from.
"""

import base64
import json
import sqlite3
from pathlib import Path

import pytest

from podium.adapters.sqlite.reader import DATABASE, meta_digest, open_readonly
from podium.adapters.sqlite.schema import APPLICATION_ID, FIRST, MIGRATIONS
from podium.adapters.sqlite.seal import seal
from podium.adapters.sqlite.store import SqliteStore
from podium.core.records import decode_row, read_record
from podium.core.rows import AnyRow, DeviceRow, FreezeRow, LeaseRow, RunRow, table_of
from podium.server.journal.audit import META_ROOT, export_data, verify_data
from podium.wire.canonical import canonical
from podium.wire.problems import OperatorFault
from tests.contract.rows_made import record, salts, step

HISTORY = Path(__file__).parents[2] / "histories" / "release-0.1.0.jsonl"
FIRST_COLUMNS: dict[str, tuple[str, ...]] = {
    "tokens": ("population",),
    "devices": ("number", "population", "state"),
    "tasks": (),
    "runs": ("task", "state"),
    "rounds": ("run", "number", "state"),
    "leases": ("run", "round", "device", "state"),
    "versions": ("run", "number"),
    "aliases": ("version",),
}
Lines = dict[str, list[dict[str, object]]]


def lines() -> Lines:
    """The export's lines by kind, in order."""
    found: Lines = {}
    for text in HISTORY.read_text().splitlines():
        line = json.loads(text)
        found.setdefault(line["line"], []).append(line)
    return found


def unb64(text: object) -> bytes:
    """The bytes of a base64url text without padding."""
    return base64.urlsafe_b64decode(f"{text}==")


def bodies() -> dict[tuple[str, str], bytes]:
    """Table and key -> the very bytes of the row as it last stood, in order of its first record."""
    found: dict[tuple[str, str], bytes] = {}
    for line in lines()["entry"]:
        for body in read_record(canonical(line["record"])).rows:
            row = decode_row(bytes(body))
            found[table_of(row), row.key()] = bytes(body)
    return found


def rows() -> tuple[AnyRow, ...]:
    """The rows as a store loads them: by table and key."""
    order = list(FIRST_COLUMNS)
    found = sorted(bodies().items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    return tuple(decode_row(body) for _, body in found)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory as the first release left it when it stopped."""
    path = tmp_path / "data"
    path.mkdir()
    db = sqlite3.connect(path / DATABASE)
    db.executescript(f"{FIRST}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
    for (table, key), body in bodies().items():
        row = decode_row(body)
        cells = (key, *(getattr(row, name) for name in FIRST_COLUMNS[table]), body)
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", cells)
    every = lines()
    for line in every["entry"]:
        leaf, kept = bytes.fromhex(str(line["leaf"])), canonical(line["record"])
        entry = (line["number"], line["step"], line["tree"], line["place"], unb64(line["salt"]), kept, leaf)
        db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", entry)
    for number, line in enumerate(every["head"], 1):
        signed = line["head"]
        assert isinstance(signed, dict)
        payload = unb64(signed["payload"])
        told = json.loads(payload)
        head = (number, told["tree"], told["size"], payload, signed["key_id"], unb64(signed["signature"]))
        db.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?)", head)
    last = every["entry"][-1]
    at_ms = read_record(canonical(last["record"])).at_ms
    for name, value in ((META_ROOT, json.dumps(every["journal"][0]["root"])), ("step", f"{last['step']} {at_ms}")):
        db.execute("INSERT INTO meta VALUES (?, ?, ?)", (name, value, meta_digest(name, value)))
    db.commit()
    db.close()
    seal(path / DATABASE)
    return path


def _place(row: AnyRow) -> tuple[str, str]:
    return table_of(row), row.key()


def test_a_directory_of_the_first_release_opens_with_its_rows(data: Path) -> None:
    assert len(MIGRATIONS) > 1
    with pytest.raises(OperatorFault, match="schema 1, older"):
        open_readonly(data)
    store = SqliteStore(data)
    loaded = store.load()
    assert sorted(loaded.rows, key=_place) == sorted(rows(), key=_place)
    assert {table_of(row) for row in loaded.rows} == FIRST_COLUMNS.keys()
    assert loaded.step == lines()["entry"][-1]["step"]
    (run,) = [row for row in loaded.rows if isinstance(row, RunRow) and row.rounds_sealed == 2]
    assert (run.state, run.retry_of, run.paused_ms) == ("FINISHED", "", -1), "what later releases added has its default"
    store.close()


def test_the_journal_of_the_first_release_verifies_in_the_migrated_directory(data: Path) -> None:
    SqliteStore(data).close()
    result = verify_data(data)
    assert (result.entries, result.heads, result.pending) == (len(lines()["entry"]), len(lines()["head"]), 0)
    assert result.rows == len(rows())
    assert list(export_data(data)) == HISTORY.read_bytes().splitlines(keepends=True), "the same export, byte for byte"


def test_a_backup_of_the_first_schema_is_left_aside(data: Path) -> None:
    SqliteStore(data).close()
    backup = data / f"{DATABASE}.schema-1"
    db = sqlite3.connect(backup)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == FIRST_COLUMNS.keys() | {"history", "heads", "meta"}
    for table in FIRST_COLUMNS:
        kept = {(table, key): body for key, body in db.execute(f"SELECT id, body FROM {table}")}
        assert kept == {key: body for key, body in bodies().items() if key[0] == table}
    db.close()
    written = backup.stat().st_mtime_ns
    SqliteStore(data).close()
    assert backup.stat().st_mtime_ns == written, "opened again, nothing is migrated"


def test_a_migrated_directory_takes_what_is_new(data: Path) -> None:
    store = SqliteStore(data)
    loaded = store.load()
    before = tuple(loaded.rows)
    frozen = FreezeRow(id="plane", frozen=True, why="drill", actor="a", at_ms=loaded.at_ms)
    device = next(row for row in before if isinstance(row, DeviceRow))
    store.commit("steps", [step(loaded.step + 1, record(frozen, device))], salts(1))
    after = tuple(store.load().rows)
    assert set(map(type, after)) - set(map(type, before)) == {FreezeRow}
    assert len(after) == len(before) + 1
    assert sum(isinstance(row, LeaseRow) for row in after) == sum(isinstance(row, LeaseRow) for row in before)
    store.close()
