"""What a round makes of what was learned: how many devices it asks, how long it counts on them, what it can come to.

Decides: the goal of a round in a ramp, its seats, and when a lease is past hope: then its seat is filled anew while a
lease that begins now can still report; the lease itself stays. What was learned of the round's devices is read once,
when it starts, and kept in its row: so cutting batches changes nothing, and a restart neither. Never: a transition
(runs.py). Limits: `over_min`, `over_max`; with leases past hope among them, no more than `over_max` of the goal.
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.pacing.adapt import (
    SLACK,
    Outlook,
    cohort_now,
    hope_ms,
    leases_for,
    outlook,
    replacement_pays,
    should_abort,
)
from podium.core.rounds import buffered
from podium.core.rows import LeaseRow, RoundRow, RunRow
from podium.core.state import State
from podium.tasks.task import Task

RATE_LEAST, RATE_MOST = 0.001, 0.999
"""A run's rate as a prior is never certain."""
_KINDS = {"ACCEPTED": "accepted", "REPORTED": "accepted", "REFUSED": "refused", "FAILED": "failed"} | {
    "DECLINED": "declined",
    "LAPSED": "lapsed",
    "INCOMPATIBLE": "incompatible",
}
"""How a lease ended, as `round.abort` names it; what the plane took back is no outcome."""


def quorum(task: Task) -> int:
    """The least number of accepted updates that make a version, in a round of the full goal."""
    return task.round.minimum or task.round.goal


def goal_of(row: RoundRow, task: Task) -> int:
    """How many accepted updates `row` wants."""
    return row.goal or task.round.goal


def minimum_of(row: RoundRow, task: Task) -> int:
    """The least number of accepted updates that make a version of `row`."""
    return min(quorum(task), goal_of(row, task))


def next_goal(run: RunRow, task: Task) -> int:
    """The goal of a round that opens now, 0: the task's."""
    ramp = task.round.ramp
    return 0 if ramp is None else cohort_now(ramp, task.round.goal, run.rounds_sealed)


def leases_wanted(state: State, row: RoundRow, missing: int) -> int:
    """How many leases meet `missing` (>= 0) further updates: by the task's factor, or by what is usually lost."""
    limits, over = state.limits, state.task_of(row.run).task.select.over
    if missing <= 0:
        return 0
    if over != "auto":
        # 110 are wanted for 100 by 1.1, though the product of these floats is a little more
        return math.ceil(round(missing * min(max(float(over), limits.over_min), limits.over_max), 6))
    work, rate = state.open[row.run, row.number], _loss_rate(state, row)
    if work.wanted[:2] != (missing, rate):
        work.wanted = (missing, rate, _by_loss(state, row, missing))
    return work.wanted[2]


def _by_loss(state: State, row: RoundRow, missing: int) -> int:
    """How many leases meet `missing` further updates by what is usually lost."""
    return leases_for(state.limits, missing, np.array([_loss_rate(state, row)], np.float32))


def _loss_rate(state: State, row: RoundRow) -> float:
    """What the round is known to lose, or its run before."""
    return row.loss_rate if row.loss_rate >= 0.0 else state.runs[row.run].loss_rate


def asked(state: State, row: RoundRow) -> int:
    """How many devices a round asks at once for its goal; 0 of one that ended before it was known, and of a window of
    a stream, which has as many at work all the time."""
    task, rate = state.task_of(row.run).task, row.loss_rate
    goal, most, factor = goal_of(row, task), task.round.concurrency, task.select.over != "auto"
    known = factor or rate >= 0.0 or (row.run, row.number) in state.open
    if buffered.is_buffered(task) or not known:
        return 0
    wanted = leases_wanted(state, row, goal) if factor else _by_loss(state, row, goal)
    return min(wanted, most) if most else wanted


def open_seats(state: State, row: RoundRow) -> int:
    """How many more leases the round can use now: over-selected for what is still needed, within its concurrency."""
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    if buffered.is_buffered(task):
        return buffered.seats(row, task, work)
    missing, live = goal_of(row, task) - work.stored(), work.live()
    seats = leases_wanted(state, row, missing) - (live - len(work.late))
    if work.late:
        seats = min(seats, math.ceil(goal_of(row, task) * state.limits.over_max) - live)
    if task.round.concurrency:
        seats = min(seats, task.round.concurrency - live)
    return max(0, seats)


def with_learned(state: State, row: RoundRow) -> RoundRow:
    """`row`, about to start, with what was learned of the devices that it counts on."""
    work, run, task = state.open[row.run, row.number], state.runs[row.run], state.task_of(row.run).task
    devices = np.empty(0, np.int64) if work.seats is None else work.seats.members()
    if len(devices) == 0:
        return row
    classes = state.fleet.facts_id[devices].astype(np.int64)
    prior = min(max(run.loss_rate, RATE_LEAST), RATE_MOST)
    rates = state.learned.reliability().loss_rate(devices, classes, prior)
    distinct = np.unique(classes)
    whole = int(task.round.report_deadline)
    usual = state.learned.durations(row.run, distinct, 0.5)
    rate = float(rates.mean(dtype=np.float64))
    if np.isnan(state.learned.slowest(row.run, distinct)).any():  # how many of the superseded were lost, nobody knows
        rate = max(rate, prior)
    return replace(
        row,
        loss_rate=round(rate, 4) if task.select.over == "auto" else -1.0,
        quick_ms=-1 if np.isnan(usual).all() else min(int(np.nanmin(usual)), whole - 1),
    )


