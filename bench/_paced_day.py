"""Two simulated days as a program of its own: `python -m bench._paced_day DEVICES`, of a fleet with nights.

Prints the busiest quarter hour's check-ins by the mean's, of the second day: as paced, and with one window for all by
which as many come. A run wants a thousandth of the fleet all the time, without a separation, so that demand is level:
what is left is what the devices' day does.
"""

import sys
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.sim.beginning import Setting
from podium.sim.fleet import SimFleet
from podium.sim.traces import Availability, availability_of
from podium.sim.world import World
from podium.tasks.file import read_task
from podium.tasks.task import Select
from podium.wire.durations import Duration

TASK = Path(__file__).resolve().parents[1] / "examples" / "million" / "task.toml"
DAY_MS, QUARTER_MS, SLICE_MS = 86_400_000, 900_000, 20_000
QUARTERS = DAY_MS // QUARTER_MS
SEED, TRACE = 1, "diurnal"


def paced(devices: int) -> tuple[float, float]:
    """(peak to mean, check-ins) of the second day, as the core paces it."""
    task = read_task(TASK)
    goal = max(2, devices // 1_000)
    held = replace(
        task,
        select=Select(),
        round=replace(task.round, goal=goal, minimum=goal * 4 // 5),
        run=replace(task.run, deadline=Duration(3 * DAY_MS)),
    )
    setting = Setting(devices=devices, seed=SEED, window_ms=SLICE_MS, trace=TRACE, until_ms=2 * DAY_MS, checked=False)
    world = World(held, setting)
    world.run()
    day = np.array(world.recorder.rates(2 * DAY_MS)[QUARTERS:])
    return float(day.max() / day.mean()), float(day.sum() * QUARTER_MS / 1000)


def unpaced(devices: int, checkins: float) -> float:
    """Peak to mean of the second day if everybody who is there came in one window, by about as many check-ins."""
    fleet = SimFleet(devices, Setting(devices=devices, seed=SEED).terms, SEED)
    there = availability_of(TRACE, fleet, SEED)
    coarse = came(there, devices, QUARTER_MS).mean() * QUARTERS * QUARTER_MS / checkins
    day = came(there, devices, max(1_000, int(coarse)))
    return float(day.max() / day.mean())


def came(there: Availability, devices: int, window_ms: int) -> NDArray[np.int64]:
    """Check-ins of each quarter hour of the second day with one window for all."""
    everybody = np.arange(devices, dtype=np.int64)
    due = there.next_ms(everybody, np.random.default_rng(SEED).integers(0, window_ms, devices))
    counts = np.zeros(2 * QUARTERS, np.int64)
    for start in range(0, 2 * DAY_MS, SLICE_MS):
        here = np.flatnonzero(due < start + SLICE_MS)
        counts[start // QUARTER_MS] += len(here)
        due[here] = there.next_ms(here, due[here] + window_ms)
    return counts[QUARTERS:]


def main() -> None:
    """Simulate, and print."""
    devices = int(sys.argv[1])
    level, checkins = paced(devices)
    sys.stdout.write(f"{level:.4f} {unpaced(devices, checkins):.4f}\n")


if __name__ == "__main__":
    main()
