"""Pause and resume: a run that stands still and goes on with the same round; and whose time stands still when.

Decides: when a pausing run has come to rest (after its present round, or at once), and how far resuming moves its
deadlines: by the time it stood still. While PAUSED no lease is granted, no round starts or times out; leases that
devices hold live and lapse as ever, what they report is stored, judged and may complete the round. A round that forms
in a frozen plane stands still likewise: it holds no lease, and waits for devices that the plane itself sends away.
Whatever stood still is given back by whoever ends it, each ms once. Never: ends a run, nor freezes (access/freeze.py).
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import RunPaused, RunResumed
from podium.core.outbox import Outbox
from podium.core.rounds.table import RUN_TABLE, advance
from podium.core.rows import RoundRow, RunRow
from podium.core.state import FREEZE, State
from podium.wire.operator import RUN_OPEN


def pause(state: State, out: Outbox, event: RunPaused) -> None:
    """Let the run come to rest; pausing a paused run again changes nothing."""
    run = state.runs.get(event.run)
    code = "run-unknown" if run is None else "" if run.state in RUN_OPEN else "run-over"
    if run is not None and not code:
        at_work = any(row.state != "FORMING" for row in state.open_rounds_of(run.id))
        if run.state != "PAUSED" and (event.now or not at_work):
            rest(state, out, run, actor=event.actor, why=event.why)
        elif run.state == "RUNNING":
            row = replace(run, state=advance(RUN_TABLE, run.state, "pausing"))
            out.record("run-pausing", run.id, row, actor=event.actor, **_reason(event.why))
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.run))


def rest(state: State, out: Outbox, run: RunRow, actor: str = "", why: str = "") -> None:
    """The run stands still from now on."""
    row = replace(run, state=advance(RUN_TABLE, run.state, "paused"), paused_ms=state.now_ms)
    out.record("run-paused", run.id, row, actor=actor, **_reason(why))


def _reason(why: str) -> dict[str, str]:
    return {"reason": why} if why else {}


def resume(state: State, out: Outbox, event: RunResumed) -> None:
    """Let the run go on; its deadlines and its rounds' get back the time that it stood still."""
    run = state.runs.get(event.run)
    code = "run-unknown" if run is None else "" if run.state in ("PAUSING", "PAUSED") else "run-not-paused"
    if run is not None and not code:
        stood = state.now_ms - run.paused_ms if run.state == "PAUSED" else 0
        row = replace(
            run, state=advance(RUN_TABLE, run.state, "resumed"), paused_ms=-1, deadline_ms=run.deadline_ms + stood
        )
        rounds = [_later(state, row, run.paused_ms) for row in state.open_rounds_of(run.id)] if stood else []
        out.record("run-resumed", run.id, row, *rounds, actor=event.actor, stood_ms=stood)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.run))


def thawed(state: State) -> list[RoundRow]:
    """The rounds that form in a plane frozen until now, with the time that they stood still for it given back."""
    since, found = state.freezes[FREEZE].at_ms, []
    for key in sorted(state.open):
        row, run = state.rounds[key], state.runs[key[0]]
        # what a run is still paused for, resuming it gives back
        later = _formed_later(state, row, since, run.paused_ms if run.state == "PAUSED" else state.now_ms)
        if later != row:
            found.append(later)
    return found


def stands_since(state: State, row: RoundRow) -> int:
    """Since when the time of `row` stands still, in ms; -1 while it runs.

    It does while its run is paused, and while it forms in a frozen plane.
    """
    run, since = state.runs[row.run], []
    if run.state == "PAUSED":
        since.append(run.paused_ms)
    if row.state == "FORMING" and state.frozen():
        since.append(state.freezes[FREEZE].at_ms)
    return min(since, default=-1)


def _later(state: State, row: RoundRow, since_ms: int) -> RoundRow:
    """`row` with its deadlines moved on by the time that its run was paused, since `since_ms`."""
    if row.state == "FORMING":
        # what the plane is still frozen for, thawing it gives back
        return _formed_later(state, row, since_ms, state.freezes[FREEZE].at_ms if state.frozen() else state.now_ms)
    stood = state.now_ms - since_ms
    if row.report_deadline_ms >= 0:
        return replace(row, report_deadline_ms=row.report_deadline_ms + stood)
    # while nobody has a lease, the report deadline counts from the start of reporting
    return replace(row, reporting_ms=row.reporting_ms + stood)


def _formed_later(state: State, row: RoundRow, since_ms: int, until_ms: int) -> RoundRow:
    """`row`, if it forms, with the time from `since_ms` to `until_ms` given back, but for what was before it formed."""
    if row.state != "FORMING" or row.form_deadline_ms < 0:
        return row
    formed = row.form_deadline_ms - state.task_of(row.run).task.round.form_deadline
    return replace(row, form_deadline_ms=row.form_deadline_ms + max(0, until_ms - max(since_ms, formed)))
