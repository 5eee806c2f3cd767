"""Admission: which of the devices that checked in get a lease, a reserved seat, or a reason why not.

Decides, per batch and in columns: Filter (known, not banned, holds no lease, has the plan and the data, satisfies the
task's rules, took part long enough ago and not in this round), Score (a keyed draw), Reserve (a forming round's
reservoir), Permit (an open seat). The answer to a row depends on the rows before it and on nothing after it, so cutting
or joining batches changes no decision. Never: when a round starts (rounds). Limits: a batch holds no device twice and
spans no timer (step.py cuts it so).
Source: Filter, Score, Reserve, Permit after the Kubernetes scheduling framework.
"""

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.draws import draw
from podium.core.effects import CheckinAnswers, Offer
from podium.core.events import CheckedIn
from podium.core.fleet.columns import NEVER
from podium.core.outbox import Outbox
from podium.core.pacing.windows import windows
from podium.core.rounds import adapting, rounds
from podium.core.rounds.leases import grant
from podium.core.rounds.wants import apart_ms, pace_view, wanting
from podium.core.rows import LeaseRow, RoundRow, TaskRow
from podium.core.selection.eligible import CLAUSE, Reasons, told_facts
from podium.core.selection.reasons import CODE
from podium.core.state import BARRED, OpenRound, State

Numbers = NDArray[np.int64]


class Batch:
    """One cut of a check-in event, with the answers as they come to be decided (reason -1: undecided)."""

    def __init__(self, event: CheckedIn, rows: slice) -> None:
        self.event = event
        self.first = rows.start
        self.at: Numbers = event.at[rows]
        self.device: Numbers = event.device[rows]
        self.epoch: Numbers = event.epoch[rows]
        self.ticket: Numbers = event.ticket[rows]
        self.reason: Reasons = np.full(len(self.at), -1, np.int16)
        self.permits: list[tuple[int, tuple[str, int]]] = []
        self.offers: dict[int, Offer] = {}
        self.news: dict[int, str] = {}

    def undecided(self) -> Numbers:
        """The rows (positions in the batch) that nothing was decided about."""
        return np.flatnonzero(self.reason < 0)

    def decide(self, rows: Numbers, reason: str) -> None:
        """Decide about `rows` (positions)."""
        self.reason[rows] = CODE[reason]


def admit(state: State, out: Outbox, batch: Batch) -> None:
    """Decide about every row of `batch` and send the answers."""
    fleet = state.fleet
    stale = (batch.epoch != fleet.epoch[batch.device]) | (fleet.facts_id[batch.device] == NEVER)
    batch.decide(np.flatnonzero(stale), "epoch")
    fresh = np.flatnonzero(~stale)
    heard, at = batch.device[fresh], batch.at[fresh]
    state.pace.observe(state.arrivals, fleet, at, fleet.seen_ms[heard])
    fleet.seen_ms[heard] = at
    fleet.hear(batch.device[fresh], batch.event.telemetry, batch.first + fresh)
    batch.decide(np.flatnonzero(~stale & fleet.banned[batch.device]), "banned")
    _tell_news(state, batch, fresh)
    _offer_again(state, batch)
    batch.decide(np.flatnonzero((batch.reason < 0) & fleet.cordoned[batch.device]), "cordoned")
    last: Reasons = np.full(len(batch.at), CODE[_idle_reason(state)], np.int16)
    for row in wanting(state):
        _consider(state, batch, row, last)
    _grant(state, out, batch)
    left = batch.undecided()
    batch.reason[left] = last[left]
    _answer(state, out, batch)


def _tell_news(state: State, batch: Batch, fresh: Numbers) -> None:
    if not state.news:
        return
    waiting = np.fromiter(state.news, np.int64, len(state.news))
    for row in fresh[np.isin(batch.device[fresh], waiting)]:
        batch.news[int(row)] = state.news.pop(int(batch.device[row]))


def _offer_again(state: State, batch: Batch) -> None:
    """A device that holds a lease hears of it again: an answer may have been lost, or the device restarted."""
    rows = np.flatnonzero((batch.reason < 0) & state.fleet.live[batch.device])
    for row in rows:
        lease = state.leases[state.live_lease[int(batch.device[row])]]
        batch.offers[int(row)] = _offer(state, lease, int(batch.at[row]))
    batch.decide(rows, "offered")


def _offer(state: State, lease: LeaseRow, at_ms: int) -> Offer:
    return Offer(
        lease=lease.id,
        state=lease.state,
        run=lease.run,
        round=lease.round,
        manifest=state.rounds[lease.run, lease.round].manifest,
        base=lease.base,
        remaining_ms=max(0, state.lease_deadlines.of(lease.id) - at_ms),
        stall_ms=state.task_of(lease.run).task.round.stall,
    )


def _idle_reason(state: State) -> str:
    """What a device hears that no round looked at."""
    if state.frozen():
        return "frozen"
    return "paused" if state.open and all(state.runs[run].state == "PAUSED" for run, _ in state.open) else "no-task"


def _consider(state: State, batch: Batch, row: RoundRow, last: Reasons) -> None:
    """Filter the undecided rows for one round, then reserve or permit; `last` keeps why the others did not fit."""
    work, task = state.open[row.run, row.number], state.task_of(row.run)
    work.grow(state.fleet.size)
    rows = batch.undecided()
    codes = _filter(state, batch, rows, work, task)
    work.reason[batch.device[rows]] = codes
    last[rows] = np.where(codes < CLAUSE, codes, _general(codes, task, state))
    fit = rows[codes == CODE["offered"]]
    if row.state == "FORMING":
        _reserve(state, batch, row, fit)
        batch.decide(fit, "reserved")
        return
    _permit(state, batch, row, fit)
    left = fit[batch.reason[fit] < 0]
    last[left] = work.reason[batch.device[left]] = CODE["full"]


