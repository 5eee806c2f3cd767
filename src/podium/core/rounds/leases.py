"""The lease machine: what a device's word about its lease, or its silence, leads to.

Decides: the next state of one lease and the answer to the device. Everything is idempotent by (lease, step): a repeat
gets the answer again, derived from the row. Never: whether a round goes on (rounds.py is told by `settle`).
Limits: one progress-aware deadline per lease (`round.stall`), `leases_per_device_max` leases per device and round.
"""

import itertools

import numpy as np
from msgspec.structs import replace

from podium.core.effects import Answer, EndLease, JudgeUpdate
from podium.core.events import Verdict
from podium.core.fleet.claims import rate_mb_s
from podium.core.outbox import Outbox
from podium.core.pacing.windows import PaceView, windows
from podium.core.rounds.buffered import round_of, staleness
from podium.core.rounds.table import LEASE_LIVE, LEASE_TABLE, advance
from podium.core.rounds.wants import pace_view
from podium.core.rows import LeaseRow, RoundRow
from podium.core.said import LeaseAccepted, LeaseDeclined, LeaseFailed, LeaseProgressed, LeaseReported
from podium.core.selection.reasons import DECLINES
from podium.core.state import State
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault

Said = LeaseAccepted | LeaseDeclined | LeaseProgressed | LeaseFailed | LeaseReported

_ANSWERS: dict[str, tuple[str, str]] = {
    "SUPERSEDED": ("superseded", ""),
    "LAPSED": ("stop", "lease-lapsed"),
    "REVOKED": ("stop", "lease-over"),
    "DECLINED": ("declined", ""),
    "INCOMPATIBLE": ("declined", ""),
    "FAILED": ("failed", ""),
    "REPORTED": ("stored", ""),
    "ACCEPTED": ("stored", ""),
}
"""What a device hears about a lease that is no longer live, by the lease's state; REFUSED tells its own reason."""


class Returning:
    """Answers to lease messages that still lack their return windows: of many, these are computed together."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, PaceView]] = []  # place in the sends, device, moment, what it depends on

    def take(self, state: State, out: Outbox, device: int, run: str) -> None:
        """The answer sent next is `device`'s, about a lease of `run`: soon while it goes on; if well, once it may."""
        self._rows.append((len(out.sends), device, state.now_ms, pace_view(state, run)))

    def tell(self, limits: Limits, out: Outbox) -> None:
        """Give every answer its windows."""
        for view, rows in itertools.groupby(self._rows, key=lambda row: row[3]):
            places, devices, at_ms, _ = zip(*rows, strict=True)
            ok, otherwise = windows(limits, view, np.array(devices), np.array(at_ms))
            for place, now, later in zip(places, ok.tolist(), otherwise.tolist(), strict=True):
                answer = out.sends[place]
                assert isinstance(answer, Answer)
                out.sends[place] = replace(answer, window_ok_ms=now, window_else_ms=later)


def say(state: State, out: Outbox, said: Said, returning: Returning) -> None:
    """Apply one lease message and answer its ticket; a refusal is an answer with a problem code.

    The windows of the answer are told by `returning`.
    """
    try:
        lease = _own_lease(state, said)
        if lease.state not in LEASE_LIVE:
            word, code = _about_ended(lease, said)
        else:
            word, code = _about_live(state, out, lease, said)
    except DeviceFault as fault:
        out.send(Answer(ticket=said.ticket, word="", code=fault.code, detail=fault.what))
        return
    remaining = state.lease_deadlines.of(said.lease) - state.now_ms if word in ("go", "extended") else 0
    returning.take(state, out, said.device, lease.run)
    out.send(Answer(ticket=said.ticket, word=word, code=code, remaining_ms=remaining))


def _own_lease(state: State, said: Said) -> LeaseRow:
    if said.epoch != state.fleet.epoch[said.device]:
        raise DeviceFault("epoch-stale", what=f"epoch {said.epoch} of lease {said.lease}")
    lease = state.lease(said.lease)
    if state.holder(lease) != said.device:
        raise DeviceFault("lease-unknown", what=f"lease {said.lease}")
    return lease


