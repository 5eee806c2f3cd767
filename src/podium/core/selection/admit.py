"""Admission: which of the devices that checked in get a lease, a reserved seat, or a reason why not.

Decides, per batch and in columns: Filter (known, not banned, holds no lease, has the plan and the data, satisfies the
task's rules, took part long enough ago, not too often, not in this round, and within its budgets), Score and Reserve
(a forming round's strategy and seats, cohort.py), Permit (an open seat: nominated by the gateway where the device
checked in, and granted; quotas.py). Which of several runs a device is for is decided first (sharing.py). The answer to
a row depends on the rows before it and on nothing after it, so cutting or joining batches changes no decision: only
whoever is kept right after its own row is told that a seat is reserved.
Never: when a round starts (rounds). Limits: a batch holds no device twice and spans no timer (step.py cuts it so).
Source: Filter, Score, Reserve, Permit after the Kubernetes scheduling framework.
"""

from collections.abc import Container

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.effects import CheckinAnswers, Offer
from podium.core.events import CheckedIn
from podium.core.fleet.columns import NEVER
from podium.core.fleet.telemetry import Telemetry
from podium.core.outbox import Outbox
from podium.core.pacing.windows import Kept, windows
from podium.core.rounds import adapting, rounds
from podium.core.rounds.buffered import forms
from podium.core.rounds.leases import grant
from podium.core.rounds.wants import apart_ms, kept_for, pace_view, wanting
from podium.core.rows import LeaseRow, RoundRow, granting_round
from podium.core.selection.cohort import nominate, would_keep
from podium.core.selection.eligible import Reasons, told_facts
from podium.core.selection.permits import withheld
from podium.core.selection.quotas import NEWEST, Landed, Nominations, arbitrate, present, used, within
from podium.core.selection.reasons import CODE
from podium.core.selection.resting import rest_ms, rows_resting
from podium.core.selection.seats import Mask
from podium.core.selection.sharing import asking, claim, turn
from podium.core.state import State

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
        self.claimed: Mask = np.zeros(len(self.at), np.bool_)  # rows that ask a round of their own, of several runs
        self.codes: dict[tuple[str, int], Reasons] = {}  # what was filtered already, by round
        self.kept = Kept(starts_ms=np.zeros(len(self.at), np.int64), every_ms=np.zeros(len(self.at), np.int64))
        self.permits: list[tuple[int, tuple[str, int]]] = []
        self.offers: dict[int, Offer] = {}
        self.news: dict[int, str] = {}
        self.against: dict[str, int] = {}  # claim -> rows in which it contradicts what was measured

    def undecided(self) -> Numbers:
        """The rows (positions in the batch) that nothing was decided about."""
        return (self.reason < 0).nonzero()[0]

    def landed(self, rows: Numbers) -> Landed:
        """Where `rows` (positions) landed."""
        if self.event.landed is None:
            return Landed(gateway=np.zeros(len(rows), np.int64), generation=np.full(len(rows), NEWEST))
        every = self.event.landed
        return Landed(gateway=every.gateway[self.first + rows], generation=every.generation[self.first + rows])

    def decide(self, rows: Numbers, reason: str) -> None:
        """Decide about `rows` (positions)."""
        self.reason[rows] = CODE[reason]


def admit(state: State, out: Outbox, batch: Batch) -> None:
    """Decide about every row of `batch` and send the answers."""
    fleet = state.fleet
    known = (batch.epoch == fleet.epoch[batch.device]) & (fleet.facts_id[batch.device] != NEVER)
    fresh = known.nonzero()[0]
    if len(fresh) < len(known):
        batch.decide((~known).nonzero()[0], "epoch")
    heard, at = batch.device[fresh], batch.at[fresh]
    state.pace.observe(state.arrivals, fleet, at, batch.event.queue)
    if state.quotas.several:
        state.quotas.observe(batch.landed(fresh).gateway)
    fleet.seen_ms[heard] = at
    _hold_claims(state, batch, fresh)
    every = slice(batch.first, batch.first + len(known))
    fleet.hear(heard, batch.event.telemetry, every if len(fresh) == len(known) else batch.first + fresh)
    batch.decide((known & fleet.banned[batch.device]).nonzero()[0], "banned")
    _tell_news(state, batch, fresh)
    _offer_again(state, batch)
    batch.decide(((batch.reason < 0) & fleet.cordoned[batch.device]).nonzero()[0], "cordoned")
    last: Reasons = np.full(len(batch.at), CODE[_idle_reason(state)], np.int16)
    wanted = wanting(state)
    for row, asks in zip(wanted, _shared(state, batch, wanted), strict=True):
        _consider(state, batch, row, last, asks)
    if batch.permits:
        _grant(state, out, batch)
    np.copyto(batch.reason, last, where=batch.reason < 0)
    _answer(state, out, batch)


