"""Run a suite against every mutant of the core's tables and name the survivors.

Decides: whether a mutant is caught: its suite fails or hangs. Never: which survivors are forgiven (survivors.toml).
Each mutant gets a forked process in which nothing of the product is imported yet; tests/conftest.py puts the mutant in.
By hand: python -m tests.mutation.hunt [run | round | lease], or PODIUM_MUTANT='lease:HELD:reported->' pytest SUITE
"""

import importlib
import os
import signal
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutants import VARIABLE, mutants

LIST = Path(__file__).with_name("survivors.toml")
MACHINES = ("run", "round", "lease")
AT_ONCE = 2
HANG_S = 60.0
"""A suite that takes longer than this on a mutant hangs, which is as good as failing."""

WARM = (
    "hypothesis.stateful",
    "_hypothesis_pytestplugin",
    "pytest_timeout",
    "xdist.plugin",
    "numpy",
    "msgspec",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
)
"""What every child would import anew: imported once, before the forks."""

ARGUMENTS = ("-x", "-q", "-m", "not long", "--hypothesis-seed=0", "--assert=plain", "--timeout=10")
"""A mutant may well loop for ever; the slowest test of the suite takes a fraction of a second."""
CAUGHT = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
"""A test's time limit may stop a mutant that loops for ever outside a test: that is an internal error. The suite passed
without a mutant."""


@dataclass(frozen=True)
class Plan:
    """survivors.toml: the suite to run (paths, the quickest to fail first), and forgiven mutants with the reason."""

    suite: tuple[str, ...]
    survivors: dict[str, str]


def read_plan(path: Path = LIST) -> Plan:
    """The committed plan; KeyError names what it lacks."""
    held = tomllib.loads(path.read_text())
    return Plan(tuple(held["suite"]), {each["mutant"]: each["reason"] for each in held.get("survivor", [])})


def core_mutants(machines: Sequence[str] = MACHINES) -> list[str]:
    """The names of all mutants of the core's tables. Whatever this imported of the product is forgotten again."""
    tables = importlib.import_module("podium.core.rounds.table")
    shapes = [
        (each, getattr(tables, f"{each.upper()}_STATES"), getattr(tables, f"{each.upper()}_TABLE")) for each in machines
    ]
    for module in [name for name in sys.modules if name.partition(".")[0] == "podium"]:
        del sys.modules[module]
    return [mutant.name for machine, states, rows in shapes for mutant in mutants(machine, states, rows)]


def hunt(suite: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that `suite` lets live. RuntimeError if the suite fails without a mutant or cannot run."""
    for module in WARM:
        importlib.import_module(module)
    if verdicts(suite, [""]) != {"": pytest.ExitCode.OK}:
        raise RuntimeError(f"the suite does not pass without a mutant: {' '.join(suite)}")
    found = verdicts(suite, names)
    broken = {name: code for name, code in found.items() if code not in (*CAUGHT, pytest.ExitCode.OK)}
    if broken:
        raise RuntimeError(f"the suite could not run: {broken}")
    return [name for name in names if found[name] == pytest.ExitCode.OK]


def verdicts(suite: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """pytest's exit code for each mutant, `AT_ONCE` processes at a time; one that hangs counts as failed."""
    waiting, found = list(reversed(names)), dict[str, int]()
    running: dict[int, tuple[str, float]] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name = waiting.pop()
            running[_start(suite, name)] = (name, time.monotonic() + HANG_S)
        for child, (name, until) in list(running.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                found[name] = _code(status)
                del running[child]
            elif time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return found


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else int(pytest.ExitCode.TESTS_FAILED)


def _start(suite: Sequence[str], name: str) -> int:
    child = os.fork()
    if child:
        return child
    os.environ[VARIABLE] = name
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os._exit(pytest.main([*suite, *ARGUMENTS]))


def main(machines: Sequence[str]) -> int:
    """Hunt, print each survivor and whether it is forgiven; 0 when the survivors are exactly the forgiven ones."""
    plan, started = read_plan(), time.monotonic()
    names = core_mutants(machines or MACHINES)
    forgiven = {name for name in plan.survivors if name.partition(":")[0] in (machines or MACHINES)}
    alive = set(hunt(plan.suite, names))
    lines = [f"survives: {name}: {plan.survivors.get(name, 'NOT FORGIVEN')}" for name in sorted(alive)]
    lines += [f"is caught after all, or is none: {name}" for name in sorted(forgiven - alive)]
    lines.append(f"{len(names)} mutants, {len(alive)} survive, {time.monotonic() - started:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(alive != forgiven)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
