"""Pause and resume: a run that stands still and goes on with the same round.

Decides: when a pausing run has come to rest (after its present round, or at once), and how far resuming moves its
deadlines: by the time it stood still. While PAUSED no lease is granted, no round starts or times out; leases that
devices hold live and lapse as ever, what they report is stored, judged and may complete the round. Never: ends a run.
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import RunPaused, RunResumed
from podium.core.outbox import Outbox
from podium.core.rounds.table import RUN_TABLE, advance
from podium.core.rows import RoundRow, RunRow
from podium.core.state import State
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
        rounds = [_later(state, row, run) for row in state.open_rounds_of(run.id)] if stood else []
        out.record("run-resumed", run.id, row, *rounds, actor=event.actor, stood_ms=stood)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.run))


def _later(state: State, row: RoundRow, run: RunRow) -> RoundRow:
    """`row` with its deadlines moved on by the time that it stood still: a round may have been opened meanwhile."""
    form_ms = state.task_of(run.id).task.round.form_deadline
    stood = state.now_ms - run.paused_ms
    since_formed = min(stood, state.now_ms - (row.form_deadline_ms - form_ms))
    moved = replace(
        row,
        form_deadline_ms=row.form_deadline_ms + since_formed if row.form_deadline_ms >= 0 else -1,
        report_deadline_ms=row.report_deadline_ms + stood if row.report_deadline_ms >= 0 else -1,
    )
    # while nobody has a lease, the report deadline counts from the start of reporting
    unleased = row.state == "REPORTING" and row.report_deadline_ms < 0
    return replace(moved, reporting_ms=row.reporting_ms + stood) if unleased else moved
