"""Simulate a task: checked, one seed or many, each an independent world; or a fleet of millions by the clock.

Decides: what a simulation reports. A broken promise names its seed. Many seeds use as many processes as there are
cores; results come in order of seed. An unchecked world is compared with nothing from outside the core; its own
invariants hold at the end.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from podium.sim.beginning import RUN, Setting
from podium.sim.checkers import InvariantBroken
from podium.sim.compare import Job
from podium.sim.report import SimReport, gini
from podium.sim.training_engine import TrainingEngine
from podium.sim.world import World
from podium.tasks.task import Task
from podium.wire.problems import PodiumError

Given = TypeVar("Given")
Came = TypeVar("Came")
RATES_SKIPPED = 4
"""Quarters of an hour in which a fleet's first check-ins come, at a pace that nobody told them."""


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
    window_ms: int = 500,
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


class FleetResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation by the clock came to. `checkins_per_device_h`: how often a device came while it was simulated.

    `peak_to_mean`: the busiest quarter of an hour's check-ins over the mean's, the first hour left out (-1: too short).
    `checkins_per_s`: by quarter of an hour. `accuracy`: on the examples held out, None of a fleet that did not train.
    """

    seed: int
    devices: int
    virtual_ms: int
    state: str
    checkins: int
    sessions: int
    checkins_per_device_h: float
    peak_to_mean: float
    checkins_per_s: list[float]
    model_bytes: int
    rounds_sealed: int
    rounds_abandoned: dict[str, int]
    outcomes: dict[str, int]
    bytes_down: int
    bytes_up: int
    waste: float
    gini: float
    accuracy: float | None
    digest: str


def simulate_fleet(
    task: Task, setting: Setting, trained: int = 0, tell: Callable[[int, int], None] = lambda now_ms, rounds: None
) -> tuple[FleetResult, SimReport]:
    """Run `task` in the world of `setting`; at most `trained` devices of each cohort train for real.

    `tell` hears the virtual moment and the sealed rounds after each window. `OperatorFault` as of the task's plan.
    """
    engine = TrainingEngine(task, trained) if trained else None
    if engine is not None:
        # the label that most of a device's examples have is what its owner would say of it at enrolment
        labels = tuple({"mostly": str(label)} for label in engine.examples.label_counts().argmax(axis=1).tolist())
        setting = msgspec.structs.replace(setting, model_bytes=engine.model_bytes, labels=labels)
    world = World(task, setting, engine)
    if engine is not None:
        world.devices.fleet.hold(engine.examples.counts(np.arange(engine.examples.shards)), engine.examples.coverage())
    world.begin()
    for now_ms in world.windows():
        tell(now_ms, world.core.state.runs[RUN].rounds_sealed)
    return _fleet_result(world, engine is not None), world.recorder.report()


def _fleet_result(world: World, trains: bool) -> FleetResult:
    held, setting, report = world.recorder, world.setting, world.recorder.report()
    every = held.rates(world.now_ms)
    rates = every[RATES_SKIPPED:]
    rounds = report.rounds
    used, wasted = sum(each.device_ms_used for each in rounds), sum(each.device_ms_wasted for each in rounds)
    hours = world.now_ms / 3_600_000
    return FleetResult(
        seed=setting.seed,
        devices=setting.devices,
        virtual_ms=world.now_ms,
        state=world.core.state.runs[RUN].state,
        checkins=held.checkins,
        sessions=held.sessions,
        checkins_per_device_h=held.checkins / setting.devices / hours,
        peak_to_mean=max(rates) * len(rates) / sum(rates) if rates and sum(rates) else -1.0,
        checkins_per_s=every,
        model_bytes=setting.model_bytes,
        rounds_sealed=len(rounds),
        rounds_abandoned=held.abandoned,
        outcomes=dict(sorted(held.outcomes.items())),
        bytes_down=sum(each.bytes_down for each in rounds),
        bytes_up=sum(each.bytes_up for each in rounds),
        waste=wasted / (used + wasted) if used + wasted else 0.0,
        gini=gini(report.participation(len(rounds))),
        accuracy=rounds[-1].accuracy if trains and rounds else None,
        digest=world.digest.hexdigest(),
    )


def simulate_many(
    task: Task, *, devices: int, seeds: Sequence[int], faults: frozenset[str] = frozenset(), trace: str = "flat"
) -> Iterator[SimResult]:
    """`simulate_task` for each seed, results in order; the first broken promise ends it."""
    yield from _each(_one, [(task, devices, seed, faults, trace) for seed in seeds])


def train_each(jobs: Sequence[Job]) -> Iterator[SimReport]:
    """The report of each run of a comparison, in order: whole cohorts train for real, each run to its end."""
    yield from _each(_trained, jobs)


def _each(function: Callable[[Given], Came], jobs: Sequence[Given]) -> Iterator[Came]:
    """`function` of each job, in order, in as many processes as there are cores; they end with their reader."""
    processes = min(len(jobs), os.cpu_count() or 1)
    if processes <= 1:
        yield from map(function, jobs)
        return
    # an interrupt is for the one who reads; the others are ended by leaving the pool, and have nothing to say
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(processes, signal.signal, ignore) as pool:
        yield from pool.imap(function, jobs)


def _trained(job: Job) -> SimReport:
    setting = Setting(devices=job.devices, seed=job.seed, trace=job.trace, checked=False)
    return simulate_fleet(job.task, setting, job.task.round.goal)[1]


def _one(job: tuple[Task, int, int, frozenset[str], str]) -> SimResult:
    task, devices, seed, faults, trace = job
    return simulate_task(task, devices=devices, seed=seed, faults=faults, trace=trace)
