"""A real plane and real devices as processes that die at drawn moments and are started again at once.

Two kinds of deaths, both drawn from the run's seed before anything happens: by the clock (for each process a Poisson
stream from the run's start, so that the moments are spread uniformly over the run whatever it is doing) and by fuse (in
its n-th transaction or request, before it or after it, n drawn log-uniformly). A moment at which its process is dead
already is skipped. Nothing waits for a state, friendly or not.
"""

import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import urllib3

from podium.tasks.task import Data, Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration
from podium.wire.operator import RunView
from tests.e2e.kills.tracing import read_trace
from tests.support.plane_cases import Operator

HERE = Path(__file__).parent
DEVICES = 5
SIZE = 800_000
"""Elements of the model: 3.2 MB, four chunks of an update."""
RUN_S_MAX = 100
PLANE_FUSES = {"before": 60, "after": 60, "before-request": 200, "after-request": 200}
DEVICE_FUSES = {"before": 40, "after": 40}
"""Kinds of fuses, and the most things that each lets pass."""


class Death(NamedTuple):
    """A process was killed: who, when (monotonic ns), and how: "clock", or "before ..." or "after ..." of a fuse."""

    who: str
    at_ns: int
    how: str


class Mortal:
    """A process that dies at drawn moments and is started again whenever it died."""

    def __init__(
        self, name: str, folder: Path, arguments: list[str], draw: random.Random, fuses: dict[str, int]
    ) -> None:
        self.name = name
        self.deaths: list[Death] = []
        self.trace = folder / f"{name}.trace"
        self._arguments = [sys.executable, *arguments, str(self.trace)]
        self._errors = folder / f"{name}.err"
        self._draw = draw
        self._fuses = fuses
        self._process: subprocess.Popen[bytes] | None = None
        self._started_ns = 0
        self._next_s = math.inf
        self._mean_s = math.inf
        self._mortal = False

    @property
    def pid(self) -> int:
        """The process of its present life."""
        assert self._process is not None
        return self._process.pid

    def arm(self, mean_s: float) -> None:
        """From now on it may die, by the clock every `mean_s` on average."""
        self._mortal, self._mean_s = True, mean_s
        self._next_s = time.monotonic() + self._draw.expovariate(1 / mean_s)

    def disarm(self) -> None:
        """No more deaths by the clock, and no fuse in a life that is yet to begin."""
        self._mortal, self._next_s = False, math.inf

    def start(self) -> None:
        """Begin a life, with a fuse in most of them."""
        side = self._draw.choice(("none", *self._fuses)) if self._mortal else "none"
        most = math.log(self._fuses.get(side, 1))
        fuse = side if side == "none" else f"{side}:{int(math.exp(self._draw.uniform(0, most)))}"
        paths = [str(HERE), *(path or os.getcwd() for path in sys.path)]
        self._started_ns = time.monotonic_ns()
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*self._arguments, fuse],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )

    def tend(self) -> None:
        """Kill it if its moment has come, and start it if it is dead."""
        assert self._process is not None
        if time.monotonic() >= self._next_s:
            self._next_s += self._draw.expovariate(1 / self._mean_s)
            if self._process.poll() is None:
                self.deaths.append(Death(self.name, time.monotonic_ns(), "clock"))
                self._process.kill()
                self._process.wait()
                self.start()
                return
        if self._process.poll() is not None:
            self._note_fuse(self._process.returncode)
            self.start()

    def _note_fuse(self, code: int) -> None:
        last = read_trace(self.trace)[-1]
        assert (code, last.word) == (-signal.SIGKILL, "fuse"), f"{self.name} ended with {code}: {self.story()}"
        self.deaths.append(Death(self.name, last.at_ns, last.detail))

    def ready(self) -> bool:
        """Whether its present life has got so far as to say that it is ready."""
        return any(line.word == "ready" and line.at_ns > self._started_ns for line in read_trace(self.trace))

    def end(self, dies_s: float = -1) -> None:
        """SIGTERM; it must end by itself, well, unless a fuse comes first, or SIGKILL after `dies_s` (not below 0)."""
        if self._process is None:
            return
        self._process.terminate()
        if dies_s >= 0:
            time.sleep(dies_s)
            self._process.kill()
            self._process.wait()
            return
        code = self._process.wait(30)
        if code == -signal.SIGKILL:
            self._note_fuse(code)
        else:
            early = code == -signal.SIGTERM and not self.ready()
            assert code == 0 or early, f"{self.name} ended with {code}: {self.story()}"

    def bury(self) -> None:
        """Let nothing of it live, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def story(self) -> str:
        """The last of what it said."""
        trace = "\n".join(str(line) for line in read_trace(self.trace)[-15:])
        return f"{trace}\n{self._errors.read_text()[-3000:] if self._errors.exists() else ''}"


class Trial:
    """One run over HTTP, with `DEVICES` devices, in `folder`."""

    def __init__(self, folder: Path, seed: str, rounds: int, *, tight: bool = False, data: Path | None = None) -> None:
        """`data`: the plane's directory, if it is not in `folder`.

        `tight`: a task whose leases lapse, and whose rounds are abandoned, when a few die at the wrong moment.
        """
        folder.mkdir(parents=True)
        self.folder = folder
        self.data = data or folder / "data"
        self.seed = seed
        self.rounds = rounds
        self.tight = tight
        self.run = ""
        self.view: RunView | None = None
        port = _free_port(random.Random(f"{seed}/port"))
        self.url = f"http://127.0.0.1:{port}"
        arguments = [str(HERE / "plane_child.py"), str(self.data), str(port)]
        self.plane = Mortal("plane", folder, arguments, random.Random(f"{seed}/plane"), PLANE_FUSES)
        self.devices: list[Mortal] = []
        self.startup_s = 0.0

    @property
    def mortals(self) -> list[Mortal]:
        """The plane and the devices."""
        return [self.plane, *self.devices]

    @property
    def deaths(self) -> list[Death]:
        """Every kill, in order."""
        return sorted((death for mortal in self.mortals for death in mortal.deaths), key=lambda death: death.at_ns)

    def execute(self) -> None:
        """From an empty directory to the end of the run; leaves nothing running. Says how it stands if it does not."""
        try:
            self.prepare()
            for mortal in self.mortals:
                mortal.arm((4 if mortal is self.plane else 6) * self.startup_s)
                mortal.start()
            self.finish()
        finally:
            self.bury()

    def prepare(self) -> None:
        """A first life of the plane, in which nobody dies: tokens and the run."""
        began = time.monotonic()
        self.plane.start()
        self.until(self.plane.ready, 60, self.plane)
        self.startup_s = time.monotonic() - began
        operator = self.operator()
        for place in range(DEVICES):
            name = f"device-{place}"
            state, token = str(self.folder / name), operator.token(name=name)
            arguments = [str(HERE / "device_child.py"), self.url, token, state, str(place)]
            draw = random.Random(f"{self.seed}/{name}")
            self.devices.append(Mortal(name, self.folder, arguments, draw, DEVICE_FUSES))
        self.run = operator.submit(one_hot_task(self.rounds, self.tight), {"w": np.zeros(SIZE, np.float32)})
        self.plane.end()

    def finish(self) -> None:
        """From wherever the run stands to its end, and to a plane that has tidied up and stopped."""
        self.until(self.ended, RUN_S_MAX)
        for device in self.devices:
            device.disarm()
            device.end()
        self.plane.disarm()
        self.until(self.quiet, 20, self.plane)
        self.plane.end()

    def bury(self) -> None:
        """Let nothing live, whatever happened."""
        for mortal in self.mortals:
            mortal.bury()

    def until(self, done: Callable[[], bool], within_s: float, *tended: Mortal) -> None:
        """Tend the processes (all, or those named) until `done()`; an `AssertionError` tells how it stands if not."""
        end = time.monotonic() + within_s
        look = 0.0
        while time.monotonic() < end:
            for mortal in tended or self.mortals:
                mortal.tend()
            if time.monotonic() >= look:
                if done():
                    return
                look = time.monotonic() + 0.2
            time.sleep(0.005)
        stories = "\n\n".join(f"{mortal.name}: {mortal.story()}" for mortal in self.mortals)
        raise AssertionError(f"seed {self.seed}: {self.view} not done in {within_s} s, {self.left()}\n{stories}")

    def ended(self) -> bool:
        """Whether the run is over, as far as the plane can be asked now."""
        try:
            response = self.operator().ask("GET", f"/api/v1/runs/{self.run}")
        except urllib3.exceptions.HTTPError:
            return False
        if response.status != 200:
            return False
        self.view = msgspec.json.decode(response.data, type=RunView)
        return self.view.state != "RUNNING"

    def quiet(self) -> bool:
        """Whether nothing is left lying about, and the plane is up."""
        return not self.left() and self.ended()

    def left(self) -> list[str]:
        """What lies about that belongs to no open round: upload keys, uploads, anything staged."""
        keys = (self.data / "keys").glob("upload*")
        blobs = self.data / "blobs"
        return [path.name for path in (*keys, *(blobs / "uploads").rglob("*"), *(blobs / "staging").glob("*"))]

    def operator(self) -> Operator:
        """The administrator."""
        return Operator(self.url, (self.data / "administrator.token").read_text().strip())


def one_hot_task(rounds: int, tight: bool) -> Task:
    """`rounds` rounds of three one-hot updates, or two at least, of five devices.

    Loose, a silent device is given up after 3 s and a round after 15; tight, after 0.5 and 0.7, and it needs all three.
    """
    stall_ms, report_ms, minimum = (500, 700, 3) if tight else (3_000, 15_000, 2)
    return Task(
        task=Head(name="one-hot", plan="kill_plans:one_hot", purpose="tests"),
        model=ModelSource(init="kill_plans:init"),
        data=Data(datasets=("place",), examples_min=0),
        local={"steps": 4, "pause_ms": 40},
        select=Select(over=1.0 if tight else "auto"),
        round=Round(
            goal=3,
            minimum=minimum,
            stall=Duration(stall_ms),
            report_deadline=Duration(report_ms),
            form_deadline=Duration(60_000),
        ),
        run=RunRules(rounds=rounds, deadline=Duration(600_000), abandoned_max=50),
    )


def _free_port(draw: random.Random) -> int:
    """A port nobody listens on, outside the range that connections take theirs from."""
    while True:
        port = draw.randrange(15_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