def _hold_claims(state: State, batch: Batch, fresh: Numbers) -> None:
    """What contradicts what the plane measured counts as the nearest value that does not, and is counted by code."""
    held = state.claims.hold(batch.device[fresh], batch.at[fresh], batch.event.telemetry, batch.first + fresh)
    for name, (rows, first_ms) in held.against.items():
        batch.against[name] = rows
        state.count(f"claim-contradicted:{name}", first_ms, rows)
    if held.against:
        batch.event = replace(batch.event, telemetry=held.telemetry)


def _tell_news(state: State, batch: Batch, fresh: Numbers) -> None:
    if not state.news:
        return
    for row in fresh[_among(batch.device[fresh], state.news)]:
        batch.news[int(row)] = state.news.pop(int(batch.device[row]))


def _offer_again(state: State, batch: Batch) -> None:
    """A device that holds a lease hears of it again: an answer may have been lost, or the device restarted."""
    rows = ((batch.reason < 0) & state.fleet.live[batch.device]).nonzero()[0]
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
        manifest=state.rounds[lease.run, granting_round(lease.id)].manifest,
        base=lease.base,
        remaining_ms=max(0, state.lease_deadlines.of(lease.id) - at_ms),
        stall_ms=state.task_of(lease.run).task.round.stall,
    )


def _idle_reason(state: State) -> str:
    """What a device hears that no round looked at."""
    if state.frozen():
        return "frozen"
    return "paused" if state.open and all(state.runs[run].state == "PAUSED" for run, _ in state.open) else "no-task"


def _shared(state: State, batch: Batch, wanting: list[RoundRow]) -> list[Mask | None]:
    """For each round the rows of the batch that ask it, where several runs want devices; None: all that are left."""
    if len({row.run for row in wanting}) < 2:
        return [None] * len(wanting)
    rows, count = batch.undecided(), len(batch.at)
    if len(rows) == 0:
        return [None] * len(wanting)
    claims: dict[str, NDArray[np.float64]] = {}
    turns = np.full((len(wanting), count), np.inf)
    for place, row in enumerate(wanting):
        work = state.open[row.run, row.number]
        work.grow(state.fleet.size)
        batch.codes[row.run, row.number] = codes = np.full(count, -1, np.int16)
        codes[rows] = _filter(state, batch, rows, row)
        if row.run not in claims:
            claims[row.run] = claim(state.runs[row.run], state.task_of(row.run).task, batch.device)
        turns[place] = turn(claims[row.run], codes == CODE["offered"], work.reason[batch.device] == CODE["reserved"])

    def accepts(place: int, asked: Numbers) -> Mask:
        row = wanting[place]
        if not forms(row, state.task_of(row.run).task):
            return _seated(state, row, batch, asked)
        return would_keep(state, row, adapting.open_seats(state, row), *_told(batch, asked))

    asks = asking(turns, accepts)
    batch.claimed |= asks.any(axis=0)
    return list(asks)


def _told(batch: Batch, rows: Numbers) -> tuple[Numbers, tuple[Telemetry, Numbers]]:
    """The devices of `rows`, and where what they told stands."""
    return batch.device[rows], (batch.event.telemetry, batch.first + rows)


