"""A plane that starts again knows its devices before they return: who they are, what they have, when they were seen."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from podium.adapters.sqlite.reader import open_readonly
from podium.wire.operator import DeviceDetail
from tests.e2e.cli_made import podium
from tests.support.plane_cases import Operator, enrolled, plane, plane_process

PROGRAM = """
import sys
from pathlib import Path
from msgspec.structs import replace
from podium.server.main import PlaneServer, serve
from tests.e2e.cli_made import podium
from tests.support.plane_cases import FAST
limits = replace(FAST, facts_ms=20)
serve(PlaneServer(Path(sys.argv[1]), limits=limits), lambda server: print(server.url, flush=True), Path(sys.argv[2]))
"""


def killed(data: Path) -> dict[str, DeviceDetail]:
    """A plane that was killed once it had kept what its devices told; what it said of each of them, by id."""
    with plane_process(data, "-c", PROGRAM, str(data), str(data) + ".log") as (child, operator):
        devices = enrolled(operator, 3)
        for device in devices:
            device.check_in()
        told = time.time_ns() // 1_000_000
        until = time.monotonic() + 20
        while kept_ms(data) <= told + 100 and time.monotonic() < until:
            devices[0].check_in()  # a chunk in which nobody tells anything is not kept again
            time.sleep(0.02)
        said = {device.device_id: shown(operator, device.device_id) for device in devices}
        child.send_signal(signal.SIGKILL)
        child.wait()
    return said


def kept_ms(data: Path) -> int:
    reader = open_readonly(data)
    kept = [chunk.at_ms for chunk in reader.facts()]
    reader.close()
    return max(kept, default=0)


def shown(operator: Operator, device: str) -> DeviceDetail:
    return operator.get(f"/api/v1/devices/{device}", DeviceDetail)


def test_a_killed_plane_knows_its_devices_before_they_return(tmp_path: Path) -> None:
    said = killed(tmp_path / "data")
    assert len(said) == 3
    with plane(tmp_path / "data") as (_, operator):
        for device, before in said.items():
            now = shown(operator, device)
            assert now.facts == before.facts and now.facts
            assert 0 <= before.device.seen_ms <= now.device.seen_ms < 60_000, "so long ago it was seen"


@pytest.mark.parametrize("damage", ["body = x'00'", "digest = x'00'", "number = 9"])
def test_damaged_facts_are_passed_over(tmp_path: Path, damage: str) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        (device,) = enrolled(operator, 1)
    db = sqlite3.connect(data / "podium.db")
    assert db.execute(f"UPDATE facts SET {damage}").rowcount == 1
    db.commit()
    db.close()
    with plane(data) as (_, operator):
        now = shown(operator, device.device_id)
        assert (now.facts, now.device.seen_ms) == ({}, -1)


def test_a_restored_plane_knows_what_the_backup_holds(tmp_path: Path) -> None:
    said = killed(tmp_path / "data")
    backup, keys, phrase, data = (tmp_path / name for name in ("backup.tar", "keys", "phrase", "restored"))
    phrase.write_text("a passphrase of the tests\n")
    made = podium("db", "backup", "--out", backup, "--with-keys", keys, phrase, "--data", tmp_path / "data")
    assert made.code == 0, made.err
    made = podium("db", "restore", backup, "--data", data, "--keys", keys, phrase)
    assert made.code == 0, made.err
    with plane(data) as (_, operator):
        assert {device: shown(operator, device).facts for device in said} == {
            device: before.facts for device, before in said.items()
        }
