"""The plane is killed at random moments of a real run, again and again: nothing stored is lost or counted twice.

The moments come from a seed that a failure prints. One-hot updates show a double count as a 2.
"""

import random
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.adapters.keys import FileKeys
from podium.core.records import read_record
from podium.server.audit import export_data, verify_data
from podium.wire.operator import Page, RunView, VersionView
from podium.wire.tensors import read_arrays
from tests.e2e.test_plane_restart import process
from tests.support.plane_cases import SIZE, Operator, enrolled, task
from tests.support.stubborn_device import StubbornDevice

DEVICES = 6


def killed_until(data: Path, run: str, kills: int, draw: random.Random) -> tuple[RunView, int]:
    """Kill the plane at most `kills` times while the run goes on; the run as it ended, and how often it was killed."""
    for killed in range(kills + 1):
        with process(data) as (child, operator):
            view = watched(operator, run, draw.uniform(0.0, 0.3) if killed < kills else 60.0)
            if view.state != "RUNNING":
                return view, killed
            child.kill()
            child.wait()
    raise AssertionError(f"run {run} did not end")


def watched(operator: Operator, run: str, within_s: float) -> RunView:
    """The run once it is over, or as it is after so long."""
    end = time.monotonic() + within_s
    while (view := operator.run(run)).state == "RUNNING" and time.monotonic() < end:
        time.sleep(0.01)
    return view


def reported(data: Path) -> set[str]:
    """The leases whose report stands in the journal."""
    found: set[str] = set()
    for line in export_data(data):
        entry = msgspec.json.decode(line)
        if entry["line"] == "entry":
            record = read_record(msgspec.json.encode(entry["record"]))
            found |= {record.subject} if record.kind == "lease-reported" else set()
    return found


def check_versions(operator: Operator, run: str, rounds: int) -> None:
    """Each version's step is a mean of distinct one-hot updates."""
    page = operator.get(f"/api/v1/versions?run={run}", Page)
    versions = [msgspec.json.decode(item, type=VersionView) for item in page.items]
    assert len(versions) == rounds + 1
    before = np.zeros(SIZE)
    for version in versions[1:]:
        data = operator.ask("GET", f"/api/v1/versions/{version.digest}/blob").data
        weights = read_arrays(data)["w"].astype(np.float64)
        counted = (weights - before) * version.contributors
        np.testing.assert_allclose(counted, np.round(counted), atol=1e-3)
        assert set(np.round(counted).tolist()) <= {0.0, 1.0}, "a 2 would be a double count"
        assert np.round(counted).sum() == version.contributors
        before = weights


@pytest.mark.parametrize(
    ("seed", "kills", "rounds"),
    [(1, 5, 40), *(pytest.param(seed, 25, 200, marks=pytest.mark.long) for seed in range(2, 7))],
)
def test_killed_again_and_again(tmp_path: Path, seed: int, kills: int, rounds: int) -> None:
    data, draw, stopping = tmp_path / "data", random.Random(seed), threading.Event()
    with process(data) as (_, operator):
        devices = enrolled(operator, DEVICES)
        run = operator.submit(task(goal=4, minimum=2, rounds=rounds))
    stubborn = [StubbornDevice(data, device, place, stopping) for place, device in enumerate(devices)]
    threads = [threading.Thread(target=device.run) for device in stubborn]
    for thread in threads:
        thread.start()
    try:
        view, killed = killed_until(data, run, kills, draw)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert (view.state, view.rounds_sealed) == ("FINISHED", rounds), f"seed {seed}: {view}"
    assert killed >= kills // 2, f"seed {seed}: the run was killed only {killed} times"
    with process(data) as (child, operator):
        check_versions(operator, run, rounds)
        child.terminate()
        assert child.wait(20) == 0
    acknowledged = {lease for device in stubborn for lease in device.stored}
    assert acknowledged and acknowledged <= reported(data), f"seed {seed}: a stored report is lost"
    assert verify_data(data).pending == 0
    assert FileKeys(data / "keys").names("upload/") == [], "no upload key outlives its round"
