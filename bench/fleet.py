"""What a fleet of a million costs the plane: a boot over it, in seconds and in memory, and what a device takes.

Rows: boot-1e6 (seconds from opening the store to a core that could take an event, what devices told restored; at most
10), boot-1e6-memory (the most that this took), serve-1e6-memory (what `podium serve` has resident once it answers), and
facts-1e6 (bytes a device of the columns by device number: facts, telemetry, liveness, conditions, and what was learned;
at most 200). The directory is that of the bench of pages: a million devices that told their facts, twelve thousand
rounds and their leases.
Limits: the bodies of all those devices read by a bare SQLite loop in the same run; for memory, the size of the bodies;
for the columns, one element of each, without room to grow. Targets are of the values, whatever the limits take.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import _fleet_data, _fleet_told
from bench._load import resident_bytes, scratch
from bench._planes import plane
from bench._rows import Row, valued

TARGET_S, TARGET_BYTES = 10.0, 200.0
REPEATS = 3
TOP = Path(__file__).resolve().parents[1]


def measure() -> Iterator[Row]:
    """The rows, in a directory that goes away."""
    with scratch() as folder:
        data = Path(folder) / "data"
        _fleet_data.fill(data)
        _fleet_told.tell(data)
        yield from measured(data)


def measured(data: Path) -> Iterator[Row]:
    """The rows over a filled directory."""
    boots, floors, megabytes = [], [], 0.0
    for _ in range(REPEATS):  # in turns, so that both see the same machine
        boots.append(booted(data))
        floor_s, megabytes = _floor(data)
        floors.append(floor_s)
    seconds, memory, held, least = (statistics.median(each) for each in zip(*boots, strict=True))
    bodies = ("bodies", megabytes)
    yield valued(("fleet", "boot-1e6"), seconds, "s", ("bare-sqlite", statistics.median(floors)), TARGET_S)
    yield valued(("fleet", "boot-1e6-memory"), memory, "MB", bodies, None)
    yield valued(("fleet", "facts-1e6"), held, "bytes", ("bare-columns", least), TARGET_BYTES)
    yield valued(("fleet", "serve-1e6-memory"), _serving(data), "MB", bodies, None)


def booted(data: Path) -> tuple[float, float, float, float]:
    """What bench/_boot.py measures in a fresh process, without the devices; `RuntimeError` if it misses one."""
    words = [sys.executable, "-m", "bench._boot", str(data)]
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=TOP, env=os.environ).stdout.split()
    seconds, memory, devices, held, least = map(float, told)
    if devices != _fleet_data.DEVICES:
        raise RuntimeError(f"{devices:.0f} of {_fleet_data.DEVICES} devices are there after the boot")
    return seconds, memory, held, least


def _serving(data: Path) -> float:
    """MB that a plane over `data` has resident once it has answered."""
    with plane(data, None) as (pid, link):
        link.status()
        return resident_bytes(pid) / 1e6


def _floor(data: Path) -> tuple[float, float]:
    """Seconds that a bare loop takes to read every device's body, and their size in MB."""
    db = sqlite3.connect(data / "podium.db")
    began, size = time.perf_counter(), 0
    for (body,) in db.execute("SELECT body FROM devices"):
        size += len(body)
    seconds = time.perf_counter() - began
    db.close()
    return seconds, size / 1e6