def _consider(state: State, batch: Batch, row: RoundRow, last: Reasons, asks: Mask | None) -> None:
    """Filter the undecided rows for one round, then reserve or permit; `last` keeps why the others did not fit."""
    work, task = state.open[row.run, row.number], state.task_of(row.run)
    work.grow(state.fleet.size)
    rows = batch.undecided()
    judged = batch.codes.get((row.run, row.number))
    codes = _filter(state, batch, rows, row) if judged is None else judged[rows]
    fits = codes == CODE["offered"]
    unfit = (~fits).nonzero()[0]
    away, why = rows[unfit], codes[unfit]
    work.reason[batch.device[away]] = why
    heard = state.eligibility_of(task).heard[why]
    if asks is None:
        last[away] = heard
    else:  # whoever asks another run hears what that answers
        silent = ~batch.claimed[away]
        last[away[silent]] = heard[silent]
    fit = rows[fits if asks is None else fits & asks[rows]]
    if len(fit) == 0:
        return
    if forms(row, task.task):
        kept = fit[_reserve(state, batch, row, fit)]
        if len(kept):
            work.reason[batch.device[kept]] = CODE["reserved"]
            batch.decide(kept, "reserved")
            batch.kept.starts_ms[kept], batch.kept.every_ms[kept] = kept_for(state, row, batch.at[kept])
    else:
        work.reason[batch.device[fit]] = CODE["offered"]
        _permit(state, batch, row, fit)
    left = fit[batch.reason[fit] < 0]
    last[left] = work.reason[batch.device[left]] = CODE["full"]


def _filter(state: State, batch: Batch, rows: Numbers, row: RoundRow) -> Reasons:
    """A reason code per row of `rows` for one round; CODE["offered"] for those that fit."""
    devices = batch.device[rows]
    codes = withheld(state, row, devices, batch.at[rows])
    left = (codes == CODE["offered"]).nonzero()[0]
    if len(left):
        facts = told_facts(state.fleet, devices[left], batch.event.telemetry, batch.first + rows[left])
        codes[left] = state.eligibility_of(state.task_of(row.run)).codes(state.fleet, facts)
    return codes


def _reserve(state: State, batch: Batch, row: RoundRow, fit: Numbers) -> Mask:
    """Nominate `fit` for the forming round, and note when it has its minimum or its goal; which of `fit` are kept."""
    work, seats = state.open[row.run, row.number], adapting.open_seats(state, row)
    before, met = work.nominees, ~work.nominated[batch.device[fit]]
    kept = nominate(state, row, seats, *_told(batch, fit))
    for need, settle in rounds.readiness(state, row):
        if before < need <= work.nominees:
            ready = int(batch.at[fit[met][need - before - 1]]) + settle
            work.ready_ms = ready if work.ready_ms < 0 else min(ready, work.ready_ms)
    return kept


def withdraw(state: State, device: int) -> None:
    """`device` is kept out from now on: no forming round counts on it, and no seat is kept for it."""
    for key, work in state.open.items():
        work.reserved.discard(device)
        if device >= len(work.nominated) or not work.nominated[device]:
            continue
        work.nominated[device] = False
        work.nominees -= 1
        if work.seats is not None:
            work.seats.drop(device)
        if work.nominees < adapting.minimum_of(state.rounds[key], state.task_of(key[0]).task):
            work.ready_ms = -1


def _permit(state: State, batch: Batch, row: RoundRow, fit: Numbers) -> None:
    """Permit leases to `fit`: reserved devices take their seat, the others what is free, in order.

    Nobody gets one while `leases_live_max` are live; step.py cuts batches so that no batch can pass that bound.
    """
    work, (rows, own) = state.open[row.run, row.number], _nominated(state, row, batch, fit)
    granted = _granted(state, row, batch, rows, own)
    seated = rows[granted]
    if work.slices is not None:
        work.slices = used(work.slices, batch.landed(rows[granted & ~own]).gateway)
    work.reserved.difference_update(batch.device[seated].tolist())
    batch.permits += [(int(place), (row.run, row.number)) for place in seated]
    batch.decide(seated, "offered")


def _seated(state: State, row: RoundRow, batch: Batch, rows: Numbers) -> Mask:
    """Which of `rows`, which rise, get a lease of a reporting round: none of them did before in this batch."""
    nominated, own = _nominated(state, row, batch, rows)
    seated = np.zeros(len(rows), np.bool_)
    seated[rows.searchsorted(nominated[_granted(state, row, batch, nominated, own)])] = True
    return seated


