"""The only dispatcher: `step(event) -> Step`. Everything the plane decides, it decides here, in order.

Decides: in which order rows and timers take effect. A timer that is due fires before any row at or after its moment,
whatever batch the row came in; so `step` is batch-invariant: cutting or joining batches changes no decision. Never: a
clock, entropy, I/O, a thread or a log: a core fed the same events gives the same steps.
Limits: `wake_ms` of a step is the next moment at which something is due.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from msgspec.structs import replace

from podium.core.access import freeze, services
from podium.core.boot import boot
from podium.core.effects import Step
from podium.core.events import (
    AggregateFailed,
    AggregateMade,
    AliasMoved,
    AnyEvent,
    Booted,
    CheckedIn,
    Denied,
    DevicesMarked,
    EnrolAsked,
    Frozen,
    HeadSigned,
    KeyRotated,
    LeasesTold,
    ManifestMade,
    RunPaused,
    RunResumed,
    RunStopped,
    RunSubmitted,
    ServiceIssued,
    ServiceRevoked,
    SessionsOpened,
    TimePassed,
    TokenIssued,
    Unfrozen,
    UpdatesJudged,
    VersionImported,
    VersionReleased,
    WebhookRemoved,
    WebhookSet,
)
from podium.core.fleet import enrolment, marks
from podium.core.models import aliases
from podium.core.models.versions import import_version
from podium.core.outbox import Outbox
from podium.core.refusals import MINUTE_MS, count_due, deny, record_counts
from podium.core.rounds import leases, pausing, rounds, runs
from podium.core.rounds.table import LEASE_LIVE
from podium.core.rounds.wants import seats_wanted
from podium.core.rows import AnyRow, RoundRow
from podium.core.selection.admit import Batch, admit
from podium.core.selection.slices import lease_slices, slices_due
from podium.core.selection.strategies.registry import Maker
from podium.core.state import State
from podium.tasks.task import Task
from podium.wire.limits import Limits
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import Bug


class Core:
    """One population's decisions: rows in memory, changed by `step` alone."""

    def __init__(
        self,
        rows: Iterable[AnyRow],
        *,
        step: int,
        at_ms: int,
        limits: Limits,
        strategies: Mapping[str, Maker] | None = None,
    ) -> None:
        """`strategies`: the users' own; `OperatorFault(task-invalid)` if a run's is neither there nor built in."""
        self.state = State(rows, limits, strategies)
        for run in self.state.runs.values():
            if run.state in RUN_OPEN:
                self.state.strategy_of(self.state.tasks[run.task])
        self.state.now_ms = at_ms
        self._number = step
        self._due_ms: int | None = None  # when anything but a lease is due, until something of that changes

    def step(self, event: AnyEvent) -> Step:
        """Take `event` and everything that was due before it; `Bug` if Podium broke one of its own rules."""
        out = Outbox(self.state)
        match event:
            case CheckedIn():
                self._check_ins(out, event)
            case LeasesTold():
                self._lease_messages(out, event)
            case Booted():  # before any timer: deadlines must have the downtime back before they are looked at
                self.state.now_ms = max(self.state.now_ms, event.at_ms)
                boot(self.state, out, event)
                self._due_ms = None
            case SessionsOpened():  # frequent, and sets no timer
                self._pass_time(out, int(event.at[0]) if len(event.at) else event.at_ms)
                enrolment.open_sessions(self.state, out, event)
            case _:
                self._pass_time(out, event.at_ms)
                self._single(out, event)
                self._due_ms = None
        self._pass_time(out, event.at_ms)
        self._number += 1
        due = self._due()
        return Step(
            number=self._number,
            at_ms=self.state.now_ms,
            records=tuple(out.records),
            sends=tuple(out.sends),
            wake_ms=-1 if due == self.state.never else due,
        )

    def _due(self) -> int:
        if self._due_ms is None:
            others = min(count_due(self.state), services.webhooks_due(self.state), self.state.pace.due_ms)
            self._due_ms = min(runs.due(self.state), slices_due(self.state), others)
        return min(self._due_ms, self.state.lease_deadlines.earliest())

    def _pass_time(self, out: Outbox, at_ms: int) -> None:
        """Fire every timer due at or before `at_ms`, each at its own moment."""
        while (due := self._due()) <= at_ms:
            self.state.now_ms = max(self.state.now_ms, due)
            record_counts(self.state, out)
            if self.state.pace.due_ms <= self.state.now_ms:
                self.state.pace.look(self.state.arrivals, self.state.fleet, self.state.now_ms, seats_wanted(self.state))
                self.state.pace_views.clear()
            services.end_webhooks(self.state, out)
            runs.fire(self.state, out)
            lease_slices(self.state)
            self._due_ms = None
        self.state.now_ms = max(self.state.now_ms, at_ms)

    def _check_ins(self, out: Outbox, event: CheckedIn) -> None:
        event = replace(event, at=np.maximum(event.at, self.state.now_ms))  # time never falls, whatever comes late
        start, count = 0, len(event.at)
        while start < count:
            self._pass_time(out, int(event.at[start]))
            end = self._cut(event, start)
            admit(self.state, out, Batch(event, slice(start, end)))
            self._due_ms = None
            self.state.now_ms = max(self.state.now_ms, int(event.at[end - 1]))
            start = end

    def _cut(self, event: CheckedIn, start: int) -> int:
        """Where the batch that begins at row `start` must end.

        Before a timer is due or a device comes twice, and so that it cannot pass `leases_live_max` within.
        """
        rows, span_ms = self._reach(len(event.at) - start)
        until = min(self._due(), int(event.at[start]) + span_ms)
        end = min(start + rows, int(event.at.searchsorted(until)))
        return start + self.state.fleet.first_again(event.device[start:end])

    def _reach(self, arriving: int) -> tuple[int, int]:
        """How many of `arriving` check-ins, and those of how many ms, can set no timer that is due among themselves.

        They may complete a forming round, take a seat whose offer lapses, begin a round's time or a minute (of counts,
        of pacing).
        """
        state = self.state
        rows = min(arriving, state.leases_left() or arriving)
        span_ms = min(state.never if state.counted else MINUTE_MS, state.pace.span_ms(state.fleet))
        for key, work in state.open.items():
            row, task = state.rounds[key], state.task_of(key[0]).task
            if row.state == "REPORTING":
                begun = row.report_deadline_ms >= 0
                span_ms = min(span_ms, state.limits.offer_ms, state.never if begun else _begins(row, task))
                span_ms = min(span_ms, row.hope_ms if row.hope_ms >= 0 else state.never)
            for need, _ in rounds.readiness(state, row) if row.state == "FORMING" else ():
                if work.nominees < need <= work.nominees + rows:
                    rows = max(1, need - work.nominees - 1)  # the last one that is needed comes alone
        return rows, span_ms

    def _lease_messages(self, out: Outbox, event: LeasesTold) -> None:
        returning = leases.Returning()
        for said in event.rows:
            self._pass_time(out, said.at_ms)
            leases.say(self.state, out, said, returning)
            lease = self.state.leases.get(said.lease)
            if lease is None or lease.state in LEASE_LIVE:
                continue
            if lease.state in ("DECLINED", "FAILED", "INCOMPATIBLE"):
                runs.review(self.state, out, (lease.run, lease.round))
            self._due_ms = None
        returning.tell(self.state.limits, out)

    def _single(self, out: Outbox, event: AnyEvent) -> None:
        state = self.state
        match event:
            case TimePassed():
                return
            case EnrolAsked():
                enrolment.enrol(state, out, event)
            case RunSubmitted():
                runs.submit(state, out, event)
            case ManifestMade():
                rounds.prepared(state, out, event)
            case UpdatesJudged():
                self._verdicts(out, event)
            case AggregateMade():
                runs.aggregated(state, out, event)
            case AggregateFailed():
                runs.not_aggregated(state, out, event)
            case HeadSigned():
                out.record("population-head", event.tree, tree="plane", size=event.size, root=event.root)
            case Denied():
                deny(state, out, event)
            case _:
                self._act(out, event)

    def _act(self, out: Outbox, event: AnyEvent) -> None:
        """What a person did to what is there already."""
        take = _ACTS.get(type(event))
        if take is None:
            raise Bug(f"nobody takes a {type(event).__name__}")
        take(self.state, out, event)

    def _verdicts(self, out: Outbox, event: UpdatesJudged) -> None:
        for verdict in event.verdicts:
            leases.judge(self.state, out, verdict)
            lease = self.state.leases.get(verdict.lease)
            if lease is not None:
                runs.settle(self.state, out, (lease.run, lease.round))
                if lease.state == "REFUSED":
                    runs.review(self.state, out, (lease.run, lease.round))


def _begins(row: RoundRow, task: Task) -> int:
    """In how many ms from its first lease a round fills no seat any more, or is over."""
    return int(task.round.report_deadline) - max(0, row.quick_ms)


_ACTS: dict[type, Callable[..., None]] = {
    TokenIssued: enrolment.issue_token,
    DevicesMarked: marks.mark,
    VersionImported: import_version,
    VersionReleased: aliases.release,
    AliasMoved: aliases.move_alias,
    RunStopped: runs.stop,
    RunPaused: pausing.pause,
    RunResumed: pausing.resume,
    Frozen: freeze.freeze,
    Unfrozen: freeze.unfreeze,
    ServiceIssued: services.issue_service,
    ServiceRevoked: services.revoke_service,
    WebhookSet: services.set_webhook,
    WebhookRemoved: services.remove_webhook,
    KeyRotated: services.rotate_key,
}
"""Who takes the acts of people: event -> its handler in the room that decides."""
