"""What a core does first after its rows are loaded: give open deadlines back the time the plane was away.

Decides: new deadlines, and what must be asked of the shell again: manifests, verdicts and sums that a dead process may
or may not have finished. All of them are idempotent. Nothing stays "running" that nobody works on.
"""

from msgspec.structs import replace

from podium.core.effects import FinishRound, JudgeUpdate, PrepareRound
from podium.core.events import Booted
from podium.core.outbox import Outbox
from podium.core.rounds import pausing, rounds
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import RoundRow
from podium.core.state import State


def boot(state: State, out: Outbox, event: Booted) -> None:
    """Move every open deadline on by `down_ms` (recorded), give live leases a fresh stall, and ask again."""
    down = event.down_ms
    # whatever stands still gets all of that time when it goes on, this included
    moving = ("RUNNING", "PAUSING")
    runs = [replace(run, deadline_ms=run.deadline_ms + down) for run in state.runs.values() if run.state in moving]
    rows = [state.rounds[key] for key in sorted(state.open)]
    moved = [_later(row, down) for row in rows if pausing.stands_since(state, row) < 0]
    out.record("plane-booted", "plane", *runs, *moved, down_ms=down)
    for key in sorted(state.open):
        _resume(state, out, state.rounds[key])


def _later(row: RoundRow, down: int) -> RoundRow:
    def move(at_ms: int) -> int:
        return at_ms + down if at_ms >= 0 else at_ms

    moved = replace(row, form_deadline_ms=move(row.form_deadline_ms), report_deadline_ms=move(row.report_deadline_ms))
    # while nobody has a lease, the report deadline counts from the start of reporting
    return moved if moved.report_deadline_ms >= 0 else replace(moved, reporting_ms=move(row.reporting_ms))


def _resume(state: State, out: Outbox, row: RoundRow) -> None:
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    if row.state == "FORMING" and row.base and not row.manifest:
        out.send(PrepareRound(run=row.run, round=row.number, base=row.base))
    for lease in work.leases.values():
        if lease.state in LEASE_LIVE:
            fresh = state.limits.offer_ms if lease.state == "OFFERED" else task.round.stall
            state.lease_deadlines.set(lease.id, state.now_ms + fresh)
            if row.hope_ms >= 0:
                work.hopes.append((state.now_ms + row.hope_ms, lease.id))
        elif lease.state in LEASE_STORED:
            out.send(JudgeUpdate(lease=lease.id))
    if row.state == "AGGREGATING" and rounds.verdict_due(state, row) == "finish" and task.task.kind == "train":
        work.finishing = True
        out.send(FinishRound(run=row.run, round=row.number, leases=rounds.accepted_leases(work)))
