"""Which blobs stay and which go, and what a start drops beside the rows."""

import hashlib
from pathlib import Path

from msgspec.structs import replace

from podium.adapters.blobs import MemoryBlobs
from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import MemoryKeys
from podium.adapters.memory import MemoryStore
from podium.core.events import AggregateFailed
from podium.core.rows import AliasRow, VersionRow
from podium.core.state import State
from podium.server.boot import is_wanted, reconcile
from podium.server.identity import open_identity
from podium.server.plane_data import Parts
from podium.server.retention import drop_blobs, kept_blobs
from podium.wire.limits import Limits
from podium.wire.messages import Signed
from tests.support.aggregation_rig import lease_row, rows


class Aged:
    """A clock that a test moves."""

    ms = 0

    def now_ms(self) -> int:
        """The time."""
        return self.ms


def digest(text: str) -> str:
    """The digest of a blob with this text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def version(name: str, number: int, run: str = "r") -> VersionRow:
    """A version whose bytes are its name, with a statement of its own."""
    return VersionRow(
        id=digest(name),
        number=number,
        parent="",
        run=run,
        round=number,
        task="",
        made_ms=number,
        size_bytes=1,
        statement=digest(f"statement of {name}"),
        contributors=1,
        metrics={},
    )


def world() -> State:
    """A run with six versions whose seventh round is open, and an ended run with one."""
    state = State(rows(digest("v0"), "key"), Limits())
    for number in range(7):
        state.put(version(f"v{number}", number))
    state.put(replace(state.runs["r"], base=digest("v6"), first=digest("v0")))
    state.put(replace(state.rounds["r", 1], base=digest("v5"), manifest=digest("manifest"), key_id="upload/r.1"))
    state.put(AliasRow(id="m@candidate", version=digest("v2"), counter=1, actor="", why="", at_ms=0))
    state.put(replace(state.runs["r"], id="old", state="FINISHED", first=digest("w0"), base=digest("w1")))
    state.put(version("w0", 0, "old"))
    state.put(version("w1", 1, "old"))
    return state


def test_what_is_kept() -> None:
    keep = kept_blobs(world(), versions_kept=1)
    assert keep == {
        digest(f"{prefix}{name}") for prefix in ("", "statement of ") for name in ("v0", "v2", "v5", "v6", "w1")
    } | {digest("manifest")}
    everything = kept_blobs(world(), versions_kept=20)
    assert {digest(f"v{number}") for number in range(7)} | {digest("w0"), digest("w1")} <= everything


def test_what_somebody_still_works_under_is_kept_though_its_window_is_over() -> None:
    state = world()
    task = state.task_of("r")
    state.put(replace(task, task=replace(task.task, round=replace(task.task.round, mode="buffered", concurrency=2))))
    first = state.rounds["r", 1]
    state.put(replace(first, number=2, base=digest("v6"), manifest=digest("second")))
    state.put(replace(state.runs["r"], rounds_opened=2))
    state.put(replace(first, state="SEALED"))
    assert not {digest("v5"), digest("manifest")} & kept_blobs(state, versions_kept=1)
    held = replace(lease_row("r.1.1", digest("v5"), Signed(payload="", key_id="", signature="")), state="HELD")
    state.put(held)
    assert is_wanted(state, "r.1.1")
    assert {digest("v5"), digest("manifest"), digest("second")} <= kept_blobs(state, versions_kept=1)
    state.put(replace(held, state="LAPSED", round=2))
    assert not {digest("v5"), digest("manifest")} & kept_blobs(state, versions_kept=1)


def test_what_goes_is_old_and_named_by_nobody() -> None:
    clock = Aged()
    blobs = MemoryBlobs(clock)
    for name in ("v0", "v1", "manifest", "never heard of"):
        assert blobs.put(name.encode()) == digest(name)
    clock.ms = 1_000
    blobs.put(b"young")
    keep = kept_blobs(world(), versions_kept=1)
    assert drop_blobs(blobs, keep, 1_001) == 0
    assert drop_blobs(blobs, keep, 1_000) == 2
    assert {name for name, _ in blobs.digests()} == {digest("v0"), digest("manifest"), digest("young")}


def test_uploads_belong_to_leases_that_may_still_use_them() -> None:
    state = world()
    signed = Signed(payload="", key_id="", signature="")
    row = lease_row("r.1.1", digest("v5"), signed)
    for name, changed, wanted in (
        ("HELD", {}, True),
        ("REPORTED", {}, True),
        ("ACCEPTED", {}, True),
        ("LAPSED", {}, False),
        ("REFUSED", {}, False),
        ("ACCEPTED", {"round": 9}, False),
    ):
        state.put(replace(row, state=name, **changed))
        assert is_wanted(state, "r.1.1") is wanted, name
    assert not is_wanted(state, "r.1.2")


def parts(tmp_path: Path) -> Parts:
    """Ports in memory."""
    keys, entropy = MemoryKeys(), SystemEntropy()
    return Parts(
        clock=Aged(),
        entropy=entropy,
        keys=keys,
        blobs=MemoryBlobs(),
        store=MemoryStore(),
        limits=Limits(),
        identity=open_identity(tmp_path, keys, entropy),
    )


def test_a_start_drops_what_nobody_names_and_tells_of_lost_keys(tmp_path: Path) -> None:
    held, state = parts(tmp_path), world()
    state.put(replace(lease_row("r.1.1", digest("v5"), Signed(payload="", key_id="", signature="")), state="HELD"))
    for upload in ("r.1.1", "r.1.2", "gone.1.1"):
        held.blobs.append(upload, 0, b"x")
    for key in ("upload/r.1", "upload/old.7"):
        held.keys.put(key, bytes(32))
    assert reconcile(held, state) == []
    assert held.blobs.uploads() == ["r.1.1"]
    assert held.keys.names("upload/") == ["upload/r.1"]
    assert len(held.keys.names("")) == 3, "the plane's own keys stay"
    held.keys.erase("upload/r.1")
    told = [make(5) for make in reconcile(held, state)]
    assert told == [AggregateFailed(at_ms=5, run="r", round=1, reason="key-erased")]
    unprepared = world()
    unprepared.put(replace(unprepared.rounds["r", 1], manifest=""))
    assert reconcile(held, unprepared) == [], "a round that was not prepared yet gets a key when it is"
