"""What devices told comes back from its bytes, and nothing comes back from bytes that are not what was kept."""

import zlib
from hashlib import sha256

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.events import SessionsOpened
from podium.core.fleet import columns, snapshot
from podium.core.fleet.columns import NEVER, Fleet
from podium.core.fleet.telemetry import data_facts, telemetry
from podium.core.rows import FactsChunk
from podium.wire.messages import Capabilities
from tests.support.core_drive import Drive
from tests.support.core_made import PLAN

CHUNK = 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of four devices."""
    for module in (columns, snapshot):
        monkeypatch.setattr(module, "CHUNK", CHUNK)
    monkeypatch.setattr(columns, "CHUNK_BITS", 2)


def told(count: int = 6) -> Drive:
    """Devices that all opened a session but the third, and told their battery."""
    drive = Drive()
    drive.issue("t", site="east", uses=count)
    for number in range(count):
        drive.enrol(f"n{number}", "t")
    devices = np.array([number for number in range(count) if number != 2])
    rows = np.arange(len(devices))
    drive.feed(
        SessionsOpened(
            at_ms=drive.now_ms,
            at=np.full(len(devices), drive.now_ms),
            device=devices,
            epoch=devices + 10,
            ticket=np.full(len(devices), -1),
            kind=(rows % 2).astype(np.int32),
            capabilities=(Capabilities(os="linux", plans={PLAN: "d"}), Capabilities(os="android", ram_mb=512)),
            data=data_facts(len(devices), {"b": rows.astype(np.int32) + 1, "a": np.full(len(devices), 9, np.int32)}),
        )
    )
    drive.core.state.fleet.hear(devices, telemetry(len(devices), {"battery": (rows / 8).astype(np.float32)}), rows)
    return drive


def fresh(drive: Drive) -> Fleet:
    """A fleet of the same rows that nobody told anything."""
    made = Fleet()
    made.take([replace(row, participated_ms=NEVER) for row in drive.core.state.devices])
    return made


def chunks(fleet: Fleet, at_ms: int = 1) -> list[FactsChunk]:
    return [snapshot.packed(snapshot.taken(fleet, each), at_ms) for each in snapshot.changed(fleet)]


def kept(told: snapshot.Told) -> FactsChunk:
    body = zlib.compress(msgspec.msgpack.encode(told))
    return FactsChunk(number=0, at_ms=1, digest=sha256(body).digest(), body=body)


def test_everything_that_was_told_comes_back() -> None:
    drive = told()
    fleet, again = drive.core.state.fleet, fresh(drive)
    made = chunks(fleet)
    assert [each.number for each in made] == [0, 1]
    assert [snapshot.restore(again, each, drive.now_ms) for each in made] == [3, 2]
    for device in range(6):
        assert again.facts_of(device) == fleet.facts_of(device)
        assert (again.epoch[device], again.seen_ms[device]) == (fleet.epoch[device], fleet.seen_ms[device])
    assert again.facts_of(2) == {}
    np.testing.assert_array_equal(again.telemetry.battery, fleet.telemetry.battery)
    assert len(set(again.facts_id[[0, 3, 5]])) == len(set(again.facts_id[[1, 4]])) == 1, (
        "equal sets are one, over chunks"
    )
    assert list(again.examples_of("b", np.array([0, 1, 3]))) == [1, 2, 3]
    assert snapshot.changed(again) == []


def test_a_chunk_changes_when_one_of_its_devices_tells_something() -> None:
    fleet = told().core.state.fleet
    chunks(fleet)
    assert snapshot.changed(fleet) == []
    fleet.hear(np.array([5]), telemetry(1), np.array([0]))
    assert snapshot.changed(fleet) == [1]


def test_a_session_that_a_lease_outlived_is_not_gone_on_with() -> None:
    drive = told()
    again = fresh(drive)
    again.epoch[:2] = 10, 12  # of leases: device 0 took one in the session that was kept, device 1 in a later one
    snapshot.restore(again, chunks(drive.core.state.fleet)[0], drive.now_ms)
    assert list(again.epoch[:4]) == [10, 12, NEVER, 13]
    assert again.facts_id[0] != NEVER and again.facts_of(0)["device.os"] == "linux"
    assert again.facts_id[1] == NEVER and again.facts_of(1) == {}


def test_what_was_seen_after_now_was_seen_now_and_who_is_not_enrolled_is_nobody() -> None:
    drive = told()
    drive.core.state.fleet.seen_ms[0] = 9
    first, second = chunks(drive.core.state.fleet)
    again = Fleet()
    again.take(list(drive.core.state.devices)[:2])
    assert snapshot.restore(again, first, 5) == 2
    assert snapshot.restore(again, second, 5) == 0
    assert list(again.seen_ms[:3]) == [5, drive.now_ms, NEVER]


def test_damaged_and_newer_chunks_change_nothing() -> None:
    drive = told()
    good, _ = chunks(drive.core.state.fleet)
    newer = replace(snapshot._unpacked(good)[0], format=2)
    short = replace(newer, format=1, columns={"epoch": b"1"})
    beyond = replace(snapshot._unpacked(good)[0], sets=msgspec.json.encode([]))
    again = fresh(drive)
    flipped = replace(good, body=good.body[:-1] + bytes([good.body[-1] ^ 1]))
    for wrong, why in (
        (flipped, "not what was kept"),
        (replace(good, digest=b""), "not what was kept"),
        (kept(newer), "format 2"),
        (kept(short), "column epoch has 1 bytes"),
        (kept(beyond), "beyond its 0"),
    ):
        with pytest.raises(ValueError, match=why):
            snapshot.restore(again, wrong, 5)
    assert (again.epoch == NEVER).all() and not list(again.facts.most(9))
