"""A plane that is killed while a key is rotated: what its journal tells of happened, and nothing else did.

After each kill: the root documents of file and database are one, its keys are those that the journal tells of, the
Keys port holds the private half of the one that signs and no other, a device goes on, and every head verifies.
"""

import logging
import queue
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import urllib3

from podium.adapters.keys import FileKeys
from podium.adapters.sqlite.reader import open_readonly
from podium.crypto.root import active_keys, open_root
from podium.crypto.sign import key_id, public_key
from podium.device.state import State
from podium.server.backup.taking import stored_root
from podium.server.identity import ONLINE_KEY
from podium.server.journal.audit import verify_data
from podium.wire.asks import RotateAsk
from podium.wire.canonical import b64
from podium.wire.operator import KeyView
from tests.e2e.test_device_on_plane import _device
from tests.e2e.test_keys import document
from tests.e2e.test_plane_restart import process
from tests.support.plane_cases import Operator, plane, plane_process

log = logging.getLogger("kills")

CHILD = Path(__file__).with_name("rotation_child.py")
SEED = 11


@contextmanager
def dying(data: Path, point: int) -> Iterator[tuple["subprocess.Popen[str]", Operator]]:
    """A plane that dies at that point of its first rotation."""
    with plane_process(data, str(CHILD), str(data), str(point)) as made:
        yield made


class Entry(msgspec.Struct):
    """What is looked at in an exported record."""

    kind: str
    subject: str
    why: dict[str, str | int]


class Line(msgspec.Struct):
    """What is looked at in an exported line."""

    line: str
    record: Entry | None = None


def enrol(data: Path, state: Path) -> None:
    """A device that trusts the plane's first root document."""
    with plane(data) as (_, operator):
        device = _device(operator, operator.token(), state)
        assert device.run_once().word == "idle"
        device.close()


def standing(data: Path, state: Path) -> int:
    """Start the plane again, and check all of it; the version of its root document."""
    with plane(data) as (_, operator):
        device = _device(operator, "", state)
        assert device.run_once().word == "idle"
        device.close()
        lines = operator.ask("GET", "/api/v1/audit/export").data.splitlines()
    root = document(data)
    reader = open_readonly(data)
    try:
        assert stored_root(reader)[1] == root
    finally:
        reader.close()
    records = [line.record for line in (msgspec.json.decode(text, type=Line) for text in lines) if line.record]
    told = [(each.subject, each.why["root_version"]) for each in records if each.kind == "key-rotated"]
    assert [version for _, version in told] == list(range(2, root.version + 1)), told
    assert root.keys.keys() >= {name for name, _ in told}
    assert len(root.keys) == 3 + len(told), "the first root, online and release key, and those rotated to"
    keys = FileKeys(data / "keys")
    assert [key_id(public_key(keys.get(name))) for name in keys.names(ONLINE_KEY)] == [*active_keys(root, "online")]
    with State(state) as kept:
        assert kept.memory.root is not None and open_root(kept.memory.root, None) == root
    assert verify_data(data).pending == 0
    return root.version


def killed_at(data: Path, state: Path, ask: RotateAsk, point: int) -> int:
    """The root version of the plane of `data` after it died at that point of a rotation, and was started again."""
    with dying(data, point) as (child, operator):
        with pytest.raises(urllib3.exceptions.HTTPError):
            operator.ask("POST", "/api/v1/keys/rotate", ask)
        assert child.wait() < 0
    return standing(data, state)


@pytest.mark.parametrize("point", [5, 6])
def test_the_record_decides_whether_a_killed_rotation_happens(tmp_path: Path, point: int) -> None:
    data, state = tmp_path / "data", tmp_path / "state"
    enrol(data, state)
    version = killed_at(data, state, RotateAsk(), point)
    assert version == (2 if point >= 6 else 1)
    with plane(data) as (_, operator):
        operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
    assert standing(data, state) == version + 1


@pytest.mark.long
def test_killed_at_every_point_of_a_rotation(tmp_path: Path) -> None:
    """In order: the private key, the staged document, the record, file, database, the erased key; before and after.

    A release key's private half is not the plane's, so there is nothing of it to keep or to erase.
    """
    data, state = tmp_path / "data", tmp_path / "state"
    enrol(data, state)
    online = [killed_at(data, state, RotateAsk(), point) for point in range(1, 13)]
    assert online == [1] * 5 + [2, 3, 4, 5, 6, 7, 8]
    release = [killed_at(data, state, RotateAsk(role="release", public_key=other(n)), n) for n in range(1, 9)]
    assert release == [8] * 3 + [9, 10, 11, 12, 13]
    with dying(data, 13) as (_, operator):
        operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
        assert document(data).version == 14, "and there is no point more"


def other(number: int) -> str:
    """A public key."""
    return b64(public_key(bytes([number]) * 32))


@pytest.mark.long
def test_killed_at_any_moment_of_many_rotations(tmp_path: Path) -> None:
    """Within one that follows a few others: what was answered happened, and what was not may have."""
    log.warning("seed %d", SEED)
    draw, data, state = random.Random(SEED), tmp_path / "data", tmp_path / "state"
    enrol(data, state)
    versions, answered = [1], queue.Queue[str]()
    for _ in range(12):
        done = []
        with process(data) as (child, operator):
            rotating = threading.Thread(target=rotate_until_killed, args=(operator, answered))
            rotating.start()
            done += [answered.get(timeout=60) for _ in range(draw.randrange(4))]
            time.sleep(draw.uniform(0, 0.1))
            child.kill()
            child.wait()
            rotating.join()
        while not answered.empty():
            done.append(answered.get())
        versions.append(standing(data, state))
        assert document(data).keys.keys() >= set(done)
        assert versions[-1] - versions[-2] - len(done) in (0, 1), "one more was under way, at most"
    log.warning("root versions %s", versions)


def rotate_until_killed(operator: Operator, answered: "queue.Queue[str]") -> None:
    """One rotation after the other; the new key of each that was answered."""
    try:
        while True:
            answered.put(operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView).id)
    except urllib3.exceptions.HTTPError as error:
        log.info("killed: %s", error)
