"""The writer thread and the sequencer: order, groups, failures, places, heads; with real threads and real stores."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryStore
from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Step
from podium.core.journal.tree import Tree
from podium.ports.plane import SignedHead
from podium.server.journal.audit import export, verify_export
from podium.server.journal.heads import read_heads
from podium.server.journal.sequencer import BATCH, Sequencer
from podium.server.loop.writer import Writer
from podium.wire.canonical import canonical, decode_canonical
from podium.wire.limits import Limits
from podium.wire.messages import Head
from podium.wire.problems import Bug, OperatorFault, PodiumError, StoreFault
from tests.contract.plane_made import CountingEntropy, StillClock, root, sign_head
from tests.contract.rows_made import device, record, salts, step

PATIENCE_S = 60  # how long a test waits for another thread before it fails


class Gate(MemoryStore):
    """A store in memory whose commits wait at a gate, and which keeps what was committed together."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.groups: list[list[int]] = []
        self.place_faults: list[bool] = []

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        assert self.open.wait(PATIENCE_S)
        super().commit(name, steps, salts)
        self.groups.append([each.number for each in steps])

    def place(self, entries: Sequence[tuple[int, int]], heads: Sequence[SignedHead]) -> None:
        applied = self.place_faults.pop(0) if self.place_faults else None
        if applied is not False:
            super().place(entries, heads)
        if applied is not None:
            raise StoreFault("store-unknown", what="place")


class Bench:
    """A writer over a store, and what it told."""

    def __init__(self, store: MemoryStore | SqliteStore, path: Path, limits: Limits, clock: StillClock) -> None:
        self.store = store
        self.heads_file = path / "heads.jsonl"
        self.clock = clock
        self.signed: queue.Queue[bytes] = queue.Queue()
        self.durable: queue.Queue[int] = queue.Queue()
        self.failed: queue.Queue[PodiumError] = queue.Queue()
        self.sequencer = Sequencer(store, clock, self._sign, self.heads_file)
        self.writer = Writer(store, CountingEntropy(), clock, self.sequencer, limits)

    def _sign(self, payload: bytes) -> SignedHead:
        self.signed.put(payload)
        return sign_head(payload)

    def start(self) -> None:
        self.writer.start(self.durable.put, self.failed.put)

    def wait_durable(self, number: int) -> None:
        told = 0
        while told < number:
            told = self.durable.get(timeout=PATIENCE_S)
        assert told == number


@contextmanager
def running(
    store: MemoryStore | SqliteStore, path: Path, limits: Limits | None = None, clock: StillClock | None = None
) -> Iterator[Bench]:
    bench = Bench(store, path, limits or Limits(), clock or StillClock())
    bench.start()
    yield bench
    bench.writer.stop()


def one(number: int, tree: str = "default") -> Step:
    return step(number, record(device(f"d{number}", number), tree=tree))


@pytest.mark.parametrize("make", [lambda _: MemoryStore(), lambda path: SqliteStore(path / "data")])
def test_what_was_put_is_durable_placed_and_signed_when_it_stops(
    tmp_path: Path, make: Callable[[Path], MemoryStore | SqliteStore]
) -> None:
    store = make(tmp_path)
    with running(store, tmp_path) as bench:
        for number in range(1, 50, 2):  # steps without records are not put: their numbers are left out
            bench.writer.put(one(number, "plane" if number % 3 == 0 else "default"))
        bench.wait_durable(49)
    assert store.load().step == 49
    entries = store.entries(0, 100)
    assert [entry.step for entry in entries] == list(range(1, 50, 2))
    assert len({entry.salt for entry in entries}) == 25
    assert {len(entry.salt) for entry in entries} == {16}
    assert bench.failed.empty()
    for tree, signed in bench.sequencer.heads().items():
        head = decode_canonical(signed.payload, Head)
        leaves = [entry.leaf for entry in entries if entry.tree == tree]
        assert store.leaves(tree) == leaves
        assert (head.tree, head.size, head.root) == (tree, len(leaves), Tree(leaves).root().hex())
        assert store.head(tree) == signed
    assert set(bench.sequencer.heads()) == {"default", "plane"}
    assert read_heads(bench.heads_file) == store.heads()
    assert verify_export(list(export(store, root())), read_heads(bench.heads_file)).entries == 25
    store.close()


def test_what_waits_shares_a_commit_up_to_the_limit(tmp_path: Path) -> None:
    store = Gate()
    with running(store, tmp_path, Limits(commit_steps_max=10)) as bench:
        for number in range(1, 36):
            bench.writer.put(one(number))
        store.open.set()
        bench.wait_durable(35)
    assert [number for group in store.groups for number in group] == list(range(1, 36))
    assert max(map(len, store.groups)) == 10
    assert len(store.groups) <= 5  # the first may have left alone
    assert list(bench.durable.queue) == []


def test_a_full_queue_is_the_callers_bug(tmp_path: Path) -> None:
    store = Gate()
    with running(store, tmp_path, Limits(steps_ahead_max=3, commit_steps_max=1)) as bench:
        with pytest.raises(Bug, match="3 others wait"):
            for number in range(1, 9):
                bench.writer.put(one(number))
        store.open.set()
    assert store.load().step >= 3


