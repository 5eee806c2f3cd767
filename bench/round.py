"""What a round costs over real HTTP: a hundred no-op devices that each move a million float32 numbers both ways.

Rows: http-100x1e6 and http-1000x1e5 (the median time from one sealed version to the next), peak-memory (the plane's
highest resident memory during the first, over its idle one). Limits: the bare script of limits/bare_round.py between
the same number of processes and threads; for memory, 300 MB.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bench._load import peak_bytes, resident_bytes, scratch
from bench._planes import looks, noop_task, plane
from bench._rows import Row, row
from podium import Round, Run, Select
from podium.plane.link import OperatorLink
from podium.plane.runs import run_ask
from podium.wire.asks import TokenAsk
from podium.wire.problems import Bug

PROCESSES = 2
ROUNDS = 4
MEMORY_MB = 300.0
TOP = Path(__file__).resolve().parents[1]
BARE = str(Path(__file__).parent / "limits" / "bare_round.py")


def measure() -> Iterator[Row]:
    """The three rows."""
    with scratch() as folder:
        seconds, memory_mb = _rounds(Path(folder) / "100", 100, 1_000_000)
        limit = ("bare-round", _bare(100, 1_000_000))
        yield row(("round", "http-100x1e6"), seconds, "s", limit, 1.5)
        yield row(("round", "peak-memory"), memory_mb, "MB", ("allowed", MEMORY_MB), 1.0)
        seconds, _ = _rounds(Path(folder) / "1000", 1_000, 100_000)
        yield row(("round", "http-1000x1e5"), seconds, "s", ("bare-round", _bare(1_000, 100_000)), None)


def _rounds(data: Path, count: int, size: int) -> tuple[float, float]:
    """Seconds from one sealed version to the next (median), and MB of the plane's memory over idle at its highest."""
    with plane(data, None) as (pid, link):
        idle = resident_bytes(pid)
        token = link.token(TokenAsk(uses=count)).token
        share = count // PROCESSES
        words = [sys.executable, "-m", "bench._devices", link.url, token, str(share)]
        devices = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=TOP) for _ in range(PROCESSES)]
        try:
            for each in devices:
                assert each.stdout is not None
                each.stdout.readline()
            seconds = _sealed(link, count, size)
        finally:
            for each in devices:
                each.kill()
                each.wait()
        return seconds, (peak_bytes(pid) - idle) / 1e6


def _sealed(link: OperatorLink, count: int, size: int) -> float:
    terms = Round(goal=count, minimum=count, deadline="5m", form_deadline="5m", stall="5m")
    task = noop_task("round", size, Select(over=1.0), terms, rounds=ROUNDS)
    run = Run(link, link.submit(run_ask(task.whole(), Path(), task.model.data)).run)
    moments: list[float] = []
    for view in looks(run, 20):
        if view.rounds_sealed > len(moments):
            moments.append(time.monotonic())
    if view.state != "FINISHED" or len(moments) < ROUNDS:
        raise Bug(f"the run ended as {view.state} ({view.reason}) with {len(moments)} seals seen")
    return statistics.median(after - before for before, after in pairwise(moments))


def _bare(count: int, size: int) -> float:
    """The median seconds of the bare script's rounds."""
    words = [sys.executable, BARE, "serve", str(count), str(size), str(ROUNDS)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    share = str(count // PROCESSES)
    devices = [subprocess.Popen([sys.executable, BARE, "devices", address, share], text=True) for _ in range(PROCESSES)]
    try:
        seconds = [float(word) for word in server.stdout.readline().split()]
        return statistics.median(seconds[1:])
    finally:
        for program in [server, *devices]:
            program.kill()
            program.wait()
