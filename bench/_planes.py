"""A plane in a process of its own, devices enrolled at it, and tasks of the no-op plan."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import podium
from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from podium.wire.operator import RUN_OPEN, RunView

PLAN = "bench._noop:train"


@contextlib.contextmanager
def process(words: list[str]) -> Iterator[tuple[int, str]]:
    """Run a program that prints its address first; its process id and the address. It is ended afterwards."""
    running = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"{' '.join(words)} ended with exit code {running.wait()}")
        yield running.pid, url
    finally:
        running.terminate()
        running.wait(30)


@contextlib.contextmanager
def plane(data: Path, tls: tuple[Path, Path] | None, *settings: str) -> Iterator[tuple[int, OperatorLink]]:
    """`podium serve` over `data`; its process id and its operator API."""
    words = ["-m", "podium.cli.main", "serve", "--data", str(data), "--port", "0", "--allow-dev-plans"]
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--tls", *map(str, tls)] if tls else []
    with process(words) as (pid, _), connect_data(data) as link:
        yield pid, link


def noop_task(name: str, size: int, select: podium.Select, terms: podium.Round, rounds: int = 1) -> podium.Task:
    """A task of the no-op plan over one float32 tensor of `size` numbers."""
    return podium.Task(
        name,
        model=podium.Model.from_arrays({"w": np.zeros(size, np.float32)}),
        plan=PLAN,
        purpose="a bench",
        select=select,
        round=terms,
        rounds=rounds,
    )


def looks(run: podium.Run, every_ms: int) -> Iterator[RunView]:
    """The run's view every `every_ms` until it is over: oftener than a plane tells it to those who watch."""
    while (view := run.view()).state in RUN_OPEN:
        yield view
        time.sleep(every_ms / 1000)
    yield view
