"""The round machine: from forming over reporting and aggregating to a sealed version, or abandoned with a reason.

Decides: when a round starts, closes, seals or is given up. The minimum is a promise: below it a round is abandoned.
Every update that a device heard to be stored is judged before its round ends; the goal counts accepted ones. The next
round forms while the present one reports; it starts only once its parent is sealed. A buffered round (buffered.py)
forms no cohort: it opens when the one before closes, and starts as soon as it is prepared. Never: which devices
(selection), whether the run goes on (runs.py). Limits: task.round's deadlines, `form_settle_ms`, `reserve_ms`.
Source: Bonawitz et al. 2019, sections 2.2 and 4.2 (phases, pipelined selection); Huba et al. 2022, PAPAYA (concurrency
apart from the aggregation goal).
"""

import math
from collections import Counter

from msgspec.structs import replace

from podium.core.effects import EndRound, FinishRound, PrepareRound
from podium.core.events import AggregateMade, ManifestMade
from podium.core.models.versions import make_version
from podium.core.open_round import OpenRound
from podium.core.outbox import Outbox
from podium.core.rounds.adapting import (
    choice,
    goal_of,
    hope_of,
    minimum_of,
    next_goal,
    open_seats,
    past_hope,
    with_learned,
)
from podium.core.rounds.buffered import dead_keys, is_buffered, past_bound
from podium.core.rounds.leases import end_lease
from podium.core.rounds.table import LEASE_LIVE, ROUND_TABLE, advance
from podium.core.rounds.wants import held_ms
from podium.core.rows import PAST_HOPE, LeaseRow, RoundRow, RunRow, granting_round
from podium.core.said import MetricSums
from podium.core.selection.cohort import choose
from podium.core.state import FREEZE, State
from podium.wire.problems import Bug

LOSS_MEMORY = 0.7
"""How much of the loss rate known before a round is kept after it."""


def name_of(row: RoundRow) -> str:
    """The round's subject in records: "<run>.<number>"."""
    return f"{row.run}.{row.number}"


def readiness(state: State, row: RoundRow) -> tuple[tuple[int, int], ...]:
    """(nominees, ms): with so many a forming round may start so much later; the soonest counts."""
    task = state.task_of(row.run).task
    if is_buffered(task):
        return ()
    return (minimum_of(row, task), state.limits.form_settle_ms), (goal_of(row, task), 1)


def open_round(state: State, out: Outbox, run: RunRow) -> None:
    """Open the run's next round in FORMING, on the run's base version if no earlier round is still at work."""
    task = state.task_of(run.id).task
    number = run.rounds_opened + 1
    base = "" if state.open_rounds_of(run.id) else run.base
    row = RoundRow(
        run=run.id,
        number=number,
        state="FORMING",
        reason="",
        base=base,
        manifest="",
        key_id="",
        opened_ms=state.now_ms,
        form_deadline_ms=state.now_ms + task.round.form_deadline if base else -1,
        reporting_ms=-1,
        report_deadline_ms=-1,
        ended_ms=-1,
        leases_made=0,
        outcomes={},
        version="",
        metrics={},
        site_metrics={},
        goal=next_goal(run, task),
    )
    out.record("round-opened", name_of(row), row, replace(run, rounds_opened=number))
    if base:
        out.send(PrepareRound(run=run.id, round=number, base=base))


def give_parent(state: State, out: Outbox, row: RoundRow) -> None:
    """The parent of a round that formed ahead is sealed (or given up): it may be prepared and start."""
    run, task = state.runs[row.run], state.task_of(row.run).task
    based = replace(row, base=run.base, form_deadline_ms=state.now_ms + task.round.form_deadline)
    out.record("round-parented", name_of(row), based)
    out.send(PrepareRound(run=row.run, round=row.number, base=run.base))


def prepared(state: State, out: Outbox, made: ManifestMade) -> None:
    """The round's upload key and signed manifest are there. Told again, or too late, it changes nothing."""
    row = state.rounds.get((made.run, made.round))
    if row is None or row.state != "FORMING" or row.manifest or not row.base:
        return
    out.record("round-prepared", name_of(row), replace(row, manifest=made.manifest, key_id=made.key_id))


def start_due(state: State, row: RoundRow) -> int:
    """When a FORMING round starts, in ms; -1 while something is missing."""
    work = state.open[row.run, row.number]
    if row.manifest and is_buffered(state.task_of(row.run).task):
        return row.opened_ms
    return work.ready_ms if row.manifest and work.ready_ms >= 0 else -1


