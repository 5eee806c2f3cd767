"""What a device remembers: whole after a kill at any write, held by one agent, private to its user."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.crypto.sign import sign
from podium.device.state import HeadSeen, Identity, Memory, Pending, RunSeen, State
from podium.wire.canonical import b64, unb64
from podium.wire.problems import OperatorFault
from tests.support.device_bench import model, quick_device, task
from tests.support.loopback import Answer
from tests.support.scripted_plane import ScriptedPlane

IDENTITY = Identity(seed=b64(bytes(32)), plane_id="p", population="default", name="n", ca="")
PENDING = Pending(lease="r.1.1", report=sign(bytes(32), "report", b"{}"), stall_ms=5, steps_done=2, moved_bytes=9)


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Iterator[State]:
    with State(tmp_path / "device") as state:
        yield state


def test_everything_kept_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with State(folder) as state:
        assert state.identity is None
        assert state.pending() is None
        state.keep_identity(IDENTITY)
        state.memory.epoch = 7
        state.memory.heads["default"] = HeadSeen(3, "aa")
        state.memory.runs["r"] = RunSeen(2, "default", HeadSeen(3, "aa"))
        state.keep_memory()
        state.keep_pending(PENDING, b"\x00sealed")
    with State(folder) as again:
        assert again.identity == IDENTITY
        assert again.memory == Memory(
            epoch=7, heads={"default": HeadSeen(3, "aa")}, runs={"r": RunSeen(2, "default", HeadSeen(3, "aa"))}
        )
        assert again.pending() == (PENDING, b"\x00sealed")
        again.drop_pending()
        again.drop_pending()
        assert again.pending() is None


def test_without_a_folder_the_device_is_the_same_within_its_process_only() -> None:
    state = State(None)
    state.keep_identity(IDENTITY)
    state.keep_pending(PENDING, b"sealed")
    state.keep_part("sha256:aa", b"part")
    assert state.identity == IDENTITY
    assert state.pending() == (PENDING, b"sealed")
    assert state.part("sha256:aa") == b"part"
    state.drop_part("sha256:aa")
    assert state.part("sha256:aa") == b""
    state.drop_pending()
    assert state.pending() is None
    assert State(None).identity is None


def test_what_prints_an_identity_prints_no_key() -> None:
    who = Identity(seed="c2VjcmV0", plane_id="p1", population="default", name="meter", ca="", device_id="d1")
    assert "c2VjcmV0" not in f"{who} {who!r}"
    assert "d1" in repr(who)


def test_nobody_else_may_read_it(state: State, tmp_path: Path) -> None:
    state.keep_identity(IDENTITY)
    folder = tmp_path / "device"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "identity.json").stat().st_mode) == 0o600


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with State(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_two_agents_never_share_a_state(state: State, tmp_path: Path) -> None:
    with pytest.raises(OperatorFault) as caught:
        State(tmp_path / "device")
    assert caught.value.code == "data-in-use"
    state.close()
    State(tmp_path / "device").close()


def test_a_write_that_dies_before_its_rename_changes_nothing(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.keep_identity(IDENTITY)

    def die(number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            state.keep_identity(Identity(seed="", plane_id="q", population="", name="", ca=""))
    state.close()
    with State(tmp_path / "device") as again:
        assert again.identity == IDENTITY


def test_a_state_that_was_damaged_is_said_so(tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with State(folder) as state:
        state.keep_identity(IDENTITY)
    (folder / "identity.json").write_text("{")
    with pytest.raises(OperatorFault) as caught:
        State(folder)
    assert caught.value.code == "file-unreadable"


def test_parts_of_other_versions_are_removed(state: State, tmp_path: Path) -> None:
    state.keep_part("sha256:aa", b"old")
    assert state.part("sha256:bb") == b""
    assert list((tmp_path / "device").glob("base-*")) == []


def test_a_restarted_device_is_the_same_device_under_a_higher_epoch(tmp_path: Path) -> None:
    with ScriptedPlane() as plane:
        for _ in range(3):
            with quick_device(plane, tmp_path) as device:
                assert device.run_once().word == "idle"
        assert list(plane.devices) == ["d0"]
        (epochs,) = plane.epochs.values()
        assert len(epochs) == 3
        assert epochs == sorted(set(epochs))


def test_a_restored_state_still_finds_a_higher_epoch(tmp_path: Path) -> None:
    with ScriptedPlane() as plane:
        with quick_device(plane, tmp_path) as device:
            device.run_once()
            old = (tmp_path / "memory.json").read_bytes()
        for _ in range(2):
            with quick_device(plane, tmp_path) as device:
                device.run_once()
        (tmp_path / "memory.json").write_bytes(old)
        with quick_device(plane, tmp_path) as device:
            assert device.run_once().word == "idle"
        assert plane.faults == []


def test_the_epoch_is_durable_before_the_plane_hears_of_it(tmp_path: Path) -> None:
    with ScriptedPlane() as plane, quick_device(plane, tmp_path) as device:
        device.run_once()
        kept = (tmp_path / "memory.json").read_text()
        assert f'"epoch":{plane.epochs["d0"][0]}' in kept


def test_heads_and_roots_are_remembered_over_restarts(tmp_path: Path) -> None:
    with ScriptedPlane() as plane:
        plane.head = plane.sign_head(10, "aa")
        with quick_device(plane, tmp_path) as device:
            device.run_once()
        plane.head = plane.sign_head(10, "bb")
        with quick_device(plane, tmp_path) as device:
            assert device.run_once().code == "manifest-invalid"


def test_the_key_is_made_here_and_never_sent(tmp_path: Path) -> None:
    with ScriptedPlane() as plane:
        bodies: list[bytes] = []
        true = plane.serve

        def listen(method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
            bodies.append(body + repr(headers).encode())
            return true(method, target, headers, body)

        assert plane._server is not None
        plane._server.serve = listen
        plane.offer(plane.manifest(task(), model(), 1))
        with quick_device(plane, tmp_path) as device:
            device.run_once()
            assert device.identity is not None
            seed = device.identity.seed
        sent = b"".join(bodies)
        assert len(unb64(seed)) == 32
        assert seed.encode() not in sent
        assert unb64(seed) not in sent


def test_a_token_of_another_plane_makes_a_new_identity_only_before_enrolment(tmp_path: Path) -> None:
    with ScriptedPlane("plane-a") as first, ScriptedPlane("plane-b") as second:
        with quick_device(first, tmp_path / "one") as device:
            device._state.keep_identity(IDENTITY)
            assert device.enrol().plane_id == "plane-a"
        with quick_device(second, tmp_path / "one") as device:
            assert device.enrol().plane_id == "plane-a"
        assert second.devices == {}
