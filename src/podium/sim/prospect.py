"""What a synthetic fleet and a trace tell that a forecast of a task needs, by arithmetic alone: nothing is simulated.

Decides: how a fleet's columns answer a task's rules hour by hour, how often they come, and how many rounds an hour has
when devices rest. Never: how a round goes (drawn_rounds.py), nor what follows (tasks/forecast.py). Each device has the
task's plan and its datasets; how many examples, and everything else, is as the fleet's terms say (fleet_terms.py).
Limits: `SAMPLE` devices stand for a larger fleet.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.fleet.facts import DATASETS, Facts, standing_facts
from podium.core.fleet.telemetry import Telemetry
from podium.core.pacing.arrivals import ANCHOR_SWING
from podium.core.pacing.windows import PaceView, gather_ms, kept_every_ms, spread_ms
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.eligible import Eligibility
from podium.core.selection.operations import Values
from podium.sim.beginning import EXAMPLES_MAX
from podium.sim.drawn_rounds import Course, Pool, Traffic, course_of
from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.traces import DAY_MS, HOUR_MS, availability_of
from podium.tasks.forecast import WATTS_ASSUMED, Evidence, power_w
from podium.tasks.task import Task
from podium.wire.limits import Limits

SAMPLE = 50_000
HOURS = DAY_MS // HOUR_MS
MIDDLE_MS = HOUR_MS // 2
QUARTERS, QUARTER_MS = 4, HOUR_MS // 4

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class TraceAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Which fleet: `trace`: when its `devices` are there. down_bytes, up_bytes: of the base version and of an update,
    -1 unknown. answer_ms: the plane answers in batches of so long, as a simulation's does (`Setting.window_ms`)."""

    trace: str
    devices: int
    seed: int
    down_bytes: int
    up_bytes: int
    answer_ms: int