def _about_ended(lease: LeaseRow, said: Said) -> tuple[str, str]:
    """The answer to a word about a lease that is not live: what its row says, and no change."""
    repeat = isinstance(said, LeaseReported) and lease.report != ""
    if repeat and isinstance(said, LeaseReported) and said.report != lease.report:
        raise DeviceFault("conflicting-repeat", what=f"report of lease {lease.id}")
    if lease.state == "REFUSED":
        return "refused", lease.reason
    return _ANSWERS[lease.state]


def _about_live(state: State, out: Outbox, lease: LeaseRow, said: Said) -> tuple[str, str]:
    match said:
        case LeaseAccepted():
            return _accept(state, out, lease)
        case LeaseProgressed():
            return _progress(state, lease, said)
        case LeaseDeclined():
            if said.reason not in DECLINES and not said.incompatible:
                raise DeviceFault("body-malformed", what=f"decline reason {said.reason!r}", why=f"one of {DECLINES}")
            event = "incompatible" if said.incompatible else "declined"
            end_lease(out, lease, event, said.reason)
            return "declined", ""
        case LeaseFailed():
            _fail(state, out, lease, said)
            return "failed", ""
        case LeaseReported():
            _report(state, out, lease, said)
            return "stored", ""


def _accept(state: State, out: Outbox, lease: LeaseRow) -> tuple[str, str]:
    if lease.state == "HELD":
        state.progress.pop(lease.id, None)  # a restarted device trains anew: its progress counts from the beginning
        return "go", ""
    deadline = state.now_ms + state.task_of(lease.run).task.round.stall
    _move(out, replace(lease, deadline_ms=deadline, held_ms=state.now_ms), "accepted")
    state.lease_deadlines.set(lease.id, deadline)
    return "go", ""


def _progress(state: State, lease: LeaseRow, said: LeaseProgressed) -> tuple[str, str]:
    """Extend a held lease if its work moved; volatile, because a restart gives every live lease a fresh stall."""
    if lease.state != "HELD":
        raise DeviceFault("lease-over", what=f"lease {lease.id} was not accepted")
    moved = (said.done, said.moved_bytes)
    before = state.progress.get(lease.id, (0, 0))
    if moved[0] > before[0] or moved[1] > before[1]:
        state.progress[lease.id] = (max(moved[0], before[0]), max(moved[1], before[1]))
        state.lease_deadlines.set(lease.id, state.now_ms + state.task_of(lease.run).task.round.stall)
    return "extended", ""


def _fail(state: State, out: Outbox, lease: LeaseRow, said: LeaseFailed) -> None:
    device = state.devices[said.device]
    told = replace(device, failure=said.code, failure_detail=said.detail[: state.limits.traceback_bytes_max])
    ended = _ended(state, replace(lease, reason=said.code), "failed")
    out.record("lease-failed", lease.id, ended, told, actor=f"device:{lease.device}", code=said.code)
    out.send(EndLease(lease=lease.id))


def _report(state: State, out: Outbox, lease: LeaseRow, said: LeaseReported) -> None:
    if lease.state != "HELD":
        raise DeviceFault("lease-over", what=f"lease {lease.id} was not accepted")
    told = replace(
        lease,
        report=said.report,
        report_signature=said.signature,
        upload_bytes=said.upload_bytes,
        weight=said.weight,
        metrics=said.metrics,
        reported_ms=state.now_ms,
        download_mb_s=rate_mb_s(said.downloaded),
        upload_mb_s=rate_mb_s(said.uploaded),
        staleness=staleness(state, lease),
    )
    _move(out, told, "reported", actor=f"device:{lease.device}")
    state.progress.pop(lease.id, None)
    out.send(JudgeUpdate(lease=lease.id))


