"""Pages of the embedded store: cursors meet every row once, filters combine, and no index is missed."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from podium.adapters.sqlite import pages as pages_module
from podium.adapters.sqlite.inspect import check_pages
from podium.adapters.sqlite.pages import SqlitePages
from podium.adapters.sqlite.reader import DATABASE, open_readonly
from podium.adapters.sqlite.store import SqliteStore
from podium.core.rows import AliasMoveRow, DeviceRow
from podium.ports.plane import DevicesWanted, EntriesWanted
from podium.wire.problems import StoreFault
from tests.contract.rows_made import device, lease, record, salts, step

COUNT = 60


def made(number: int) -> DeviceRow:
    """One device of many."""
    return replace(
        device(f"d{number:02d}", number),
        name=f"n{number % 7}",
        site=f"s{number % 3}",
        labels={"ward": str(number % 4), "floor": str(number % 2)},
        public_key=str(number),
        state="banned" if number % 10 == 0 else "active",
    )


DEVICES = [made(number) for number in range(COUNT)]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A store with devices, leases, moves and a journal that names them."""
    store = SqliteStore(tmp_path / "data")
    for number, row in enumerate(DEVICES, start=1):
        kind = "device-enrolled" if number % 2 else "device-seen"
        actor = ("plane", "person:administrator", f"device:{row.id}")[number % 3]
        store.commit("s", [step(number, replace(record(row, kind=kind), actor=actor))], salts(1, number))
    rows = [replace(lease(f"r.1.{n}", f"d{n % 2:02d}", "LAPSED"), round=1 + n % 2) for n in range(10)]
    moves = [
        AliasMoveRow(alias="m@a", counter=n, version="v", before="", actor="a", why="", at_ms=n) for n in range(1, 6)
    ]
    store.commit("s", [step(COUNT + 1, record(*rows, *moves))], salts(1, COUNT + 1))
    yield tmp_path / "data"
    store.close()


@pytest.fixture
def pages(data: Path) -> Iterator[SqlitePages]:
    """Its pages."""
    made = SqlitePages(open_readonly(data))
    yield made
    made.close()


def whole(pages: SqlitePages, wanted: DevicesWanted, limit: int) -> list[int]:
    """A list of devices page by page."""
    found: list[int] = []
    after = -1
    while True:
        page = pages.devices(wanted, after, limit)
        found += page.numbers
        if page.next < 0:
            return found
        after = page.next


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("scan", [3, 10_000])
@pytest.mark.parametrize(
    "wanted",
    [
        DevicesWanted(),
        DevicesWanted(state="active"),
        DevicesWanted(state="banned"),
        DevicesWanted(site="s1"),
        DevicesWanted(site="s1", state="banned"),
        DevicesWanted(labels=("ward=2",)),
        DevicesWanted(labels=("ward=2", "floor=0"), site="s2"),
        DevicesWanted(labels=("ward=2", "floor=1")),
        DevicesWanted(name="n3"),
        DevicesWanted(name="n", state="banned", labels=("floor=0",)),
        DevicesWanted(site="none"),
    ],
)
def test_pages_meet_every_device_that_is_wanted_once(
    pages: SqlitePages, wanted: DevicesWanted, limit: int, scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_module, "SCAN", scan)
    expected = [
        row.number
        for row in sorted(DEVICES, key=lambda row: (row.name, row.number) if wanted.name else ("", row.number))
        if wanted.state in ("", row.state)
        and wanted.site in ("", row.site)
        and row.name.startswith(wanted.name)
        and all(f"{key}={value}" in wanted.labels for key, value in row.labels.items() if _asked(wanted, key))
    ]
    assert whole(pages, wanted, limit) == expected
    assert pages.devices_among(range(COUNT), wanted) == sorted(expected)


