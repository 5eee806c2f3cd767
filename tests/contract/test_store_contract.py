"""What every store must do: one suite for the embedded store and the one in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.store import SqliteStore
from podium.core.journal.tree import leaf_hash
from podium.core.records import encode_record, read_record
from podium.core.rows import ROW_TYPES, FactsChunk
from podium.ports.plane import Loaded, SignedHead
from podium.wire.canonical import canonical
from podium.wire.messages import Head
from podium.wire.problems import Bug
from tests.contract.rows_made import ONE_OF_EACH, device, lease, record, salts, step

AnyStore = SqliteStore | MemoryStore


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    make: Callable[[], AnyStore] = MemoryStore if request.param == "memory" else lambda: SqliteStore(tmp_path / "data")
    made = make()
    yield made
    made.close()


def head(tree: str, size: int) -> SignedHead:
    payload = canonical(Head(tree=tree, size=size, root="00", at_ms=1))
    return SignedHead(payload=payload, key_id="k", signature=b"s%d" % size)


def loaded(store: AnyStore) -> Loaded:
    """What a plane would start from, its rows read."""
    found = store.load()
    return Loaded(rows=tuple(found.rows), step=found.step, at_ms=found.at_ms)


def test_a_new_store_is_empty(store: AnyStore) -> None:
    assert loaded(store) == Loaded(rows=(), step=0, at_ms=0)
    assert store.last_ms() == 0
    assert not store.unplaced(10)
    assert not store.entries(0, 10)
    assert not store.heads()
    assert not store.trees()
    assert not store.leaves("default")
    assert store.head("default") is None
    assert store.get_meta("plane_id") == ""


def test_a_commit_keeps_rows_history_and_the_last_step(store: AnyStore) -> None:
    first, second = record(device("d1"), lease()), record(lease(state="HELD", weight=0.25), tree="plane")
    store.commit("steps", [step(1, first), step(2), step(4, second)], salts(2))
    assert loaded(store) == Loaded(rows=(device("d1"), lease(state="HELD", weight=0.25)), step=4, at_ms=40)
    assert store.last_ms() == 40
    one, two = store.entries(0, 10)
    assert (one.number, one.step, one.tree, one.place) == (1, 1, "default", -1)
    assert (two.number, two.step, two.tree, two.place) == (2, 4, "plane", -1)
    assert (read_record(one.record).record(), read_record(two.record).record()) == (first, second)
    assert one.record == encode_record(first, 1)
    assert [one.salt, two.salt] == salts(2)
    assert all(each.leaf == leaf_hash(each.salt, each.record) for each in (one, two))
    assert store.entries(1, 10) == [two]
    assert store.entries(0, 1) == [one]
    assert store.unplaced(1) == [one]


def test_nothing_to_commit_is_nothing(store: AnyStore) -> None:
    store.commit("steps", [], [])
    assert store.load().step == 0


def test_every_row_type_comes_back(store: AnyStore) -> None:
    assert {type(row) for row in ONE_OF_EACH} == set(ROW_TYPES)
    store.commit("steps", [step(1, record(*reversed(ONE_OF_EACH)))], salts(1))
    assert loaded(store).rows == ONE_OF_EACH


def test_step_numbers_rise(store: AnyStore) -> None:
    store.commit("steps", [step(3, record(device()))], salts(1))
    for numbers in [(3,), (1,), (5, 4), (5, 5)]:
        with pytest.raises(Bug, match="comes after step"):
            store.commit("steps", [step(number) for number in numbers], [])
    assert store.load().step == 3
    assert len(store.entries(0, 10)) == 1


@pytest.mark.parametrize("count", [0, 2])
def test_one_salt_per_record(store: AnyStore, count: int) -> None:
    with pytest.raises(Bug, match="salts"):
        store.commit("steps", [step(1, record(device()))], salts(count))
    assert loaded(store).rows == ()


@pytest.mark.parametrize("together", [True, False])
def test_a_device_holds_one_live_lease(store: AnyStore, together: bool) -> None:
    first, second = step(1, record(lease("r.1.1"))), step(2, record(lease("r.1.2", state="HELD")))
    if together:
        with pytest.raises(Bug, match="leases"):
            store.commit("steps", [first, second], salts(2))
        assert store.load().step == 0
        assert store.entries(0, 10) == []
        return
    store.commit("steps", [first], salts(1))
    with pytest.raises(Bug, match="leases"):
        store.commit("steps", [second], salts(1))
    assert loaded(store) == Loaded(rows=(lease("r.1.1"),), step=1, at_ms=10)


def test_a_lease_that_ended_makes_room(store: AnyStore) -> None:
    steps = [
        step(1, record(lease("r.1.1"))),
        step(2, record(lease("r.1.1", state="LAPSED"), lease("r.1.2"))),
        step(3, record(lease("r.1.1", device="d2", state="LAPSED"), lease("r.1.3", device="d2"))),
    ]
    store.commit("steps", steps, salts(3))
    assert [row.key() for row in store.load().rows] == ["r.1.1", "r.1.2", "r.1.3"]
    store.commit("steps", [step(4, record(lease("r.1.2", state="HELD")))], salts(1, 3))
    store.commit("steps", [step(5, record(lease("r.1.2", state="REPORTED")))], salts(1, 4))
    store.commit("steps", [step(6, record(lease("r.2.1")))], salts(1, 5))
    assert store.load().step == 6


def test_places_and_heads(store: AnyStore) -> None:
    trees = ["default", "plane", "default"]
    store.commit("steps", [step(1, *(record(device(), tree=tree) for tree in trees))], salts(3))
    store.place([(1, 0), (3, 1)], [head("default", 2)])
    assert [each.place for each in store.entries(0, 10)] == [0, -1, 1]
    assert [each.number for each in store.unplaced(10)] == [2]
    leaves = [each.leaf for each in store.entries(0, 10)]
    assert store.leaves("default") == [leaves[0], leaves[2]]
    assert store.leaves("plane") == []
    store.place([(2, 0)], [head("plane", 1)])
    store.commit("steps", [step(2, record(device()))], salts(1, 3))
    store.place([(4, 2)], [head("default", 3)])
    assert store.unplaced(10) == []
    assert store.heads() == [head("default", 2), head("plane", 1), head("default", 3)]
    assert store.trees() == ["default", "plane"]
    assert store.head("default") == head("default", 3)
    assert store.head("plane") == head("plane", 1)


@pytest.mark.parametrize("wrong", [1, 7])
def test_an_entry_is_placed_once(store: AnyStore, wrong: int) -> None:
    store.commit("steps", [step(1, record(device()), record(device()))], salts(2))
    store.place([(1, 0)], [head("default", 1)])
    with pytest.raises(Bug, match="place already"):
        store.place([(2, 1), (wrong, 2)], [head("default", 3)])
    assert [each.place for each in store.entries(0, 10)] == [0, -1]
    assert store.heads() == [head("default", 1)]


def test_facts_are_kept_by_chunk(store: AnyStore) -> None:
    def chunk(number: int, body: bytes) -> FactsChunk:
        return FactsChunk(number=number, at_ms=7, digest=b"d" * 32, body=body)

    assert not list(store.facts())
    store.keep_facts(())
    store.keep_facts((chunk(2, b"two"), chunk(0, b"none")))
    store.keep_facts((chunk(2, b"\x00again"),))
    assert list(store.facts()) == [chunk(0, b"none"), chunk(2, b"\x00again")]
    assert loaded(store) == Loaded(rows=(), step=0, at_ms=0), "no row and no step comes of it"


def test_meta(store: AnyStore) -> None:
    store.set_meta("plane_id", "one")
    store.set_meta("plane_id", "two")
    assert store.get_meta("plane_id") == "two"