def start(state: State, out: Outbox, row: RoundRow) -> RoundRow:
    """Offers go out: seats are reserved for the chosen until `held_ms` passed; the others are counted by reason."""
    work, task = state.open[row.run, row.number], state.task_of(row.run)
    if is_buffered(task.task):
        return _start_window(state, out, row)
    learned = with_learned(state, row)
    plan = choose(state, row, open_seats(state, learned), minimum_of(row, task.task))
    started = replace(
        learned,
        state=advance(ROUND_TABLE, row.state, "started"),
        reporting_ms=state.now_ms,
        hope_ms=hope_of(state, row, plan.devices),
    )
    by, chosen, full = state.strategy_of(task).name, len(plan.devices), plan.unchosen["full"]
    why, kind, name = choice(state, started), "round-started", name_of(row)
    out.record(kind, name, started, nominated=work.nominees, strategy=by, chosen=chosen, full=full, **why)
    work.reserved = set(plan.devices.tolist())
    work.reserved_until_ms = state.now_ms + held_ms(state, row)
    return started


def _start_window(state: State, out: Outbox, row: RoundRow) -> RoundRow:
    """Free seats go to devices as they come; the time of the window begins now, whoever is at work already."""
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    started = replace(
        row,
        state=advance(ROUND_TABLE, row.state, "started"),
        reporting_ms=state.now_ms,
        report_deadline_ms=state.now_ms + task.round.report_deadline,
    )
    out.record("round-started", name_of(row), started, at_work=work.live(), stored=work.stored())
    return started


def report_due(state: State, row: RoundRow) -> int:
    """When a REPORTING round's time is over: its deadline, or one counted from its start while nobody has a lease."""
    if row.report_deadline_ms >= 0:
        return row.report_deadline_ms
    return row.reporting_ms + state.task_of(row.run).task.round.report_deadline


def close(state: State, out: Outbox, row: RoundRow, **why: str) -> None:
    """No further update is taken: leases still at work are superseded, stored ones are judged to the end.

    Of a buffered run the next window opens at once, and they go on in it unless they would be too stale there.
    """
    out.record("round-closed", name_of(row), replace(row, state=advance(ROUND_TABLE, row.state, "closed")), **why)
    run, task = state.runs[row.run], state.task_of(row.run).task
    goes_on = is_buffered(task) and run.rounds_sealed + 1 < task.run.rounds
    live = [lease for lease in state.open[row.run, row.number].leases.values() if lease.state in LEASE_LIVE]
    for lease, late in zip(live, past_hope(state, row, live), strict=True):
        if not goes_on:
            end_lease(out, lease, "superseded", PAST_HOPE if late else "round-closed")
        elif past_bound(state, row, lease):
            end_lease(out, lease, "superseded", "stale")
    if goes_on:
        open_round(state, out, run)


def hand_on(state: State, out: Outbox, row: RoundRow) -> None:
    """A window's time is over in vain: its live leases go on in the next one, which opens now if none is open."""
    run = state.runs[row.run]
    if is_buffered(state.task_of(row.run).task) and run.rounds_opened == row.number:
        open_round(state, out, run)


def verdict_due(state: State, row: RoundRow) -> str:
    """What an open round has come to: "close", "finish", "abandon" (below its minimum), or "" to go on."""
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    accepted = work.count.get("ACCEPTED", 0)
    if row.state == "REPORTING":
        return "close" if accepted >= goal_of(row, task) else ""
    if row.state != "AGGREGATING" or work.count.get("REPORTED", 0) or work.finishing:
        return ""
    return "finish" if accepted >= minimum_of(row, task) else "abandon"


def finish(state: State, out: Outbox, row: RoundRow) -> None:
    """Every stored update is judged: ask for the sum over exactly the accepted ones."""
    work = state.open[row.run, row.number]
    work.finishing = True
    out.send(FinishRound(run=row.run, round=row.number, leases=accepted_leases(work)))


def accepted_leases(work: OpenRound) -> tuple[str, ...]:
    """The ids of the accepted leases, sorted."""
    return tuple(sorted(lease.id for lease in work.leases.values() if lease.state == "ACCEPTED"))


def seal(state: State, out: Outbox, row: RoundRow, made: AggregateMade | None) -> RunRow:
    """The round is sealed: with the version that `made` names, or (an evaluation) with its metrics alone.

    The run's row as it now stands. `Bug` if the sum was not over exactly the accepted leases.
    """
    work, run = state.open[row.run, row.number], state.runs[row.run]
    leases = [lease for lease in work.leases.values() if lease.state == "ACCEPTED"]
    if made is not None and made.leases != accepted_leases(work):
        raise Bug(f"round {name_of(row)} was summed over {made.leases}, accepted are {accepted_leases(work)}")
    metrics, by_site = pooled(leases), pooled_by_site(leases)
    sealed = replace(
        row,
        state=advance(ROUND_TABLE, row.state, "sealed"),
        ended_ms=state.now_ms,
        outcomes=outcomes(work),
        version=made.digest if made else "",
        metrics=metrics,
        site_metrics=by_site,
    )
    grown = replace(
        run,
        base=made.digest if made else run.base,
        rounds_sealed=run.rounds_sealed + 1,
        abandoned_in_row=0,
        loss_rate=loss_after(run, row, work),
        metrics=metrics,
        bytes_down=run.bytes_down + moved(state, work)[0],
        bytes_up=run.bytes_up + moved(state, work)[1],
    )
    rows = make_version(state, run, sealed, made, len(leases)) if made else ()
    out.record("round-sealed", name_of(row), sealed, grown, *rows, version=sealed.version, updates=len(leases))
    _end(state, out, row, work)
    return grown


