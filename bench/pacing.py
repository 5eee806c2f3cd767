"""What pacing comes to: one check-in rate all day, rounds of a small fleet that form at once, work that is not wasted.

Rows: peak-3e4 and peak-1e5, the busiest quarter hour of a second virtual day by the mean, at most 1.3 (_paced_day.py);
limit: the same devices with one window for all, in the same run. first-window: the share of rounds of 50 among 200
devices that form within their first window, at least 0.95; limit: all of them. waste: device work in leases that came
to nothing, rounds of 100 among 2,000 devices of which 8 % of leases are lost, over-selected as the plane sees fit; at
most two thirds of its limit, the same with a fixed 130 %. A run that abandons more rounds so is no result.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench._rows import Row, row, valued
from tests.support.paced_runs import FIRST_MS, costs, small_rounds

TOP = Path(__file__).resolve().parents[1]
FLEETS: tuple[tuple[str, int], ...] = (("peak-3e4", 30_000), ("peak-1e5", 100_000))
PEAK, FIRST, WASTE = 1.3, 0.95, 2 / 3
SMALL_SEEDS, WASTE_SEEDS = (1, 2, 3, 4, 5), (7, 8, 9)


def measure() -> Iterator[Row]:
    """A row a fleet, then the small one and the waste."""
    for name, devices in FLEETS:
        yield peak(name, devices)
    formed = [each for seed in SMALL_SEEDS for each in small_rounds(seed)]
    share = sum(each.late_ms <= FIRST_MS for each in formed) / len(formed)
    yield row(("pacing", "first-window"), share, "of rounds", ("every-round", 1.0), 1 / FIRST, better="higher")
    fixed, adaptive = costs(1.3, WASTE_SEEDS), costs("auto", WASTE_SEEDS)
    if adaptive.abandoned > fixed.abandoned:
        raise RuntimeError(f"{adaptive.abandoned} rounds were abandoned, {fixed.abandoned} with a fixed 130 %")
    limit = ("fixed-130-percent", fixed.work_ms / 3_600_000)
    yield row(("pacing", "waste"), adaptive.work_ms / 3_600_000, "device-h", limit, WASTE)


def peak(name: str, devices: int) -> Row:
    """The row of a fleet of so many devices, from a process of its own."""
    words = [sys.executable, "-m", "bench._paced_day", str(devices)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP).stdout.split()
    level, alone = map(float, told)
    return valued(("pacing", name), level, "of the mean", ("one-window-for-all", alone), PEAK)
