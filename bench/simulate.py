"""What simulation costs on one core: a virtual day of a fleet through the production core, and real training.

Rows: 1e5, 1e6, 1e7 (seconds of a virtual day of examples/million, fleet and boot included), each with its memory, its
mean interval between a device's check-ins and its cost a check-in; admit-sim is that cost at 1e6, at most 0.8. Limit of
these: the bare numpy loop of limits/bare_checkins.py over as many check-ins in the same run. Targets are of the values.
train-1e5 and train-1e6: devices trained a second, of 50 examples and five steps each, by the model's parameters. Limit:
the bare numpy loop of limits/bare_training.py; at least 0.8 of it is asked for.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench._rows import Row, row, valued
from podium.cli.output import note

TOP = Path(__file__).resolve().parents[1]
BARE_CHECKINS = str(TOP / "bench" / "limits" / "bare_checkins.py")
HOURS = 24
DAYS: tuple[tuple[str, int, float | None, float | None], ...] = (
    ("1e5", 100_000, None, None),
    ("1e6", 1_000_000, 60.0, 2_000.0),
    ("1e7", 10_000_000, 600.0, 8_000.0),
)
"""Name, devices, the most seconds and the most MB of a day."""
ADMIT_US = 0.8
"""All told, for a check-in of the day at 1e6; idle ones are among them."""
BARE = str(TOP / "bench" / "limits" / "bare_training.py")
TRAINED = (("train-1e5", 126, 1_000), ("train-1e6", 1_258, 200))
"""Name, units of the hidden layer, devices: 100,180 and 1,000,120 parameters."""
REPEATS = 3


def measure() -> Iterator[Row]:
    """Days of growing fleets, then training."""
    costs: dict[str, float] = {}
    for name, devices, seconds_max, memory_max in DAYS:
        day = Day(*seconds_of(["-m", "bench._fleet_day"], devices, HOURS))
        (bare_s, *_) = seconds_of([BARE_CHECKINS], devices, int(day.checkins))
        limit = ("bare-numpy-check-ins", bare_s)
        costs[name] = day.seconds / day.checkins * 1e6
        yield valued(("simulate", name), day.seconds, "s", limit, seconds_max)
        yield valued(("simulate", f"{name} memory"), day.megabytes, "MB", ("none", 1.0), memory_max)
        yield valued(("simulate", f"{name} rounds"), day.rounds, "rounds", ("none", 1.0), None)
        yield valued(("simulate", f"{name} interval"), devices * HOURS * 60 / day.checkins, "min", ("none", 1.0), None)
        grown = 1.3 if name in ("1e6", "1e7") else None
        yield row(("simulate", f"{name} check-in"), costs[name], "us", ("check-in-at-1e5", costs["1e5"]), grown)
        if name == "1e6":
            bare = ("bare-numpy-check-ins", bare_s / day.checkins * 1e6)
            yield valued(("simulate", "admit-sim"), costs[name], "us", bare, ADMIT_US)
    yield from _training()


def _training() -> Iterator[Row]:
    for name, units, devices in TRAINED:
        ours, sums, bare = [], [], []
        for _ in range(REPEATS):  # in turns, so that both see the same machine
            seconds, adding = seconds_of(["-m", "bench._training"], units, devices)
            ours.append(devices / seconds)
            sums.append(adding / seconds)
            bare.append(devices / seconds_of([BARE], units, devices)[0])
        note(f"{name}: the exact sum takes {statistics.median(sums):.0%} of the time")
        limit = ("bare-numpy-loop", statistics.median(bare))
        yield row(("simulate", name), statistics.median(ours), "devices/s", limit, 1.25, better="higher")


class Day(NamedTuple):
    """What a simulated day came to."""

    seconds: float
    checkins: float
    rounds: float
    megabytes: float


def seconds_of(program: Sequence[str], first: int, second: int) -> list[float]:
    """The numbers, seconds first, that a program prints of its two; on one core."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *program, str(first), str(second)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP, env=environment)
    return [float(word) for word in done.stdout.split()]
