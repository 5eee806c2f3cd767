"""A simulated day as a program of its own: `python -m bench._fleet_day DEVICES HOURS`, of examples/million.

Prints the seconds of all of it (fleet and the plane's boot included), the check-ins, the sealed rounds, and the most
memory that it took, in MB.
"""

import sys
import time
from pathlib import Path

from podium.cli.simulations import WINDOW_MS
from podium.sim.beginning import Setting
from podium.sim.run import simulate_fleet
from podium.tasks.file import read_task

TASK = Path(__file__).resolve().parents[1] / "examples" / "million" / "task.toml"


def main() -> None:
    """Simulate, and print."""
    devices, hours = int(sys.argv[1]), int(sys.argv[2])
    setting = Setting(
        devices=devices, seed=1, window_ms=WINDOW_MS, trace="diurnal", until_ms=hours * 3_600_000, checked=False
    )
    started = time.perf_counter()
    result, _ = simulate_fleet(read_task(TASK), setting)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text().split()
    megabytes = int(status[status.index("VmHWM:") + 1]) * 1024 / 1e6
    sys.stdout.write(f"{seconds:.3f} {result.checkins} {result.rounds_sealed} {megabytes:.0f}\n")


if __name__ == "__main__":
    main()
