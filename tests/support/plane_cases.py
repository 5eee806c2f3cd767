"""A real plane on a loopback port for end-to-end tests, its operator, and a small task to run on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import urllib3
from numpy.typing import NDArray

from podium.server.main import PlaneServer
from podium.tasks.digest import task_bytes
from podium.tasks.task import Data, Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.asks import RunAsk, TokenAsk
from podium.wire.canonical import b64
from podium.wire.durations import Duration
from podium.wire.limits import Limits
from podium.wire.operator import RunMade, RunView, TokenMade
from podium.wire.tensors import write_arrays
from tests.support.scripted_device import PLAN, ScriptedDevice

T = TypeVar("T")

FAST = Limits(form_settle_ms=20, window_rendezvous_ms=10, window_idle_ms=20, drain_ms=2_000)
SIZE = 64
"""Elements of the test model: at most so many one-hot updates."""


class Operator:
    """Asks the operator API with a credential."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=20.0)

    def ask(self, method: str, path: str, body: msgspec.Struct | bytes | None = None) -> urllib3.BaseHTTPResponse:
        """One request as it is."""
        data = msgspec.json.encode(body) if isinstance(body, msgspec.Struct) else body
        return self._pool.request(method, self.url + path, body=data, headers=self.headers)

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> urllib3.BaseHTTPResponse:
        """One request with further headers."""
        return self._pool.request(method, self.url + path, body=body, headers={**self.headers, **headers})

    def get(self, path: str, kind: type[T]) -> T:
        """A view."""
        response = self.ask("GET", path)
        assert response.status == 200, response.data
        return msgspec.json.decode(response.data, type=kind)

    def post(self, path: str, body: msgspec.Struct, kind: type[T]) -> T:
        """Make something."""
        response = self.ask("POST", path, body)
        assert response.status in (200, 201), response.data
        return msgspec.json.decode(response.data, type=kind)

    def token(self, uses: int = 1, name: str = "", site: str = "") -> str:
        """An enrolment token."""
        return self.post("/api/v1/tokens", TokenAsk(uses=uses, name=name, site=site), TokenMade).token

    def submit(self, task: Task, model: dict[str, NDArray[np.float32]] | None = None) -> str:
        """Start a run from `model` (zeros without one); its id."""
        arrays = {"w": np.zeros(SIZE, np.float32)} if model is None else model
        ask = RunAsk(task=msgspec.Raw(task_bytes(task)), model=b64(write_arrays(arrays)))
        return self.post("/api/v1/runs", ask, RunMade).run

    def run(self, run: str) -> RunView:
        """The run as it stands."""
        return self.get(f"/api/v1/runs/{run}", RunView)


@contextmanager
def plane(data: Path, limits: Limits = FAST) -> Iterator[tuple[PlaneServer, Operator]]:
    """A plane over `data` with its administrator; stopped at the end."""
    with PlaneServer(data, limits=limits) as server:
        yield server, administrator(server)


@contextmanager
def plane_process(data: Path, *program: str) -> Iterator[tuple[subprocess.Popen[str], Operator]]:
    """A plane over `data` in a process of its own, which prints its address first; killed at the end if it lives."""
    child = subprocess.Popen(
        [sys.executable, *program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        yield child, Operator(url, (data / "administrator.token").read_text().strip())
    finally:
        child.kill()
        child.wait()


def administrator(server: PlaneServer) -> Operator:
    """The operator with every verb."""
    return Operator(server.url, (server.data / "administrator.token").read_text().strip())


def viewer(server: PlaneServer) -> Operator:
    """The operator who may only read."""
    return Operator(server.url, (server.data / "viewer.token").read_text().strip())


def enrolled(operator: Operator, count: int, site: str = "") -> list[ScriptedDevice]:
    """`count` devices, enrolled and in a session."""
    token = operator.token(uses=count, site=site)
    devices = [ScriptedDevice(operator.url, name=f"device-{place}") for place in range(count)]
    for device in devices:
        device.enrol(token)
        device.open()
    return devices


def task(goal: int = 1, rounds: int = 1, minimum: int = 0, requires: str = "", kind: str = "train") -> Task:
    """A task that the scripted devices can serve."""
    return Task(
        task=Head(name="one-hot", plan=PLAN, purpose="tests", kind="evaluate" if kind == "evaluate" else "train"),
        model=ModelSource(init="tests:init"),
        data=Data(),
        select=Select(requires=requires),
        round=Round(goal=goal, minimum=minimum, stall=Duration(30_000), report_deadline=Duration(30_000)),
        run=RunRules(rounds=rounds),
    )


def one_hot(place: int) -> dict[str, NDArray[np.float32]]:
    """An update that adds 1 at `place` only: a 2 in a sum of them is a double count."""
    values = np.zeros(SIZE, np.float32)
    values[place] = 1.0
    return {"w": values}