def hope_of(state: State, row: RoundRow, chosen: NDArray[np.int64]) -> int:
    """How long after its grant a lease of `row` is counted on, -1: as long as the round; by the classes of `chosen`.

    Not of all that were kept: a strategy that chooses the fast ones need not wait as long as for the slow ones.
    """
    whole = int(state.task_of(row.run).task.round.report_deadline)
    classes = np.unique(state.fleet.facts_id[chosen].astype(np.int64))
    hope = hope_ms(whole, state.learned.slowest(row.run, classes))
    return hope if hope < whole else -1


def choice(state: State, row: RoundRow) -> dict[str, str]:
    """What a round that asks more devices than it needs, or counts on them less long, says of it when it starts."""
    told: dict[str, str] = {}
    goal = goal_of(row, state.task_of(row.run).task)
    if (leases := asked(state, row)) > goal:
        told |= {"asked": f"{leases} for {goal}"}
        if row.loss_rate >= 0.0:
            told |= {"lost": f"{row.loss_rate:.1%} of such leases"}
    return told | ({"hope_ms": str(row.hope_ms)} if row.hope_ms >= 0 else {})


def hope_due(state: State, row: RoundRow) -> int:
    """When a reporting round gives up hope of a lease, or of filling a seat in time; very large if neither is due."""
    work, due = state.open[row.run, row.number], state.never
    while work.hopes and work.hopes[0][1] not in state.lease_deadlines:
        work.hopes.popleft()
    if work.hopes:
        due = work.hopes[0][0]
    if row.quick_ms >= 0 and row.report_deadline_ms >= 0 and not work.filled:
        due = min(due, row.report_deadline_ms - row.quick_ms)
    return due


def lose_hope(state: State, row: RoundRow) -> None:
    """What is due by `hope_due` at `state.now_ms` is hoped for no more."""
    work = state.open[row.run, row.number]
    while work.hopes and work.hopes[0][0] <= state.now_ms:
        _, lease = work.hopes.popleft()
        if lease in state.lease_deadlines:
            work.late.add(lease)
    work.filled |= row.quick_ms >= 0 and 0 <= row.report_deadline_ms - row.quick_ms <= state.now_ms


def past_hope(state: State, row: RoundRow, leases: Sequence[LeaseRow]) -> NDArray[np.bool_]:
    """Which of `leases` are older than one and a half times the p95 of their class: more are lost than merely slow.

    Were they not counted as lost, a round that closes before its silent leases lapse would have lost none, and the next
    one would ask for too few.
    """
    devices = np.array([state.holder(lease) for lease in leases], np.int64)
    age_ms = state.now_ms - np.array([lease.granted_ms for lease in leases], np.int64)
    late: NDArray[np.bool_] = age_ms > SLACK * state.learned.slowest(
        row.run, state.fleet.facts_id[devices].astype(np.int64)
    )
    return late


def pays(state: State, row: RoundRow, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a free seat is worth giving to each of `devices` at `at_ms`: it can usually report in time."""
    if row.quick_ms < 0 or row.report_deadline_ms < 0:
        return np.ones(len(devices), np.bool_)
    usual = state.learned.durations(row.run, state.fleet.facts_id[devices].astype(np.int64), 0.5)
    return replacement_pays(row.report_deadline_ms - at_ms, usual)


def outlook_of(state: State, row: RoundRow) -> Outlook:
    """What a reporting round can come to. It is hopeless only if even its late leases could not make the minimum."""
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    goal, minimum, stored = goal_of(row, task), minimum_of(row, task), work.stored()
    seats = 0 if work.filled else open_seats(state, row)
    found = outlook(goal, minimum, stored, work.live() - len(work.late) + seats)
    if found == "hopeless" and stored + work.live() + seats >= minimum:
        return "open"
    return found


def abort_kind(state: State, run: RunRow) -> str:
    """The kind of the first of `round.abort` that the run's leases meet, or ""."""
    criteria = state.task_of(run.id).task.round.abort
    return should_abort(criteria, ends_by_kind(state, run)) if criteria else ""


def ends_by_kind(state: State, run: RunRow) -> dict[str, int]:
    """Kind -> leases of the run that ended so, or stored an update ("accepted")."""
    counts: dict[str, int] = {}
    for held in (state.outcomes.get(run.id, {}), *(state.open[key].count for key in state.open if key[0] == run.id)):
        for name, count in held.items():
            if kind := _KINDS.get(name):
                counts[kind] = counts.get(kind, 0) + count
    return counts
