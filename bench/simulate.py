"""What simulation costs: real training of a cohort, exact sum included, on one core.

Rows: train-1e5 and train-1e6 (devices trained a second, of 50 examples and five steps each; by the model's parameters).
Limit: the bare numpy loop of limits/bare_training.py in the same run, one core too; at least 0.8 of it is asked for.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench._rows import Row, row
from podium.cli.output import note

TOP = Path(__file__).resolve().parents[1]
BARE = str(TOP / "bench" / "limits" / "bare_training.py")
TRAINED = (("train-1e5", 126, 1_000), ("train-1e6", 1_258, 200))
"""Name, units of the hidden layer, devices: 100,180 and 1,000,120 parameters."""
REPEATS = 3


def measure() -> Iterator[Row]:
    """The two rows."""
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


def seconds_of(program: Sequence[str], units: int, devices: int) -> list[float]:
    """The seconds that a program prints when it trains `devices` with `units` on one core."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *program, str(units), str(devices)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP, env=environment)
    return [float(word) for word in done.stdout.split()]
