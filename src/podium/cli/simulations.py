"""podium simulate: a task over a synthetic fleet in virtual time: under faults, by the clock, or strategies compared.

Decides: which of the three is asked for, how it is told on the way, and what is printed. A broken promise ends it with
exit code 1 and its story, seed and commit. Never: simulates.
By the clock (--hours, --train, --report or --capacity) is for millions of devices: the core is the same, what is
checked from outside it is not.
Limits: `BASE_MB` and `DEVICE_BYTES` a device, stated before it begins; more than this machine has free is refused.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from podium.cli.errors import FAILED
from podium.cli.options import gathered
from podium.cli.output import note, require_folder, say, write_file
from podium.wire.durations import format_duration
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.sim.report import SimReport
    from podium.sim.run import FleetResult
    from podium.tasks.task import Task

HOUR_MS = 3_600_000
HOURS_MOST = 1_000_000
DEVICES_MOST = 10**15
WINDOW_MS = 5_000
"""How much virtual time of a fleet by the clock goes into one batch: more than a message takes, less than a lease."""
BASE_MB = 300
DEVICE_BYTES = 500
"""What a simulated device takes at most, the plane's memory of it included."""
DEVICES = "1000"
NEXT = "change the file, or leave the option out"
DRAWN_EVERY_S = 0.2
BAR_CHARS = 30


class Clock(NamedTuple):
    """A simulation by the clock, and what is written of it."""

    hours: Annotated[float, typer.Option("--hours", min=0, help="Virtual time; 0: until the run ends.")] = 0.0
    trace: Annotated[str, typer.Option("--trace", metavar="flat|diurnal|FILE", help="When devices are there.")] = "flat"
    capacity: Annotated[Path | None, typer.Option("--capacity", metavar="FILE", help="What devices are.")] = None
    train: Annotated[int, typer.Option("--train", min=0, help="Devices of each cohort that train for real.")] = 0
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="A page with plots.")] = None
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Results as JSON; - is stdout.")] = None

    def asked_for(self) -> bool:
        """Whether it is one."""
        return bool(self.hours or self.train or self.report or self.capacity)

    def fixes(self) -> dict[str, bool]:
        """Which options are given that a comparison's file fixes."""
        return {
            "--hours": bool(self.hours),
            "--trace": self.trace != "flat",
            "--capacity": self.capacity is not None,
            "--train": bool(self.train),
        }


@gathered(Clock)
def simulate(
    clock: Clock,
    task: Annotated[Path, typer.Argument(metavar="TASK.toml", help="A task, or a comparison.", dir_okay=False)],
    devices: Annotated[str | None, typer.Option("--devices", help="How many, such as 1e6; otherwise 1000.")] = None,
    faults: Annotated[str, typer.Option("--faults", metavar="all|none|LIST", help="Names by commas.")] = "none",
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="How many seeds; otherwise 1, or all of a comparison.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The first seed; otherwise 1.")] = None,
) -> None:
    """Run a task in virtual time; the same seed gives the same digest on every run of the same commit."""
    # a product of small matrices on two threads takes longer than on one; before numpy is there
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from podium.sim.compare import is_comparison
    from podium.tasks.file import read_task

    for path in (clock.json, clock.report):
        require_folder(path)
    if is_comparison(task):
        from podium.cli.comparisons import compare

        given = {"--devices": devices, "--seed": seed, "--faults": faults != "none", **clock.fixes()}
        if said := next((name for name, value in given.items() if value not in (None, False)), ""):
            raise OperatorFault("usage", what=f"{said} with a comparison", why=f"{task} says so itself", next=NEXT)
        compare(task, seeds or 0, clock.json, clock.report)
        return
    first = 1 if seed is None else seed
    terms, count, every = read_task(task), counted(devices or DEVICES), range(first, first + (seeds or 1))
    check_memory(count, free_mb())
    if not clock.asked_for():
        _under_faults(terms, count, every, faults, clock)
        return
    if faults != "none":
        raise OperatorFault("usage", what="--faults by the clock", why="faults strike runs that go to their end")
    took = [_by_the_clock(terms, count, each, clock) for each in every]
    _write(clock, [result for result, _ in took])
    if clock.report is not None:
        from podium.cli.simulation_pages import report_page

        write_file(clock.report, report_page(f"{terms.task.name}: {count:,} devices", took[0][1]))


def _under_faults(task: "Task", devices: int, seeds: Sequence[int], faults: str, clock: Clock) -> None:
    from podium.sim.checkers import InvariantBroken
    from podium.sim.faults import parse_faults
    from podium.sim.run import simulate_many

    names, commit = parse_faults(faults), commit_here()
    note(f"simulating {devices} devices, seeds {seeds[0]} to {seeds[-1]}, faults {faults}, commit {commit}")
    results = []
    try:
        for result in simulate_many(task, devices=devices, seeds=seeds, faults=names, trace=clock.trace):
            results.append(result)
            note(
                f"seed {result.seed}: {result.state}, {result.rounds_sealed} sealed, {result.rounds_abandoned} "
                f"abandoned, {result.leases} leases, {format_duration(result.virtual_ms)} of virtual time"
            )
    except InvariantBroken as error:
        note(f"a promise was broken at commit {commit}: {error}")
        raise typer.Exit(FAILED) from error
    _write(clock, results)
    if clock.json is None:
        for result in results:
            say(f"{result.seed} {result.state} {result.rounds_sealed} {result.updates} {result.digest}")


