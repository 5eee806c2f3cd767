"""What a synthetic fleet and a trace tell that a forecast of a task needs, by arithmetic alone: nothing is simulated.

Decides: how a fleet's columns answer a task's rules hour by hour, and how long a round of it takes. Never: what follows
(tasks/forecast.py). Each device has the task's plan and its datasets; how many examples, and everything else, is as the
fleet's terms say (fleet_terms.py). Limits: `SAMPLE` devices stand for a larger fleet.
"""

import math

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import draw, uniform
from podium.core.fleet.facts import DATASETS, Facts, standing_facts
from podium.core.fleet.telemetry import Telemetry
from podium.core.pacing.adapt import SLACK
from podium.core.pacing.windows import PaceView, longest_ms
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.eligible import Eligibility
from podium.core.selection.operations import Values
from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.traces import DAY_MS, HOUR_MS, availability_of
from podium.tasks.forecast import Evidence, leases_expected, power_w
from podium.tasks.task import Task
from podium.wire.limits import Limits

SAMPLE = 50_000
ROUNDS_DRAWN, LEASES_DRAWN = 256, 4_000_000
"""So many rounds are drawn, fewer of large ones."""
SETTLED = 3
"""Looks: at rounds in which everybody is heard, then at what is heard in rounds that last as long, and once more."""
HOURS = DAY_MS // HOUR_MS
MIDDLE_MS = HOUR_MS // 2

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def trace_prospect(task: Task, trace: str, devices: int, seed: int, moved: tuple[int, int]) -> Evidence:
    """The evidence for `task` of `devices` synthetic ones that are there as `trace` says.

    `moved`: the bytes of the base version and of an update, -1 unknown. `OperatorFault(usage | file-unreadable |
    expression-invalid)`.
    """
    fit, fleet = Eligibility(task), SimFleet(min(devices, SAMPLE), FleetTerms(), seed)
    every = np.arange(fleet.count)
    there, scale = availability_of(trace, fleet, seed), devices / fleet.count
    classes = _classes(task, fleet)
    fits, held = _standing(task, fit, fleet, every, classes)
    hours, able = [], np.zeros(fleet.count, np.bool_)
    for hour in range(HOURS):
        at_ms = np.full(fleet.count, hour * HOUR_MS + MIDDLE_MS, np.int64)
        present = fits & (there.next_ms(every, at_ms) == at_ms)
        rows = np.flatnonzero(present)
        good = rows[_when(fit, fleet, rows, at_ms[rows], classes)]
        able[good] = True
        hours.append(round(len(good) * scale))
    if never := int(np.count_nonzero(fits & ~able)):
        held["select.when holds in no hour in which it is there"] = never
    who = np.flatnonzero(able)
    down, up = (max(0, each) for each in moved)
    load = Workload(download_bytes=down, upload_bytes=up, epochs=_epochs(task), examples_max=fleet.terms.examples_max)
    took = fleet.work_ms(who, uniform(seed, "forecast-work", who), load) if len(who) else np.ones(1, np.int64)
    late = took > int(task.round.report_deadline)
    loss = min(0.95, 1.0 - float(np.mean((1.0 - fleet.drop_out[who]) * ~late))) if len(who) else 0.0
    assumed = ["fleet and losses are the terms of a synthetic fleet; each device has the plan and the datasets"]
    if min(moved) < 0:
        assumed.append("the model's size is not known: its transfer is taken to need no time")
    reports = _round_ms(task, fleet, who, took, loss) if len(who) else int(task.round.report_deadline)
    gather = _gather_ms(task, leases_expected(task, loss), sum(hours) // HOURS, devices)
    watts = np.array([power_w(each.os, each.architecture) for each in fleet.capabilities()])
    return Evidence(
        source="trace",
        devices=devices,
        sampled=fleet.count,
        fit=round(np.count_nonzero(fits) * scale),
        now=hours[0],
        hour=0,
        hours=hours,
        held={name: round(count * scale) for name, count in sorted(held.items(), key=lambda each: -each[1])},
        loss_rate=loss,
        round_ms=Limits().form_settle_ms + max(reports, gather),
        lease_ms=max(1, int(np.minimum(took, int(task.round.report_deadline)).mean())),
        power_w=float(watts[fleet.class_of[who]].mean()) if len(who) else float(watts.mean()),
        assumed=assumed,
    )


def _round_ms(task: Task, fleet: SimFleet, who: Numbers, took: Numbers, loss: float) -> int:
    """How long the reports of a round take on average, over drawn rounds of devices of `who`.

    `took`: each one's time on a lease. A round is over with the report that makes its goal, or at its deadline. Who
    drops out, or is past hope, is replaced as the core does it: at first so that at most `over_max` of the goal are
    at work, those who are waited for counted in, then as their leases lapse.
    """
    limits, goal, leases = Limits(), task.round.goal, math.ceil(leases_expected(task, loss))
    deadline, stall = float(task.round.report_deadline), float(task.round.stall)
    width = 2 * leases + goal
    rounds = min(ROUNDS_DRAWN, max(1, LEASES_DRAWN // width))
    keys = np.arange(rounds * width).reshape(rounds, width)
    drawn = (draw(task.run.seed, "forecast-round", keys) % np.uint64(len(who))).astype(np.int64)
    times = took[drawn].astype(np.float64)
    first, dropped = times[:, :leases], uniform(task.run.seed, "forecast-drop", keys[:, :leases])
    first = np.where(dropped < fleet.drop_out[who[drawn[:, :leases]]], np.inf, first)
    lasts = deadline
    for _ in range(SETTLED):  # who is slower than its round is never heard: what is known of a class is of the others
        slow = SLACK * _slow_ms(fleet.class_of[who], np.minimum(took, lasts))[drawn[:, :leases]]
        hope = np.minimum(deadline, slow.max(axis=1, keepdims=True))
        missing = np.maximum(0, goal - np.count_nonzero(first <= hope, axis=1))
        waited_for = np.count_nonzero(first > hope, axis=1)
        wanted = np.ceil(missing / (1.0 - loss))
        soon = np.clip(np.minimum(wanted, math.ceil(goal * limits.over_max) - waited_for), 0, leases)
        second = np.where(np.arange(leases) < soon[:, np.newaxis], hope + times[:, leases : 2 * leases], np.inf)
        third = np.maximum(hope, stall) + times[:, 2 * leases :]
        reports = np.sort(np.concatenate([first, second, third], axis=1), axis=1)[:, goal - 1]
        lasts = float(np.minimum(reports, deadline).mean())
    return int(lasts)


def _slow_ms(classes: NDArray[np.integer], took: Numbers) -> NDArray[np.float64]:
    """For each device the p95 of its class; a round waits as long as for the slowest class that it chose."""
    distinct, place = np.unique(classes, return_inverse=True)
    slow = np.array([np.quantile(took[classes == each], 0.95) for each in distinct])
    found: NDArray[np.float64] = slow[place]
    return found


def _gather_ms(task: Task, leases: float, there: int, devices: int) -> int:
    """Until a round has its devices: `there` of `devices` that fit are there, and check in evenly over their window.

    They come back for their seat within a rendezvous. The next round forms while one reports, so of this only what
    takes longer than the reports adds to a round.
    """
    limits = Limits()
    pace = PaceView(awake=devices, low=devices, high=devices, learned=False, seats=task.round.goal)
    window = longest_ms(limits, pace, 0)
    return int(window * min(1.0, leases / max(1, there))) + limits.window_rendezvous_ms


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