def test_a_device_is_looked_for_by_its_indexes(pages: SqlitePages, data: Path) -> None:
    for text in ("", "d", "d0", "d01", "n", "n3", "none", DEVICES[0].name):
        named, begun = pages.devices_called(text, COUNT)
        assert named == [row.number for row in DEVICES if row.name == text]
        by_id = sorted((row for row in DEVICES if row.id.startswith(text)), key=lambda row: row.id)
        assert begun == [row.number for row in by_id]
        assert pages.devices_called(text, 1) == (named[:1], begun[:1])


def _asked(wanted: DevicesWanted, key: str) -> bool:
    return any(label.startswith(f"{key}=") for label in wanted.labels)


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize(
    "wanted",
    [
        EntriesWanted(),
        EntriesWanted(kind="device-seen"),
        EntriesWanted(subject="d07"),
        EntriesWanted(actor="person:administrator"),
        EntriesWanted(actor="plane", kind="device-seen"),
        EntriesWanted(actor="device:d04"),
        EntriesWanted(kind="none"),
    ],
)
def test_pages_of_the_journal_newest_first(pages: SqlitePages, wanted: EntriesWanted, limit: int) -> None:
    found: list[int] = []
    before = 0
    while True:
        page = pages.journal(wanted, before, limit)
        found += page.numbers
        if page.next < 0:
            break
        before = page.next
    entries = pages.numbered(range(COUNT + 1, 0, -1))
    assert [entry.number for entry in entries] == list(range(COUNT + 1, 0, -1))
    expected = [
        entry.number
        for entry in entries
        if all(b'"%s":"%s"' % (name.encode(), value.encode()) in entry.record for name, value in _told(wanted))
    ]
    assert found == expected


def _told(wanted: EntriesWanted) -> list[tuple[str, str]]:
    return [(name, getattr(wanted, name)) for name in wanted.__struct_fields__ if getattr(wanted, name)]


def test_leases_and_moves_go_on_from_their_place(pages: SqlitePages) -> None:
    first = pages.round_leases("r", 1, 0, 3)
    rest = pages.round_leases("r", 1, first[-1][0], 9)
    assert [row.id for _, row in (*first, *rest)] == [f"r.1.{n}" for n in range(0, 10, 2)]
    newest = pages.device_leases("d01", 0, 2)
    assert [row.id for _, row in newest] == ["r.1.9", "r.1.7"]
    assert [row.id for _, row in pages.device_leases("d01", newest[-1][0], 9)] == ["r.1.5", "r.1.3", "r.1.1"]
    assert [move.counter for move in pages.moves("m@a", 0, 2)] == [5, 4]
    assert [move.counter for move in pages.moves("m@a", 4, 9)] == [3, 2, 1]
    assert pages.pending() == COUNT + 1


def test_an_erased_entry_is_found_by_nothing_that_it_said(data: Path, pages: SqlitePages) -> None:
    db = sqlite3.connect(data / DATABASE)
    db.execute("UPDATE history SET salt = x'', record = x'' WHERE number = 3")
    db.commit()
    assert pages.journal(EntriesWanted(subject="d02"), 0, 9).numbers == []
    assert 3 in pages.journal(EntriesWanted(), 0, 99).numbers
    db.close()


def test_a_label_that_no_device_has_is_damage(data: Path) -> None:
    check_pages(reader := open_readonly(data))
    db = sqlite3.connect(data / DATABASE)
    db.execute("INSERT INTO device_labels VALUES ('ward=9', 1)")
    db.commit()
    with pytest.raises(StoreFault, match="device_labels"):
        check_pages(reader)
    db.close()
    reader.close()


def test_a_person_is_found_by_the_index_of_persons(data: Path) -> None:
    db = sqlite3.connect(data / DATABASE)
    where = "actor = 'p' AND actor NOT LIKE 'device:%' AND actor <> 'plane' AND number < 9 ORDER BY number DESC"
    plan = str(db.execute(f"EXPLAIN QUERY PLAN SELECT number FROM history WHERE {where}").fetchall())
    assert "history_by_person" in plan
    assert "TEMP B-TREE" not in plan
    db.close()