def _by_the_clock(task: "Task", devices: int, seed: int, clock: Clock) -> "tuple[FleetResult, SimReport]":
    from podium.sim.beginning import Setting
    from podium.sim.run import simulate_fleet

    if not clock.hours <= HOURS_MOST:
        raise OperatorFault("usage", what=f"--hours {clock.hours:g}", why=f"it is at most {HOURS_MOST:,}")
    until_ms = math.ceil(clock.hours * HOUR_MS)
    megabytes = needed_mb(devices)
    note(f"simulating {devices:,} devices, seed {seed}, trace {clock.trace}; it takes up to {megabytes:,} MB")
    setting = Setting(
        devices=devices,
        seed=seed,
        window_ms=WINDOW_MS,
        trace=clock.trace,
        capacity=clock.capacity,
        until_ms=until_ms,
        checked=False,
    )
    bar = _Bar(until_ms, task.run.rounds)
    result, report = simulate_fleet(task, setting, clock.train, bar.tell)
    bar.end()
    if clock.json is None:
        say(
            f"{result.seed} {result.state} {result.rounds_sealed} rounds, {result.checkins:,} check-ins "
            f"({result.checkins_per_device_h:.2f} a device and hour), waste {result.waste:.1%}, {result.digest}"
        )
    return result, report


def needed_mb(devices: int) -> int:
    """What a simulation by the clock takes at most, in MB."""
    return BASE_MB + devices * DEVICE_BYTES // 1_000_000


def check_memory(devices: int, free: int) -> None:
    """`OperatorFault(usage)` if a simulation of so many devices may need more than the `free` MB; -1: not known."""
    if 0 <= free < needed_mb(devices):
        most = max(0, free - BASE_MB) * 1_000_000 // DEVICE_BYTES
        raise OperatorFault(
            "usage",
            what=f"--devices {devices:,} needs up to {needed_mb(devices):,} MB",
            why=f"{free:,} MB are free on this machine; it takes {BASE_MB} MB and {DEVICE_BYTES} bytes a device",
            next=f"simulate at most {most:,} devices here" if most else "free memory, or use a larger machine",
        )


def free_mb(root: Path = Path("/")) -> int:
    """What this machine can still give a process, in MB: the kernel's estimate, less where a container has less; -1
    where nothing tells."""
    told: list[int] = []
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        told += [int(line.split()[1]) * 1_024 // 1_000_000 for line in lines if line.startswith("MemAvailable:")]
        group = root / "sys/fs/cgroup"
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            told.append((int(most) - int((group / "memory.current").read_text())) // 1_000_000)
    except OSError:
        return min(told, default=-1)
    return max(0, min(told, default=-1)) if told else -1


class _Bar:
    """How far a simulation by the clock is: redrawn on a terminal, nothing elsewhere."""

    def __init__(self, until_ms: int, rounds: int) -> None:
        """`rounds`: what the run ends with, if no moment was set."""
        self._until_ms, self._rounds = until_ms, rounds
        self._told_s = 0.0
        self._drawn = sys.stderr.isatty()

    def tell(self, now_ms: int, rounds: int) -> None:
        """Where it is."""
        now_s = time.monotonic()
        if self._drawn and now_s - self._told_s >= DRAWN_EVERY_S:
            self._told_s = now_s
            share = min(1.0, now_ms / self._until_ms if self._until_ms else rounds / self._rounds)
            done = int(share * BAR_CHARS)
            bar = f"[{'#' * done}{'-' * (BAR_CHARS - done)}] {share:4.0%}"
            sys.stderr.write(f"\r\x1b[K{bar}  virtual time {format_duration(now_ms)}, {rounds} rounds sealed")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")


def _write(clock: Clock, value: object) -> None:
    """`value` as JSON where it is asked for."""
    if clock.json is None:
        return
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    if str(clock.json) == "-":
        say(text.decode())
    else:
        write_file(clock.json, text.decode() + "\n")


def counted(text: str) -> int:
    """A count of devices as people write it: "1000" or "1e4"; `typer.BadParameter` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value >= 1 and value.is_integer()):
        raise typer.BadParameter(f"--devices {text} is no whole number above zero")
    if value > DEVICES_MOST:
        raise typer.BadParameter(f"--devices {text} is more than {DEVICES_MOST:,}")
    return int(value)


def commit_here() -> str:
    """The commit of the checkout that Podium runs from; else its release."""
    from podium import __version__

    try:
        asked = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return f"release {__version__}"
    return asked.stdout.strip()
