"""Simulate a task: one seed or many, each an independent world; a broken promise names its seed.

Decides: what a simulation reports. Many seeds use as many processes as there are cores; results come in order of seed.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence

import msgspec

from podium.sim.checkers import InvariantBroken
from podium.sim.world import RUN, Setting, World
from podium.tasks.task import Task
from podium.wire.problems import PodiumError


class SimResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed came to. `digest`: SHA-256 over every durable record in order; the same on every run of a seed."""

    seed: int
    state: str
    rounds_sealed: int
    rounds_abandoned: int
    leases: int
    updates: int
    virtual_ms: int
    steps: int
    struck: dict[str, int]
    digest: str


def simulate_task(
    task: Task,
    *,
    devices: int,
    seed: int,
    faults: frozenset[str] = frozenset(),
    window_ms: int = 200,
    trace: str = "flat",
) -> SimResult:
    """Run `task` to its end over `devices` synthetic devices; `InvariantBroken` names seed, moment and story."""
    setting = Setting(devices=devices, seed=seed, faults=faults, window_ms=window_ms, trace=trace)
    world = World(task, setting)
    try:
        world.run()
    except (InvariantBroken, PodiumError, ValueError) as error:
        story = f"seed {seed}, {devices} devices, at {world.now_ms} ms, step {world.steps}: {error}"
        raise InvariantBroken(story) from error
    return result_of(world)


def result_of(world: World) -> SimResult:
    """What `world` came to."""
    rows = world.core.state
    run = rows.runs[RUN]
    return SimResult(
        seed=world.setting.seed,
        state=run.state,
        rounds_sealed=run.rounds_sealed,
        rounds_abandoned=sum(row.state == "ABANDONED" and row.run == RUN for row in rows.rounds.values()),
        leases=sum(row.leases_made for row in rows.rounds.values()),
        updates=len(world.ledger.told_stored),
        virtual_ms=world.now_ms,
        steps=world.steps,
        struck=world.faults.struck,
        digest=world.digest.hexdigest(),
    )


def simulate_many(
    task: Task, *, devices: int, seeds: Sequence[int], faults: frozenset[str] = frozenset()
) -> Iterator[SimResult]:
    """`simulate_task` for each seed, results in order; the first broken promise ends it."""
    jobs = [(task, devices, seed, faults) for seed in seeds]
    if len(jobs) == 1:
        yield _one(jobs[0])
        return
    with multiprocessing.get_context("spawn").Pool(min(len(jobs), os.cpu_count() or 1)) as pool:
        yield from pool.imap(_one, jobs)


def _one(job: tuple[Task, int, int, frozenset[str]]) -> SimResult:
    task, devices, seed, faults = job
    return simulate_task(task, devices=devices, seed=seed, faults=faults)
