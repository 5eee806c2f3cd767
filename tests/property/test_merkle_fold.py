"""Any records: bytes and back, the tables equal the folded history, and the audit holds, on both stores."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Record
from podium.core.records import decode_row, encode_record, encode_row, read_record
from podium.core.rows import TABLES, AnyRow, table_of
from podium.server.journal.audit import export, verify_data, verify_export
from podium.server.journal.sequencer import Sequencer
from podium.wire.canonical import canonical, decode_canonical
from podium.wire.plain import plain
from podium.wire.problems import Bug, StoreFault
from tests.contract.plane_made import StillClock, root, root_text, sign_head
from tests.contract.rows_made import ONE_OF_EACH, record, records, rows, salts, step


@given(made=records, number=st.integers(0, 2**53 - 1))
def test_a_record_comes_back_from_its_bytes(made: Record, number: int) -> None:
    data = encode_record(made, number)
    kept = read_record(data)
    assert kept.record() == made
    assert kept.step == number
    assert [bytes(row) for row in kept.rows] == [encode_row(row) for row in made.rows]
    assert data == encode_record(made, number, [encode_row(row) for row in made.rows])
    assert decode_canonical(data, dict)  # RFC 8785 holds although the rows were spliced in
    assert [canonical(plain(row)) for row in made.rows] == [encode_row(row) for row in made.rows]


@given(row=rows)
def test_a_row_comes_back_from_its_bytes(row: AnyRow) -> None:
    assert decode_row(encode_row(row)) == row


@pytest.mark.parametrize("data", [b"", b"{}", b'{"table":"none"}', b'{"table":"leases"}', b"\xff", b'{"decimal":"x"}'])
def test_what_is_no_row_or_record_is_told(data: bytes) -> None:
    for decode in (decode_row, read_record):
        with pytest.raises(StoreFault) as caught:
            decode(data)
        assert caught.value.code == "store-corrupt"


def test_what_has_no_canonical_form_is_a_bug() -> None:
    for made, number in ((record(at_ms=2**53), 1), (record(), 2**53), (record(kind="\ud800"), 1)):
        with pytest.raises(Bug, match="cannot be kept"):
            encode_record(made, number)


reached: Counter[str] = Counter()


@settings(max_examples=35, deadline=None, derandomize=True)
@given(batches=st.lists(st.lists(st.lists(records, max_size=3), min_size=1, max_size=4), max_size=4), data=st.data())
def run(batches: list[list[list[Record]]], data: st.DataObject) -> None:
    """Commit batches of steps to both stores, placing now and then; both must hold the fold."""
    with TemporaryDirectory() as folder:
        sqlite, memory = SqliteStore(Path(folder) / "data"), MemoryStore()
        sqlite.set_meta("root", root_text())
        sequencers = [Sequencer(each, StillClock(), sign_head, Path(folder) / "h") for each in (sqlite, memory)]
        fold: dict[tuple[str, str], AnyRow] = {}
        number = 0
        for batch in batches:
            steps = [step(number := number + data.draw(st.integers(1, 3)), *made) for made in batch]
            count = sum(len(each.records) for each in steps)
            for store in (sqlite, memory):
                store.commit("steps", steps, salts(count, number * 10))
            changed = [row for each in steps for made in each.records for row in made.rows]
            fold.update({(table_of(row), row.key()): row for row in changed})
            reached.update(table_of(row) for row in changed)
            placing = sequencers if data.draw(st.booleans()) else []
            reached["placed"] += bool(placing)
            for sequencer in placing:
                sequencer.place()
        order = list(TABLES)
        expected = [fold[key] for key in sorted(fold, key=lambda key: order.index(key[0]))]
        assert list(sqlite.load().rows) == expected == list(memory.load().rows)
        assert (sqlite.load().step, sqlite.load().at_ms) == (memory.load().step, memory.load().at_ms)
        assert sqlite.entries(0, 1000) == memory.entries(0, 1000)
        again = {
            (table_of(row), row.key()): row
            for entry in sqlite.entries(0, 1000)
            for row in read_record(entry.record).record().rows
        }
        assert again == fold
        result = verify_data(Path(folder) / "data")
        assert (result.rows, result.entries) == (len(fold), len(memory.entries(0, 1000)))
        assert verify_export(list(export(memory, root()))).trees == result.trees
        reached["pending"] += result.pending > 0
        sqlite.close()


def test_the_tables_are_the_history_folded() -> None:
    reached.clear()
    run()
    for cell in (*(table_of(row) for row in ONE_OF_EACH), "placed", "pending"):
        assert reached[cell] >= 5, reached
