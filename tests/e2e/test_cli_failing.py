"""A plan that raises: its traceback reaches the operator, the run goes on to its end."""

import os
import signal
from pathlib import Path

import pytest

from podium.wire.operator import DeviceView
from tests.e2e.cli_made import dev, podium, start

PLAN = """
import numpy as np
from podium import Progress, Result

def init(seed):
    return {"w": np.zeros(2, np.float32)}

def train(model, data, config):
    yield Progress(0, 1)
    raise ValueError("the valve is stuck")

def rows():
    return {"rows": [1, 2, 3]}
"""
TASK = """
[task]
name = "stuck"
plan = "stuck_plan:train"
purpose = "a test"
[model]
init = "stuck_plan:init"
[data]
datasets = ["rows"]
[round]
goal = 1
form_deadline = "20s"
report_deadline = "2s"
stall = "2s"
[run]
deadline = "20s"
abandoned_max = 1
"""


def test_a_traceback_reaches_the_operator_and_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stuck_plan.py").write_text(PLAN)
    (tmp_path / "task.toml").write_text(TASK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with dev(tmp_path / "data") as plane:
        state = tmp_path / "device"
        assert podium("device", "enroll", plane.token, "--plane", plane.url, "--state", state).code == 0
        device = start(
            ["device", "run", "--state", state, "--dataset", "stuck_plan:rows", "--plan", "stuck_plan:train"]
        )
        watched = plane.podium("run", tmp_path / "task.toml", "--watch")
        logs = plane.podium("device", "logs", "device")
        device.send_signal(signal.SIGINT)
        _, err = device.communicate(timeout=30)
        assert device.returncode == 0, err
    assert watched.code in (6, 9), watched.err
    assert "failed" in watched.err
    assert logs.out.startswith("plan-raised\n")
    assert "ValueError: the valve is stuck" in logs.out
    assert "stuck_plan.py" in logs.out


def a_device(identifier: str, name: str) -> DeviceView:
    return DeviceView(
        id=identifier,
        name=name,
        population="default",
        site="",
        labels={},
        state="active",
        online=True,
        seen_ms=0,
        lease="",
        failure="",
        failure_detail="",
        enrolled_age_ms=0,
    )