@pytest.mark.parametrize("applied", [False, True])
def test_after_a_failure_nothing_is_taken_until_reset(tmp_path: Path, applied: bool) -> None:
    store = Gate()
    store.open.set()
    with running(store, tmp_path) as bench:
        bench.writer.put(one(1))
        bench.wait_durable(1)
        store.fail_next("store-unknown" if applied else "store-full", applied)
        bench.writer.put(one(2))
        fault = bench.failed.get(timeout=PATIENCE_S)
        assert fault.code == ("store-unknown" if applied else "store-full")
        bench.writer.put(one(3))  # made by a core that does not know yet
        assert bench.durable.empty()
        loaded = store.load()
        assert loaded.step == (2 if applied else 1)
        bench.writer.reset()
        bench.writer.put(one(loaded.step + 1))
        bench.wait_durable(loaded.step + 1)
    assert [entry.step for entry in store.entries(0, 9)] == list(range(1, loaded.step + 2))
    assert all(entry.place >= 0 for entry in store.entries(0, 9))


@pytest.mark.parametrize("applied", [False, True])
def test_a_failed_placing_is_done_again_from_what_the_store_holds(tmp_path: Path, applied: bool) -> None:
    store = Gate()
    store.open.set()
    store.place_faults = [applied]
    with running(store, tmp_path, Limits(journal_merge_ms=1)) as bench:
        bench.writer.put(one(1))
        assert bench.failed.get(timeout=PATIENCE_S).code == "store-unknown"
        bench.writer.reset()
        bench.writer.put(one(2))
        bench.wait_durable(2)
    assert [entry.place for entry in store.entries(0, 9)] == [0, 1]
    verify_export(list(export(store, root())))


def test_entries_get_their_places_while_it_runs(tmp_path: Path) -> None:
    store = MemoryStore()
    clock = StillClock(1_000)
    with running(store, tmp_path, Limits(journal_merge_ms=200), clock) as bench:
        bench.writer.put(one(1))
        bench.wait_durable(1)
        assert bench.signed.empty()
        clock.at_ms = 1_100
        assert decode_canonical(bench.signed.get(timeout=PATIENCE_S), Head).size == 1
        bench.writer.put(one(2))
        bench.wait_durable(2)
        clock.at_ms = 1_300
        head = decode_canonical(bench.signed.get(timeout=PATIENCE_S), Head)
        assert (head.size, head.at_ms) == (2, 1_300)


def test_what_a_crash_left_without_a_place_is_placed_at_the_start(tmp_path: Path) -> None:
    store = MemoryStore()
    count = BATCH + 3
    store.commit("steps", [step(1, *(record(device()) for _ in range(count)))], salts(count))
    with running(store, tmp_path) as bench:
        heads = bench.sequencer.heads()
    assert decode_canonical(heads["default"].payload, Head).size == count
    assert len(store.heads()) == 2  # one per transaction
    with running(store, tmp_path) as again:
        again.writer.put(one(2))
    assert decode_canonical(again.sequencer.heads()["default"].payload, Head).size == count + 1
    assert [len(store.leaves("default")), len(read_heads(again.heads_file))] == [count + 1, 3]


def test_a_tree_that_is_not_the_signed_one_does_not_start(tmp_path: Path) -> None:
    store = MemoryStore()
    store.commit("steps", [one(1), one(2)], salts(2))
    lie = Head(tree="default", size=1, root="00", at_ms=1)
    store.place([(1, 0)], [sign_head(canonical(lie))])
    bench = Bench(store, tmp_path, Limits(), StillClock())
    with pytest.raises(OperatorFault, match="newest signed head says 1 and 00") as caught:
        bench.start()
    assert caught.value.code == "journal-broken"
    bench.writer.stop()


def test_no_step_is_taken_by_a_writer_that_does_not_run(tmp_path: Path) -> None:
    bench = Bench(MemoryStore(), tmp_path, Limits(), StillClock())
    with pytest.raises(Bug, match="no writer runs"):
        bench.writer.put(one(1))
    bench.start()
    bench.writer.stop()
    with pytest.raises(Bug, match="no writer runs"):
        bench.writer.put(one(1))


def test_a_heads_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    store = MemoryStore()
    with running(store, tmp_path, Limits(journal_merge_ms=1)) as bench:
        bench.heads_file.mkdir()
        bench.writer.put(one(1))
        assert bench.failed.get(timeout=PATIENCE_S).code == "store-failed"
        bench.heads_file.rmdir()
        bench.writer.reset()
        bench.writer.put(one(2))
        bench.wait_durable(2)
    assert decode_canonical(read_heads(bench.heads_file)[-1].payload, Head).size == 2


class Dying(MemoryStore):
    """A store with a defect."""

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        raise TypeError("a defect")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_says_so(tmp_path: Path) -> None:
    with running(Dying(), tmp_path) as bench:
        bench.writer.put(one(1))
        assert isinstance(bench.failed.get(timeout=PATIENCE_S), Bug)
