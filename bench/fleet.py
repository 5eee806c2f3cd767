"""What a fleet of a million costs the plane: a boot over it, in seconds and in memory.

Rows: boot-1e6 (seconds from opening the store to a core that could take an event, at most 10) and boot-1e6-memory.
The directory is that of the bench of pages: a million devices, twelve thousand rounds and their leases.
Limit: the bodies of all those devices read by a bare SQLite loop in the same run; for the memory, the size of the
bodies. Both are printed as they are; the boot is held to ten seconds, whatever the loop takes.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import _fleet_data
from bench._load import scratch
from bench._rows import Row, row

TARGET_S = 10.0
REPEATS = 3
TOP = Path(__file__).resolve().parents[1]


def measure() -> Iterator[Row]:
    """The two rows, in a directory that goes away."""
    with scratch() as folder:
        data = Path(folder) / "data"
        _fleet_data.fill(data)
        yield from measured(data)


def measured(data: Path) -> Iterator[Row]:
    """The two rows over a filled directory."""
    boots, floors, megabytes = [], [], 0.0
    for _ in range(REPEATS):  # in turns, so that both see the same machine
        boots.append(booted(data))
        floor_s, megabytes = _floor(data)
        floors.append(floor_s)
    seconds, memory = (statistics.median(each) for each in zip(*boots, strict=True))
    floor_s = statistics.median(floors)
    # the target is absolute: its ratio is how often the floor fits into ten seconds of this run
    yield row(("fleet", "boot-1e6"), seconds, "s", ("bare-sqlite", floor_s), TARGET_S / floor_s)
    yield row(("fleet", "boot-1e6-memory"), memory, "MB", ("bodies", megabytes), None)


def booted(data: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a boot in a fresh process; `RuntimeError` if it misses a device."""
    words = [sys.executable, "-m", "bench._boot", str(data)]
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=TOP, env=os.environ).stdout.split()
    if int(told[2]) != _fleet_data.DEVICES:
        raise RuntimeError(f"{told[2]} of {_fleet_data.DEVICES} devices are there after the boot")
    return float(told[0]), float(told[1])


def _floor(data: Path) -> tuple[float, float]:
    """Seconds that a bare loop takes to read every device's body, and their size in MB."""
    db = sqlite3.connect(data / "podium.db")
    began, size = time.perf_counter(), 0
    for (body,) in db.execute("SELECT body FROM devices"):
        size += len(body)
    seconds = time.perf_counter() - began
    db.close()
    return seconds, size / 1e6
