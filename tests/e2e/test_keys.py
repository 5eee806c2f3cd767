"""podium key list, rotate: a running plane, running devices and an open round survive another key."""

import shutil
import threading
import time
from pathlib import Path

import msgspec
import pytest

from podium.crypto import root
from podium.crypto.root import active_keys, open_root
from podium.device.state import State
from podium.server.identity import Identity, IdentityFile, open_identity, read_release_key, release_key_path
from podium.server.journal.audit import verify_data, verify_export
from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.asks import RotateAsk
from podium.wire.canonical import b64
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import KeyView, Page
from podium.wire.problems import OperatorFault, StoreFault
from tests.e2e.cli_made import podium
from tests.e2e.test_backup import seated, train_held
from tests.e2e.test_device_on_plane import _device, _ended, _task
from tests.e2e.test_plane_restart import moved
from tests.e2e.test_plane_round import ended, offer_to
from tests.support.plane_cases import Operator, enrolled, plane, task, viewer
from tests.support.running_devices import running


def keys_of(operator: Operator) -> dict[str, list[tuple[str, str]]]:
    """role -> (id, state) in the plane's order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for item in operator.get("/api/v1/keys", Page).items:
        view = msgspec.json.decode(item, type=KeyView)
        found.setdefault(view.role, []).append((view.id, view.state))
    return found


def rotate(operator: Operator) -> KeyView:
    return operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)


def sealed_so_far(operator: Operator, run: str, sealed: int) -> None:
    """Wait until the run has that many sealed rounds."""
    while operator.run(run).rounds_sealed < sealed:
        time.sleep(0.02)


def document(data: Path) -> RootDocument:
    """The newest root document of a directory."""
    return open_root(msgspec.json.decode((data / "identity.json").read_bytes(), type=IdentityFile).root, None)


def test_running_devices_follow_a_rotation_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """Two real devices train through two rotations; both know the new root at the end, and the journal holds."""
    with plane(tmp_path / "data") as (server, operator):
        token = operator.token(uses=2)
        states = [tmp_path / "one", tmp_path / "two"]
        devices = [_device(operator, token, state) for state in states]
        with running(*devices):
            run = operator.submit(_task(number=8))
            made = []
            for sealed in (2, 5):
                sealed_so_far(operator, run, sealed)
                made.append(rotate(operator).id)
            view = _ended(operator, run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 8)
        assert view.round is not None and view.round.number == 8, "no round was lost to a rotation"
        assert [name for name, _ in keys_of(operator)["online"]][:2] == made[::-1]
        assert [state for _, state in keys_of(operator)["online"]] == ["active", "retired", "retired"]
        for place, state in enumerate(states):
            with State(state) as kept:
                assert kept.memory.root is not None
                assert open_root(kept.memory.root, None).version == 3, f"device {place} learned of the newest key"
        lines = operator.ask("GET", "/api/v1/audit/export").data
        assert lines.count(b'"key-rotated"') == 2
        verify_export(lines.splitlines(keepends=True))
        file = tmp_path / "model.safetensors"
        for digest in (operator.run(run).first, operator.run(run).base):
            assert podium("model", "pull", digest, "--out", file, "--data", server.data).code == 0
            assert podium("model", "verify", file).code == 0, "made before a rotation or after"
    found = verify_data(tmp_path / "data")
    assert found.pending == 0
    with plane(tmp_path / "data") as (_, operator):
        assert keys_of(operator)["online"][0] == (made[-1], "active")


def test_an_open_round_and_its_sessions_go_on(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        first, second = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        seated(first, second)
        offers = [offer_to(device) for device in (first, second)]
        for device, offer in zip((first, second), offers, strict=True):
            assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
        said = podium("key", "rotate", "--role", "online", "--data", tmp_path / "data")
        assert said.code == 2 and "--yes" in said.err
        assert "1 open rounds go on" in said.err and "2 sessions go on" in said.err, said.err
        assert len(keys_of(operator)["online"]) == 1, "saying the impact changes nothing"
        said = podium("key", "rotate", "--role", "online", "--yes", "--data", tmp_path / "data")
        assert said.code == 0 and said.out.strip() == keys_of(operator)["online"][0][0]
        for place, (device, offer) in enumerate(zip((first, second), offers, strict=True)):
            assert train_held(device, offer, place).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.round and view.round.number) == ("FINISHED", 1)
        late = enrolled(operator, 1)[0]
        assert late.check_in().reason == "no-task"


def test_a_device_that_was_away_follows_several_roots_at_once(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        device = _device(operator, operator.token(), tmp_path / "state")
        assert device.run_once().word == "idle"
        device.close()
        for _ in range(3):
            rotate(operator)
        device = _device(operator, "", tmp_path / "state")
        assert device.run_once().word == "idle"
        device.close()
        with State(tmp_path / "state") as kept:
            assert kept.memory.root is not None and open_root(kept.memory.root, None).version == 4


def test_the_list_says_role_state_and_version(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        assert {role: len(found) for role, found in keys_of(operator).items()} == {
            "root": 1,
            "online": 1,
            "release": 1,
        }
        rotate(operator)
        said = podium("key", "list", "--data", server.data)
        assert said.code == 0 and said.out.count("version 2") == 4 and said.out.count("retired") == 1
        listed = msgspec.json.decode(podium("key", "list", "--json", "--data", server.data).out, type=list[KeyView])
        assert {view.role for view in listed} == {"root", "online", "release"}


def test_a_release_key_is_made_here_and_only_its_public_half_is_sent(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        old, new = release_key_path(server.data), tmp_path / "new.key"
        said = podium("key", "rotate", "--role", "release", "--out", new, "--yes", "--data", server.data)
        assert said.code == 0, said.err
        assert keys_of(operator)["release"][0] == (said.out.strip(), "active")
        assert read_release_key(new) != read_release_key(old)
        digest = _imported(operator)
        said = podium("model", "release", digest, "--key", old, "--data", server.data)
        assert said.code == 2 and "release-invalid" in said.err
        said = podium("model", "release", digest, "--key", new, "--data", server.data)
        assert said.code == 0, said.err
        said = podium("key", "rotate", "--role", "release", "--out", new, "--yes", "--data", server.data)
        assert said.code == 2 and "there already" in said.err
        for words in (("--role", "release"), ("--role", "online", "--out", tmp_path / "x"), ("--role", "root")):
            assert podium("key", "rotate", *words, "--yes", "--data", server.data).code == 2
        secret = new.read_text().strip().removeprefix("pdmr_")
        inside = b"".join(path.read_bytes() for path in server.data.rglob("*") if path.is_file())
        assert secret.encode() not in inside and read_release_key(new) not in inside


def _imported(operator: Operator) -> str:
    return operator.run(operator.submit(task())).first


def test_what_cannot_be_rotated_is_refused_and_a_viewer_rotates_nothing(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        before = document(server.data)
        known = before.keys[active_keys(before, "release")[0]]
        for ask in (
            RotateAsk(role="root"),
            RotateAsk(role="retired"),
            RotateAsk(role="online", public_key=known),
            RotateAsk(role="release"),
            RotateAsk(role="release", public_key="AAAA"),
            RotateAsk(role="release", public_key="!"),
            RotateAsk(role="release", public_key=b64(bytes(32))),
            RotateAsk(role="release", public_key=known),
        ):
            answer = operator.ask("POST", "/api/v1/keys/rotate", ask)
            assert answer.status == 422 and b'"usage"' in answer.data, answer.data
        assert viewer(server).ask("POST", "/api/v1/keys/rotate", RotateAsk()).status == 403
        assert viewer(server).ask("GET", "/api/v1/keys").status == 200
        assert document(server.data) == before
        assert b'"key-rotated"' not in operator.ask("GET", "/api/v1/audit/export").data


def test_rotations_asked_for_at_once_follow_each_other(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        threads = [threading.Thread(target=rotate, args=(operator,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys_of(operator)["online"]) == 5 and document(server.data).version == 5


def test_a_directory_of_the_release_before_gets_a_release_key(tmp_path: Path) -> None:
    """Its root document names none; rotating the role that is not there makes version 2, which devices follow."""
    data = tmp_path / "data"
    _as_of_before(data)
    with plane(data) as (_, operator):
        device = _device(operator, operator.token(), tmp_path / "state")
        assert device.run_once().word == "idle"
        device.close()
        digest = _imported(operator)
        said = podium("model", "release", digest, "--key", tmp_path / "new.key", "--data", data)
        assert said.code == 2
        said = podium("key", "rotate", "--role", "release", "--out", tmp_path / "new.key", "--yes", "--data", data)
        assert said.code == 0, said.err
        said = podium("model", "release", digest, "--key", tmp_path / "new.key", "--data", data)
        assert said.code == 0, said.err
        rotate(operator)
        device = _device(operator, "", tmp_path / "state")
        device.run_once()
        device.close()
        with State(tmp_path / "state") as kept:
            assert kept.memory.root is not None and open_root(kept.memory.root, None).version == 3


def _as_of_before(data: Path) -> None:
    """A directory as the first release made it: the same keys, a root document without the role release."""
    from podium.adapters.entropy import SystemEntropy
    from podium.adapters.keys import FileKeys
    from podium.crypto.root import make_root
    from podium.server.identity import ROOT_KEY

    data.mkdir()
    keys = FileKeys(data / "keys")
    made = open_identity(data, keys, SystemEntropy())
    told = made.document
    gone = active_keys(told, "release")[0]
    older = msgspec.structs.replace(
        told,
        keys={name: key for name, key in told.keys.items() if name != gone},
        roles={role: keys for role, keys in told.roles.items() if role != "release"},
    )
    made.keep(make_root(older, [keys.get(ROOT_KEY)]))
    release_key_path(data).unlink()


@pytest.mark.parametrize("found", ["older", "none"])
def test_the_root_document_is_made_again_from_the_database(tmp_path: Path, found: str) -> None:
    """Somebody put an older identity.json in place, or lost it: the plane is still who it is."""
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        older = (data / "identity.json").read_bytes()
        (device,) = enrolled(operator, 1)
        rotate(operator)
        whole = (data / "identity.json").read_bytes()
    (data / "identity.json").unlink()
    if found == "older":
        (data / "identity.json").write_bytes(older)
    with plane(data) as (server, operator):
        assert (data / "identity.json").read_bytes() == whole
        moved(device, server.url)
        assert device.check_in().reason == "no-task"
        assert rotate(operator).root_version == 3


def test_an_identity_of_another_plane_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with plane(tmp_path / name):
            pass
    shutil.copy(tmp_path / "one" / "identity.json", tmp_path / "two" / "identity.json")
    with pytest.raises(StoreFault, match="store-corrupt") as caught:
        PlaneServer(tmp_path / "two").start()
    assert "contradicts the database" in caught.value.what and "another plane" in caught.value.why


def test_the_private_key_before_is_erased_and_keys_of_before_start_no_plane(tmp_path: Path) -> None:
    """What it signed still verifies; nothing new can be signed with it by who takes the directory."""
    data, before = tmp_path / "data", tmp_path / "before"
    with plane(data) as (_, operator):
        old = (data / "keys" / "plane%2Fonline.key").read_bytes()
        shutil.copytree(data / "keys", before)
        name = rotate(operator).id
        kept = [path.name for path in (data / "keys").iterdir() if "online" in path.name]
        assert kept == [f"plane%2Fonline%2F{name}.key"]
        assert old not in b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    verify_data(data)
    shutil.rmtree(data / "keys")
    before.rename(data / "keys")
    with pytest.raises(OperatorFault, match="data-missing") as caught:
        PlaneServer(data).start()
    assert "before or after a rotation" in caught.value.why
    assert (data / "keys" / "plane%2Fonline.key").exists(), "nothing is erased by a start that is refused"


def test_a_rotation_that_could_not_be_finished_is_finished_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk failed after the record: the plane signs on with the key before, and says so."""

    def full(self: Identity, root: SignedRoot) -> None:
        raise StoreFault("store-full", what="writing identity.json failed", retryable=True)

    with plane(tmp_path / "data") as (server, operator):
        monkeypatch.setattr(Identity, "keep", full)
        assert operator.ask("POST", "/api/v1/keys/rotate", RotateAsk()).status == 503
        assert len(keys_of(operator)["online"]) == 1
        (device,) = enrolled(operator, 1)
        assert device.check_in().reason == "no-task"
        monkeypatch.undo()
        assert rotate(operator).root_version == 3
        assert [state for _, state in keys_of(operator)["online"]] == ["active", "retired", "retired"]
        assert operator.ask("GET", "/api/v1/audit/export").data.count(b'"key-rotated"') == 2
        assert device.check_in().reason == "no-task"
        device.open()
        assert server.plane is not None


def test_a_rotation_beyond_the_keys_of_a_root_document_says_why_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "KEYS_MAX", 4)
    with plane(tmp_path / "data") as (server, operator):
        first = rotate(operator)
        assert server.plane is not None
        before = server.plane.parts.keys.names("")
        for _ in range(2):
            answer = operator.ask("POST", "/api/v1/keys/rotate", RotateAsk())
            assert answer.status == 422 and b"it names 4 keys already" in answer.data, answer.data
        assert server.plane.parts.keys.names("") == before, "no private key is left behind"
        assert keys_of(operator)["online"][0] == (first.id, "active")
        (device,) = enrolled(operator, 1)
        assert device.check_in().reason == "no-task"


def test_without_the_root_key_the_plane_goes_on_but_rotates_nothing(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        assert server.plane is not None
        server.plane.parts.keys.erase("plane/root")
        answer = operator.ask("POST", "/api/v1/keys/rotate", RotateAsk())
        assert answer.status == 410 and b'"key-erased"' in answer.data
        assert len(keys_of(operator)["online"]) == 1
        with pytest.raises(StoreFault):
            server.plane.parts.keys.get("plane/root")
        assert isinstance(server, PlaneServer)