def abandon(state: State, out: Outbox, row: RoundRow, reason: str, counts: bool) -> RunRow:
    """Give the round up, with its reason; its leases are revoked.

    `counts`: towards run.abandoned_max, unless the plane was frozen: what the round then lacked, it was not let have.
    """
    work, run, frozen = state.open[row.run, row.number], state.runs[row.run], was_frozen(state, row)
    for lease in list(work.leases.values()):
        if lease.state in (*LEASE_LIVE, "REPORTED"):
            end_lease(out, lease, "revoked", reason)
    ended = replace(
        row,
        state=advance(ROUND_TABLE, row.state, "abandoned"),
        reason=reason,
        ended_ms=state.now_ms,
        outcomes=outcomes(work),
        frozen=frozen,
    )
    grown = replace(
        run,
        abandoned_in_row=run.abandoned_in_row + (counts and not frozen),
        loss_rate=loss_after(run, row, work) if counts else run.loss_rate,
        bytes_down=run.bytes_down + moved(state, work)[0],
        bytes_up=run.bytes_up + moved(state, work)[1],
    )
    told = {"frozen": "yes"} if frozen else {}
    out.record("round-abandoned", name_of(row), ended, grown, reason=reason, **told)
    _end(state, out, row, work)
    return grown


def _end(state: State, out: Outbox, row: RoundRow, work: OpenRound) -> None:
    """What is left of an ended round beside the database goes, and every upload key that died with it."""
    keys = dead_keys(state, row, work)
    kept = tuple(name for name in accepted_leases(work) if granting_round(name) not in keys)
    out.send(EndRound(run=row.run, round=row.number, key_id=row.key_id, key_rounds=keys, leases=kept))


def was_frozen(state: State, row: RoundRow) -> bool:
    """Whether the plane is frozen, or was since `row` began to report: what it missed while it formed, it got back."""
    freeze, leases = state.freezes.get(FREEZE), state.open[row.run, row.number].leases.values()
    if freeze is None or freeze.frozen:
        return freeze is not None
    # the plane grants leases again since `at_ms`, which may be the very ms in which they were taken back
    return 0 <= row.reporting_ms < freeze.at_ms or any(lease.reason == "plane-frozen" for lease in leases)


def outcomes(work: OpenRound) -> dict[str, int]:
    """How the round's leases ended: state, or "STATE:reason", -> leases."""
    names = (f"{lease.state}:{lease.reason}" if lease.reason else lease.state for lease in work.leases.values())
    return dict(sorted(Counter(names).items()))


def moved(state: State, work: OpenRound) -> tuple[int, int]:
    """Bytes of base versions that accepted leases were handed, and of sealed updates that they stored."""
    # accepting is a lease's first transition unless an offer ended by it, so a second one tells that it was accepted
    taken = [lease for lease in work.leases.values() if lease.state == "HELD" or lease.generation > 1]
    return sum(state.versions[lease.base].size_bytes for lease in taken), sum(lease.upload_bytes for lease in taken)


def loss_after(run: RunRow, row: RoundRow, work: OpenRound) -> float:
    """The run's loss rate (share of leases that brought no update for no fault of the round), moved by this round.

    Superseded leases are lost if they were past hope; if nothing tells when they are, the round only raises the rate.
    """
    lost = sum(work.count.get(state, 0) for state in ("DECLINED", "FAILED", "LAPSED", "REFUSED"))
    lost += sum(lease.reason == PAST_HOPE for lease in work.leases.values())
    decided = lost + work.count.get("ACCEPTED", 0)
    if decided == 0:
        return run.loss_rate
    share = lost / decided
    if row.hope_ms < 0 and work.count.get("SUPERSEDED"):
        share = max(share, run.loss_rate)
    return LOSS_MEMORY * run.loss_rate + (1.0 - LOSS_MEMORY) * share


def pooled(leases: list[LeaseRow]) -> MetricSums:
    """Sums of numerators and denominators by metric; correctly rounded, so the order changes no bit."""
    names = sorted({name for lease in leases for name in lease.metrics})
    return {
        name: (
            math.fsum(lease.metrics[name][0] for lease in leases if name in lease.metrics),
            math.fsum(lease.metrics[name][1] for lease in leases if name in lease.metrics),
        )
        for name in names
    }


def pooled_by_site(leases: list[LeaseRow]) -> dict[str, MetricSums]:
    """`pooled` by the devices' site; devices without a site are not shown apart."""
    sites = sorted({lease.site for lease in leases if lease.site})
    return {site: pooled([lease for lease in leases if lease.site == site]) for site in sites}