def _general(codes: Reasons, task: TaskRow, state: State) -> Reasons:
    """Clause codes as the closed reasons that devices hear: requires, when or unknown-fact."""
    hard = len(state.eligibility_of(task).requires.clauses)
    clause, unknown = (codes - CLAUSE) // 2, (codes - CLAUSE) % 2
    named = np.where(clause < hard, CODE["requires"], CODE["when"])
    general: Reasons = np.where(unknown == 1, CODE["unknown-fact"], named).astype(np.int16)
    return general


def _filter(state: State, batch: Batch, rows: Numbers, work: OpenRound, task: TaskRow) -> Reasons:
    """A reason code per row of `rows`; CODE["offered"] for those that fit."""
    devices, fleet = batch.device[rows], state.fleet
    codes: Reasons = np.full(len(rows), CODE["offered"], np.int16)
    separation = task.task.select.separation
    if separation:
        took = fleet.participated_ms[devices]
        codes[(took >= 0) & (batch.at[rows] - took < separation)] = CODE["separation"]
    codes[work.attempts[devices] >= min(BARRED, state.limits.leases_per_device_max)] = CODE["round-done"]
    left = np.flatnonzero(codes == CODE["offered"])
    if len(left):
        facts = told_facts(fleet, devices[left], batch.event.telemetry, batch.first + rows[left])
        codes[left] = state.eligibility_of(task).codes(fleet, facts)
    return codes


def _reserve(state: State, batch: Batch, row: RoundRow, fit: Numbers) -> None:
    """Nominate `fit` for the forming round, and note when it has its minimum or its goal."""
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    new = fit[~work.nominated[batch.device[fit]]]
    if len(new) == 0 or work.reservoir is None:
        return
    devices = batch.device[new]
    work.nominated[devices] = True
    before, work.nominees = work.nominees, work.nominees + len(new)
    work.reservoir.offer(devices, draw(task.run.seed, f"reserve/{row.run}/{row.number}", devices))
    for need, settle in rounds.readiness(state, row):
        if before < need <= work.nominees:
            ready = int(batch.at[new[need - before - 1]]) + settle
            work.ready_ms = ready if work.ready_ms < 0 else min(ready, work.ready_ms)


def withdraw(state: State, device: int) -> None:
    """`device` is kept out from now on: no forming round counts on it, and no seat is kept for it."""
    for key, work in state.open.items():
        work.reserved.discard(device)
        if device >= len(work.nominated) or not work.nominated[device]:
            continue
        work.nominated[device] = False
        work.nominees -= 1
        if work.reservoir is not None:
            work.reservoir.drop(device)
        if work.nominees < adapting.minimum_of(state.rounds[key], state.task_of(key[0]).task):
            work.ready_ms = -1


def _permit(state: State, batch: Batch, row: RoundRow, fit: Numbers) -> None:
    """Permit leases to `fit`: reserved devices take their seat, the others what is free, in order.

    Nobody gets one while `leases_live_max` are live; step.py cuts batches so that no batch can pass that bound.
    """
    if state.leases_left() == 0:
        return
    work = state.open[row.run, row.number]
    seats = adapting.open_seats(state, row)
    free = seats - len(work.reserved)
    if seats <= 0:
        return
    pays = adapting.pays(state, row, batch.device[fit], batch.at[fit])
    for place, worth in zip(fit, pays, strict=True):
        device = int(batch.device[place])
        if seats <= 0:
            return
        if device in work.reserved:
            work.reserved.discard(device)
        elif free > 0 and worth:
            free -= 1
        else:
            continue
        seats -= 1
        batch.permits.append((int(place), (row.run, row.number)))
        batch.reason[place] = CODE["offered"]


def _grant(state: State, out: Outbox, batch: Batch) -> None:
    """Make the permitted leases, in the order of the rows whatever round they are for."""
    for place, key in sorted(batch.permits):
        state.now_ms = int(batch.at[place])
        lease = grant(state, out, state.rounds[key], int(batch.device[place]), state.now_ms)
        batch.offers[place] = _offer(state, lease, state.now_ms)


def _answer(state: State, out: Outbox, batch: Batch) -> None:
    view, reserved = pace_view(state), batch.reason == CODE["reserved"]
    served, spread = windows(state.limits, view, batch.device, batch.at, reserved)
    kept_out = np.flatnonzero((batch.reason == CODE["cordoned"]) | (batch.reason == CODE["banned"]))
    if len(kept_out):
        idle, devices, at = replace(view, seats=0), batch.device[kept_out], batch.at[kept_out]
        served[kept_out], spread[kept_out] = windows(state.limits, idle, devices, at, reserved[kept_out])
    quiet = np.flatnonzero(batch.reason != CODE["offered"])
    if len(quiet):
        state.count("check-in-without-offer", int(batch.at[quiet[0]]), len(quiet))
    for place, offer in batch.offers.items():
        served[place] = max(int(spread[place]), apart_ms(state, offer.run))
    out.send(
        CheckinAnswers(
            ticket=batch.ticket,
            reason=batch.reason,
            window_ok_ms=served,
            window_else_ms=spread,
            offers=batch.offers,
            news=batch.news,
        )
    )