def _nominated(state: State, row: RoundRow, batch: Batch, rows: Numbers) -> tuple[Numbers, Mask]:
    """Whom of `rows` the gateways nominate, in order, and which of them for a seat of their own, that is reserved."""
    if state.leases_left() == 0:
        return rows[:0], np.zeros(0, np.bool_)
    work, devices, at = state.open[row.run, row.number], batch.device[rows], batch.at[rows]
    own, free = _among(devices, work.reserved), np.zeros(len(rows), np.bool_)
    spare = adapting.open_seats(state, row) - len(work.reserved)
    if spare > 0 and not state.quotas.several:
        free = ~own & adapting.pays(state, row, devices, at)
        free &= np.cumsum(free) <= spare
    elif work.slices is not None:
        free = ~own & adapting.pays(state, row, devices, at)
        landed = batch.landed(rows)
        # what an old slice still has is not known here: its gateway asks for whomever it likes, and is refused
        newest = present(landed.generation, work.slices.generation)
        free = within(work.slices, at, landed.gateway, free & newest) | (free & ~newest)
    nominated = (own | free).nonzero()[0]
    return rows[nominated], own[nominated]


def _granted(state: State, row: RoundRow, batch: Batch, rows: Numbers, own: Mask) -> Mask:
    """Which of `rows`, as `_nominated`, the grant lets in, by what is true of their devices and of the round now."""
    if len(rows) == 0:
        return own
    work, devices = state.open[row.run, row.number], batch.device[rows]
    bound = withheld(state, row, devices, batch.at[rows]) != CODE["offered"]
    asked = Nominations(
        device=devices,
        generation=batch.landed(rows).generation,
        own=own,
        barred=bound | state.fleet.live[devices],
    )
    generation = NEWEST if work.slices is None else work.slices.generation
    return arbitrate(asked, adapting.open_seats(state, row), len(work.reserved), generation)


def _among(devices: Numbers, some: Container[int]) -> Mask:
    """Which of `devices` are in `some`."""
    return np.fromiter(map(some.__contains__, devices.tolist()), np.bool_, len(devices))


def _grant(state: State, out: Outbox, batch: Batch) -> None:
    """Make the permitted leases, in the order of the rows whatever round they are for."""
    for place, key in sorted(batch.permits):
        state.now_ms = int(batch.at[place])
        lease = grant(state, out, state.rounds[key], int(batch.device[place]), state.now_ms)
        batch.offers[place] = _offer(state, lease, state.now_ms)


def _answer(state: State, out: Outbox, batch: Batch) -> None:
    view = pace_view(state)
    served, spread = windows(state.limits, view, batch.device, batch.at, batch.kept)
    kept_out = ((batch.reason == CODE["cordoned"]) | (batch.reason == CODE["banned"])).nonzero()[0]
    if len(kept_out):
        idle, devices, at = replace(view, seats=0), batch.device[kept_out], batch.at[kept_out]
        served[kept_out], spread[kept_out] = windows(state.limits, idle, devices, at)
    quiet = (batch.reason != CODE["offered"]).nonzero()[0]
    if len(quiet):
        told = quiet[batch.reason[quiet] != CODE["epoch"]]  # who is to open a session comes again at once
        state.pace.tell(state.fleet, batch.at[told], spread[told])
        state.count("check-in-without-offer", int(batch.at[quiet[0]]), len(quiet))
    for place, offer in batch.offers.items():
        served[place] = max(int(spread[place]), apart_ms(state, offer.run))
    resting = rows_resting(batch.reason)
    if len(resting):
        left = rest_ms(state, view, batch.device[resting], batch.at[resting])
        served[resting], spread[resting] = np.maximum(served[resting], left), np.maximum(spread[resting], left)
    out.send(
        CheckinAnswers(
            ticket=batch.ticket,
            reason=batch.reason,
            window_ok_ms=served,
            window_else_ms=spread,
            offers=batch.offers,
            news=batch.news,
            against=batch.against,
        )
    )