def trace_prospect(task: Task, ask: TraceAsk) -> Evidence:
    """The evidence for `task` of the synthetic fleet of `ask`. `OperatorFault(usage | file-unreadable |
    expression-invalid)`."""
    fit, fleet = Eligibility(task), SimFleet(min(ask.devices, SAMPLE), FleetTerms(), ask.seed)
    every = np.arange(fleet.count)
    there, scale = availability_of(ask.trace, fleet, ask.seed), ask.devices / fleet.count
    classes = _classes(task, fleet)
    fits, held = _standing(task, fit, fleet, every, classes)
    able = np.zeros((HOURS, fleet.count), np.bool_)
    for hour in range(HOURS):
        at_ms = np.full(fleet.count, hour * HOUR_MS + MIDDLE_MS, np.int64)
        present = fits & (there.next_ms(every, at_ms) == at_ms)
        rows = np.flatnonzero(present)
        able[hour, rows[_when(fit, fleet, rows, at_ms[rows], classes)]] = True
    hours = [round(int(count) * scale) for count in np.count_nonzero(able, axis=1)]
    if never := int(np.count_nonzero(fits & ~able.any(axis=0))):
        held["select.when holds in no hour in which it is there"] = never
    who = np.flatnonzero(able.any(axis=0))
    load = Workload(
        download_bytes=max(0, ask.down_bytes),
        upload_bytes=max(0, ask.up_bytes),
        epochs=_epochs(task),
        examples_max=EXAMPLES_MAX,
    )
    course = _course(task, fleet, who, load, (sum(hours) // HOURS, ask))
    paced, unused_ms = _paced(task, able, course, scale)
    assumed = [
        "the fleet, its lines and its losses are the terms of a synthetic fleet; each device has the plan and the data",
        f"a plane answers in batches of {ask.answer_ms / 1000:g} s, as in a simulation; else short rounds are shorter",
        WATTS_ASSUMED,
    ]
    if min(ask.down_bytes, ask.up_bytes) < 0:
        assumed.append("the model's size is not known: its transfer is taken to need no time")
    watts = np.array([power_w(each.os, each.architecture) for each in fleet.capabilities()])
    return Evidence(
        source="trace",
        devices=ask.devices,
        sampled=fleet.count,
        fit=round(np.count_nonzero(fits) * scale),
        now=hours[0],
        resting=0,
        hour=0,
        hours=hours,
        held={name: round(count * scale) for name, count in sorted(held.items(), key=lambda each: -each[1])},
        rounds_seen=0,
        loss_rate=course.loss_rate,
        round_ms=max(1, round(course.round_ms)),
        lease_ms=max(1, round(course.lease_ms)),
        power_w=float(watts[fleet.class_of[who]].mean()) if len(who) else float(watts.mean()),
        assumed=assumed,
        leases=course.leases,
        updates=course.updates,
        unused_ms=unused_ms,
        paced=paced,
    )


def _course(task: Task, fleet: SimFleet, who: Numbers, load: Workload, crowd: tuple[int, TraceAsk]) -> Course:
    """The course of a round on the devices `who`; of nobody, as one that lasts to its deadline.

    `crowd`: how many are there on average, and of which fleet.
    """
    there, ask = crowd
    if not len(who):
        goal, whole = float(task.round.goal), float(task.round.report_deadline)
        return Course(
            round_ms=whole, leases=goal, updates=goal, lease_ms=whole, unused_ms=whole, away_ms=whole, loss_rate=0.0
        )
    pool = Pool(
        took_ms=fleet.work_ms(who, uniform(ask.seed, "forecast-work", who), load),
        drop_out=fleet.drop_out[who],
        classes=fleet.class_of[who],
        there=there,
    )
    course = course_of(task, pool, _traffic(task, there, ask, 0))
    traffic = _traffic(task, there, ask, int(course.round_ms))
    course = course_of(task, pool, traffic)
    # the next round forms while one reports: of that only what takes longer adds to a round
    gather = int(min(max(1, there), course.leases) * traffic.free_ms + traffic.asks_ms) + 2 * ask.answer_ms
    return msgspec.structs.replace(course, round_ms=max(course.round_ms, gather))


def _traffic(task: Task, there: int, ask: TraceAsk, waited_ms: int) -> Traffic:
    """How messages go between a plane and `there` devices of the fleet, in rounds that wait so long."""
    limits = Limits()
    low, high = there / ANCHOR_SWING, max(there, min(there * ANCHOR_SWING, ask.devices))
    view = PaceView(awake=there, low=low, high=high, learned=False, seats=task.round.goal, since_ms=0)
    at_ms = np.array([waited_ms])
    kept = float(kept_every_ms(limits, at_ms)[0])
    if ask.devices <= limits.rendezvous_devices_max:
        every = float(gather_ms(limits, view, at_ms)[0])
        kept = min(kept, every)
    else:
        every = spread_ms(limits, view)
    # whoever asks goes by the answer before, that came with its batch
    half = ask.answer_ms / 2
    return Traffic(answer_ms=ask.answer_ms, asks_ms=kept + half, free_ms=(every + half) / max(1, there))


def _paced(task: Task, able: Mask, course: Course, scale: float) -> tuple[list[float], int]:
    """(rounds by hour of the day, ms of a lease that brings nothing): one round after the other, and no device before
    its separation is over, or while it is away.

    `able`: bool (hours, devices). The fleet is followed by quarters of an hour, all rested at first, for as many days
    as a device rests. A round that waits for devices began with its minimum: who dropped out of it is held meanwhile.
    """
    terms, apart = task.round, max(float(task.select.separation), course.away_ms)
    days = max(1, math.ceil(apart / DAY_MS))
    quorum, leases = terms.minimum or terms.goal, course.leases / scale
    often = max(1.0, QUARTER_MS / apart)  # so often a device can serve in a quarter of an hour
    fastest, rests = QUARTER_MS / course.round_ms, np.full(able.shape[1], -1.0)
    paced, spent = np.zeros(HOURS), 0.0
    for quarter in range(days * HOURS * QUARTERS):
        hour = quarter // QUARTERS % HOURS
        if np.count_nonzero(able[hour]) * scale < quorum:
            continue
        rested = np.flatnonzero(able[hour] & (rests <= quarter * QUARTER_MS))
        held = min(fastest, len(rested) * often / leases)
        share = held * leases / max(1e-9, len(rested) * often)
        served = rested[uniform(task.run.seed, f"forecast-rest-{quarter}", rested) < share]
        rests[served] = quarter * QUARTER_MS + apart
        waits_ms = (QUARTER_MS - held * course.round_ms) * (1.0 - quorum / terms.goal)  # of all that end in it together
        spent += min(held * float(terms.stall), held * course.unused_ms + waits_ms)
        paced[hour] += held / days
    unused_ms = spent / max(1e-9, float(paced.sum()) * days)
    return [round(float(each), 4) for each in paced], round(max(course.unused_ms, unused_ms))


def _epochs(task: Task) -> int:
    told = task.local.get("epochs", 1)
    return max(1, int(told)) if isinstance(told, (int, float)) else 1


def _classes(task: Task, fleet: SimFleet) -> list[Facts]:
    """The standing facts of each class, by its number; a region's name is no part of them."""
    return [standing_facts(each, task.data.datasets, "", {}) for each in fleet.capabilities()]


def _columns(fleet: SimFleet, rows: Numbers, classes: list[Facts], moment: dict[str, Values]) -> FactColumns:
    data = fleet.data_facts(rows)
    columns: dict[str, Values] = {
        "device.label_coverage": data["label_coverage"],
        "device.missing_rate": data["missing_rate"],
        "device.freshness_h": data["freshness_h"],
    }
    names = classes[0][DATASETS]
    return FactColumns(
        sets=fleet.class_of[rows].astype(np.int32),
        facts_of=classes.__getitem__,
        columns=columns | moment,
        datasets=dict.fromkeys(names if isinstance(names, dict) else (), data["examples"]),
    )


def _standing(
    task: Task, fit: Eligibility, fleet: SimFleet, every: Numbers, classes: list[Facts]
) -> tuple[Mask, dict[str, int]]:
    """Who has data enough and meets `requires`, and what holds the others: each device once."""
    held: dict[str, int] = {}
    if task.select.regions:
        return np.zeros(fleet.count, np.bool_), {
            "in none of select.regions, as a synthetic fleet names none": fleet.count
        }
    short = (fleet.data_facts(every)["examples"] < task.data.examples_min) & bool(task.data.datasets)
    if short.any():
        held["no such data"] = int(np.count_nonzero(short))
    fits: Mask = ~short
    if fit.requires.clauses:
        failing = fit.requires.first_failing(_columns(fleet, every, classes, {}))
        for code, count in zip(*np.unique(failing[fits & (failing >= 0)], return_counts=True), strict=True):
            word = "unknown" if code % 2 else "false"
            held[f"{word}: {fit.requires.clauses[int(code) // 2]}"] = int(count)
        fits &= failing < 0
    return fits, held


def _when(fit: Eligibility, fleet: SimFleet, rows: Numbers, at_ms: Numbers, classes: list[Facts]) -> Mask:
    """Which of `rows` meet `when` at `at_ms`."""
    if not fit.when.clauses or not len(rows):
        return np.ones(len(rows), np.bool_)
    told = Telemetry(**fleet.telemetry(rows, at_ms))
    moment: dict[str, Values] = {f"device.{name}": getattr(told, name) for name in Telemetry.__struct_fields__}
    good: Mask = fit.when.first_failing(_columns(fleet, rows, classes, moment)) < 0
    return good
