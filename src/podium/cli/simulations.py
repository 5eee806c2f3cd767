"""podium simulate: a task over a synthetic fleet in virtual time, seed by seed, under faults.

Decides: what is printed. A broken promise ends it with exit code 1 and its story, seed and commit. Never: simulates.
"""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.errors import FAILED
from podium.cli.options import Json
from podium.cli.output import note, say, say_json
from podium.wire.durations import format_duration


def simulate(
    task: Annotated[Path, typer.Argument(metavar="TASK.toml", help="The task file.", dir_okay=False)],
    devices: Annotated[str, typer.Option("--devices", help="How many, such as 1000 or 1e4.")] = "1000",
    faults: Annotated[str, typer.Option("--faults", metavar="all|none|LIST", help="Names by commas.")] = "none",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed.")] = 1,
    json: Json = False,
) -> None:
    """Run a task in virtual time; the same seed gives the same digest on every run of the same commit."""
    from podium.sim.checkers import InvariantBroken
    from podium.sim.faults import parse_faults
    from podium.sim.run import simulate_many
    from podium.tasks.file import read_task

    terms, names, count = read_task(task), parse_faults(faults), counted(devices)
    commit = commit_here()
    note(f"simulating {count} devices, seeds {seed} to {seed + seeds - 1}, faults {faults}, commit {commit}")
    results = []
    try:
        for result in simulate_many(terms, devices=count, seeds=range(seed, seed + seeds), faults=names):
            results.append(result)
            note(
                f"seed {result.seed}: {result.state}, {result.rounds_sealed} sealed, {result.rounds_abandoned} "
                f"abandoned, {result.leases} leases, {format_duration(result.virtual_ms)} of virtual time"
            )
    except InvariantBroken as error:
        note(f"a promise was broken at commit {commit}: {error}")
        raise typer.Exit(FAILED) from error
    if json:
        say_json(results)
        return
    for result in results:
        say(f"{result.seed} {result.state} {result.rounds_sealed} {result.updates} {result.digest}")


def counted(text: str) -> int:
    """A count of devices as people write it: "1000" or "1e4"; `typer.BadParameter` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value >= 1 and value.is_integer()):
        raise typer.BadParameter(f"--devices {text} is no whole number above zero")
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
