"""A device killed with SIGKILL at drawn moments of its conversation: it comes back as the same device, and each lease
ends with one report and one update, whole.

A moment is (the n-th request of the run, before it is served or after it is served and before the answer leaves), or a
time after the start. Moments are drawn from a seed that a failure shows, and the phases hit are counted.
"""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.device_bench import PLANS, model, task
from tests.support.loopback import Answer
from tests.support.scripted_plane import Misdeed, ScriptedPlane

log = logging.getLogger("kills")
SCRIPT = str(Path(PLANS) / "device_process.py")
ROUNDS = 4


class Mortal:
    """A device process that is started again whenever it died."""

    def __init__(self, plane: ScriptedPlane, state: Path) -> None:
        self._arguments = [sys.executable, SCRIPT, plane.url, plane.token(), str(state)]
        paths = [PLANS, *(path for path in sys.path if path)]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._lock = threading.Lock()
        self.process = self._start()
        self.kills = 0

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._arguments, env=self._environment)

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        with self._lock:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                self.kills += 1

    def revive(self) -> None:
        """Start it again if it is dead."""
        with self._lock:
            if self.process.poll() is not None:
                self.process = self._start()


def _phase(line: str) -> str:
    return line.split("?")[0].rpartition("/")[2] if "/v1/blobs" not in line else "fetch"


def _misdeeds(plane: ScriptedPlane, mortal: Mortal, moments: random.Random, kills: int, hit: Counter[str]) -> None:
    """Script `kills` deaths, each some requests after the one before, half of them after the request was served."""

    def next_one(left: int) -> None:
        after, pause = moments.random() < 0.5, moments.randrange(14)

        def die(answer: Answer | None = None) -> Answer:
            mortal.kill()
            if left > 1:
                next_one(left - 1)
            return Answer(drop=True)

        def note_before() -> Answer:
            hit["before"] += 1
            return die()

        def note_after(answer: Answer) -> Answer:
            hit["after"] += 1
            return die()

        plane.misdeeds.append(Misdeed(match="/v1/", times=pause, after=lambda answer: answer))
        misdeed = Misdeed(match="/v1/", after=note_after) if after else Misdeed(match="/v1/", instead=note_before)
        plane.misdeeds.append(misdeed)

    next_one(kills)


def _run(tmp_path: Path, seed: int, kills: int) -> tuple[ScriptedPlane, Mortal, Counter[str]]:
    """A run of `ROUNDS` leases through `kills` deaths."""
    log.warning("seed %d", seed)
    moments, hit = random.Random(seed), Counter[str]()
    with ScriptedPlane() as plane:
        terms = task(steps=3, pause_ms=5)
        leases = [plane.offer(plane.manifest(terms, model(400_000), number)) for number in range(1, ROUNDS + 1)]
        mortal = Mortal(plane, tmp_path / "state")
        _misdeeds(plane, mortal, moments, kills, hit)
        until = time.monotonic() + 120
        while time.monotonic() < until and not (mortal.kills == kills and _all_reported(plane)):
            mortal.revive()
            if mortal.kills < kills and _all_reported(plane):
                # Every lease is done before every death was died: go on with more of them.
                number = len(leases) + 1
                leases.append(plane.offer(plane.manifest(terms, model(400_000), number)))
            time.sleep(0.01)
        mortal.kill()
        dead = [line for line, status in plane.log if status == 0]
        hit.update(f"phase {_phase(line)}" for line in dead)
        for lease in leases:
            assert lease.state == "REPORTED", f"seed {seed}: lease {lease.id} is {lease.state}"
            for tensor in plane.update(lease).values():
                np.testing.assert_array_equal(tensor, np.ones_like(tensor))
    return plane, mortal, hit


def _all_reported(plane: ScriptedPlane) -> bool:
    return all(lease.state == "REPORTED" for lease in plane.queue)


def _check(plane: ScriptedPlane, kills: int, hit: Counter[str]) -> None:
    assert plane.faults == []
    assert list(plane.devices) == ["d0"]
    (epochs,) = plane.epochs.values()
    assert epochs == sorted(set(epochs))
    assert hit["before"] + hit["after"] == kills


@pytest.mark.parametrize("seed", [11, 12])
def test_a_killed_device_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    plane, mortal, hit = _run(tmp_path, seed, kills=4)
    assert mortal.kills >= 4
    _check(plane, 4, hit)


@pytest.mark.long
def test_forty_kills_hit_every_phase(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in range(100, 105):
        plane, _, hit = _run(tmp_path / str(seed), seed, kills=8)
        _check(plane, 8, hit)
        total += hit
    log.warning("hit %s", dict(total))
    for phase in ("checkin", "fetch", "accept", "progress", "upload", "report", "session"):
        assert total[f"phase {phase}"] > 0, f"no kill in {phase}: {dict(total)}"
    assert total["before"] > 5
    assert total["after"] > 5


def test_kills_by_the_clock_land_between_requests_too(tmp_path: Path) -> None:
    seed = 21
    log.warning("seed %d", seed)
    moments = random.Random(seed)
    with ScriptedPlane() as plane:
        lease = plane.offer(plane.manifest(task(steps=40, pause_ms=5), model(400_000), 1))
        mortal = Mortal(plane, tmp_path / "state")
        for _ in range(3):
            before = len(plane.log)
            while len(plane.log) < before + 3 and not _all_reported(plane):
                time.sleep(0.005)
            time.sleep(moments.random() * 0.2)
            mortal.kill()
            mortal.revive()
        until = time.monotonic() + 60
        while time.monotonic() < until and not _all_reported(plane):
            time.sleep(0.01)
        mortal.kill()
        np.testing.assert_array_equal(plane.update(lease)["a"], np.ones(200_000, np.float32))
        assert plane.faults == []
        assert len(plane.devices) == 1