def judge(state: State, out: Outbox, verdict: Verdict) -> None:
    """The aggregation role opened the update: ACCEPTED, or REFUSED with the code. A known verdict changes nothing."""
    lease = state.leases.get(verdict.lease)
    if lease is None or lease.state != "REPORTED":
        return
    if not verdict.code:
        _move(out, replace(lease, ended_ms=state.now_ms, norm=verdict.norm), "passed")
        return
    number = state.holder(lease)
    told = replace(state.devices[number], failure=verdict.code, failure_detail=verdict.detail)
    refused = replace(lease, reason=verdict.code, ended_ms=state.now_ms, norm=verdict.norm)
    out.record(
        "lease-refused", lease.id, _next(state, refused, "refused"), told, code=verdict.code, detail=verdict.detail
    )
    out.send(EndLease(lease=lease.id))
    state.news[number] = verdict.code


def lapse(state: State, out: Outbox, lease_id: str) -> None:
    """Nothing moved until the lease's deadline."""
    end_lease(out, state.leases[lease_id], "lapsed", "offer" if state.leases[lease_id].state == "OFFERED" else "stall")


def end_lease(out: Outbox, lease: LeaseRow, event: str, reason: str, actor: str = "") -> None:
    """End a lease without a stored update by `event` of the table; `actor`: who took it back, if a person did."""
    _move(out, replace(lease, reason=reason, ended_ms=out.state.now_ms), event, actor)
    out.send(EndLease(lease=lease.id))
    out.state.progress.pop(lease.id, None)


def _ended(state: State, lease: LeaseRow, event: str) -> LeaseRow:
    state.progress.pop(lease.id, None)
    return _next(state, replace(lease, ended_ms=state.now_ms), event)


def _next(state: State, lease: LeaseRow, event: str) -> LeaseRow:
    after, number = advance(LEASE_TABLE, lease.state, event), lease.round
    if after not in LEASE_LIVE:
        number = round_of(state, lease)[1]
    return replace(lease, state=after, round=number, generation=lease.generation + 1)


def _move(out: Outbox, lease: LeaseRow, event: str, actor: str = "") -> None:
    out.record(f"lease-{event}", lease.id, _next(out.state, lease, event), actor=actor, **_reason(lease))


def _reason(lease: LeaseRow) -> dict[str, str]:
    return {"reason": lease.reason} if lease.reason else {}


def grant(state: State, out: Outbox, round_row: RoundRow, device: int, at_ms: int) -> LeaseRow:
    """Create the lease: the device holds none, its seat is free, its last participation is old enough (admit checked).

    The first lease of a round starts its report deadline.
    """
    number = round_row.leases_made + 1
    row = state.devices[device]
    lease = LeaseRow(
        id=f"{round_row.run}.{round_row.number}.{number}",
        run=round_row.run,
        round=round_row.number,
        device=row.id,
        site=row.site,
        base=round_row.base,
        state="OFFERED",
        reason="",
        generation=0,
        epoch=int(state.fleet.epoch[device]),
        granted_ms=at_ms,
        deadline_ms=at_ms + state.limits.offer_ms,
        ended_ms=-1,
        report="",
        report_signature="",
        upload_bytes=0,
        weight=0.0,
        metrics={},
    )
    report_deadline = round_row.report_deadline_ms
    if report_deadline < 0:
        report_deadline = at_ms + state.task_of(round_row.run).task.round.report_deadline
    grown = replace(round_row, leases_made=number, report_deadline_ms=report_deadline)
    trained = replace(row, participated_ms=at_ms) if state.task_of(round_row.run).task.task.kind == "train" else row
    state.take_holder(lease, device)
    out.record("lease-granted", lease.id, lease, grown, trained)
    state.lease_deadlines.set(lease.id, lease.deadline_ms)
    if round_row.hope_ms >= 0:
        state.open[round_row.run, round_row.number].hopes.append((at_ms + round_row.hope_ms, lease.id))
    return lease
