"""Drives a `Core` tersely: one line a device's word, the aggregation role on request, checks after every step.

Decides: what a test need not say (ids, tickets, epochs, telemetry). After every step the invariants of core/check.py
hold, step numbers and moments do not fall, and the folded records are the core's rows. `reload` is a crash: another
core from the folded rows.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from podium.core.check import check
from podium.core.effects import (
    Answer,
    AnySend,
    FinishRound,
    JudgeUpdate,
    PrepareRound,
    Record,
    Step,
)
from podium.core.events import (
    AggregateMade,
    AnyEvent,
    Booted,
    CheckedIn,
    DevicesMarked,
    EnrolAsked,
    LeasesTold,
    ManifestMade,
    RunStopped,
    RunSubmitted,
    TimePassed,
    TokenIssued,
    UpdatesJudged,
    Verdict,
    VersionImported,
)
from podium.core.rows import LeaseRow, RoundRow, RunRow, table_of
from podium.core.said import LeaseAccepted, LeaseDeclined, LeaseFailed, LeaseProgressed, LeaseReported
from podium.core.selection.quotas import Landed
from podium.core.state import State
from podium.core.step import Core
from podium.server.loop.batches import session_opened
from podium.tasks.task import Task
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities
from podium.wire.plain import convert
from tests.support.core_made import BASE, LIMITS, PLAN, Rows, Told, rows_of, telemetry, told_by

Said = LeaseAccepted | LeaseDeclined | LeaseProgressed | LeaseFailed | LeaseReported
Job = PrepareRound | JudgeUpdate | FinishRound
T = TypeVar("T")
NOTHING: Mapping[str, object] = {}
NO_FACTS: Mapping[str, float] = {}
NO_METRICS: Mapping[str, tuple[float, float]] = {}


class People:
    """A core, what became of its steps, the people who use it, and the jobs left for the aggregation role."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.core = Core((), step=0, at_ms=0, limits=limits)
        self.now_ms = 0
        self.folded: Rows = {}
        self.records: list[Record] = []
        self.sends: list[AnySend] = []
        self.jobs: list[Job] = []
        self.steps: list[Step] = []
        self.epochs: list[int] = []
        self.wake_ms = -1
        self._number = 0
        self._ticket = 0

    @property
    def state(self) -> State:
        """The core's memory."""
        return self.core.state

    def feed(self, event: AnyEvent) -> Step:
        """One step, folded and checked."""
        step = self.core.step(event)
        assert step.number == self._number + 1
        assert step.at_ms >= self.now_ms
        self._number, self.now_ms, self.wake_ms = step.number, step.at_ms, step.wake_ms
        assert self.wake_ms == -1 or self.wake_ms > self.now_ms
        for record in step.records:
            self.folded.update({(table_of(row), row.key()): row for row in record.rows})
        self.records += step.records
        self.sends += step.sends
        self.jobs += [send for send in step.sends if isinstance(send, PrepareRound | JudgeUpdate | FinishRound)]
        self.steps.append(step)
        check(self.state)
        return step

    def ticket(self) -> int:
        """A number for a request that waits for its answer."""
        self._ticket += 1
        return self._ticket

    def answer(self, step: Step, ticket: int) -> Answer:
        """What `ticket` heard in `step`, once."""
        (found,) = [send for send in step.sends if isinstance(send, Answer) and send.ticket == ticket]
        return found

    # -- people and time ----------------------------------------------------------------------------------------------

    def issue(self, token: str = "token", uses: int = 100, **terms: object) -> Answer:
        """An enrolment token."""
        known: dict[str, object] = {"population": "default", "site": "", "name": "", "labels": {}}
        event = {"expires_ms": self.now_ms + 86_400_000, "actor": "person:administrator", **known, **terms}
        ticket = self.ticket()
        asked = convert(
            {**event, "at_ms": self.now_ms, "ticket": ticket, "token_hash": token, "uses": uses}, TokenIssued
        )
        return self.answer(self.feed(asked), ticket)

    def enrol(self, name: str, token: str = "token", key: str = "", population: str = "default") -> Answer:
        """A device asks to be enrolled."""
        ticket = self.ticket()
        asked = EnrolAsked(
            at_ms=self.now_ms,
            ticket=ticket,
            token_hash=token,
            device_id=f"id-{name}",
            public_key=key or f"key-{name}",
            population=population,
            name=name,
        )
        heard = self.answer(self.feed(asked), ticket)
        self.epochs += [-1] * (len(self.state.devices) - len(self.epochs))
        return heard

    def fleet(self, count: int, site: str = "", **capabilities: object) -> list[int]:
        """`count` more devices, enrolled and in a session; their numbers."""
        token, first = f"token-{len(self.epochs)}", len(self.epochs)
        self.issue(token, site=site)
        for number in range(first, first + count):
            self.enrol(f"d{number}", token)
            self.open(number, capabilities=capabilities)
        return list(range(first, first + count))

    def open(self, device: int, epoch: int | None = None, capabilities: Mapping[str, object] = NOTHING) -> Answer:
        """A device opens a session with the next epoch (or the one given); it has the plan unless told otherwise."""
        held = convert({"plans": {PLAN: "sha256:plan"}, **capabilities}, Capabilities)
        asked = self.epochs[device] + 1 if epoch is None else epoch
        ticket = self.ticket()
        step = self.feed(session_opened(self.now_ms, ticket, device, asked, held))
        heard = self.answer(step, ticket)
        if not heard.code:
            self.epochs[device] = asked
        return heard

    def bring(self, digest: str = BASE) -> None:
        """A person brings in a model."""
        self.feed(
            VersionImported(at_ms=self.now_ms, actor="person:administrator", digest=digest, size_bytes=4, statement="")
        )

    def submit(self, of: Task, run: str = "r", base: str = BASE, digest: str = "", retry_of: str = "") -> Answer:
        """A person starts a run."""
        ticket = self.ticket()
        step = self.feed(
            RunSubmitted(
                at_ms=self.now_ms,
                ticket=ticket,
                actor="person:administrator",
                run=run,
                task=of,
                task_digest=digest or f"sha256:task-of-{run}",
                base=base,
                retry_of=retry_of,
            )
        )
        return self.answer(step, ticket)

    def stop(self, run: str = "r", why: str = "") -> Answer:
        """A person stops a run."""
        ticket = self.ticket()
        step = self.feed(RunStopped(at_ms=self.now_ms, ticket=ticket, actor="person:administrator", run=run, why=why))
        return self.answer(step, ticket)

    def ban(self, device: str, why: str = "forged") -> Answer:
        """A person bans a device."""
        ticket = self.ticket()
        step = self.feed(
            DevicesMarked(
                at_ms=self.now_ms,
                ticket=ticket,
                actor="person:administrator",
                devices=(device,),
                state="banned",
                of_states=("active", "cordoned", "banned"),
                revoke=True,
                why=why,
            )
        )
        return self.answer(step, ticket)

    def wait(self, ms: int) -> Step:
        """Nothing happens for `ms`."""
        return self.feed(TimePassed(at_ms=self.now_ms + ms))

    def wake(self) -> Step:
        """Nothing happens until the core wants to wake."""
        assert self.wake_ms >= 0
        return self.feed(TimePassed(at_ms=self.wake_ms))

    def reload(self, down_ms: int = 0) -> Step:
        """The process dies and another loads the folded rows `down_ms` later; jobs under way are lost."""
        assert self.folded == rows_of(self.state)
        lines = vars(self.state.lines)
        self.core = Core(self.folded.values(), step=self._number, at_ms=self.now_ms, limits=self.limits)
        self.jobs.clear()
        assert self.folded == rows_of(self.state)
        assert vars(self.state.lines) == lines, "indexes are those of the rows"
        return self.feed(Booted(at_ms=self.now_ms + down_ms, down_ms=down_ms))


class Drive(People):
    """A plane with its devices."""

    def begin(self, of: Task, devices: int = 0, run: str = "r") -> None:
        """The usual start: a base version, `devices` devices, a run whose first round is prepared."""
        if BASE not in self.state.versions:
            self.bring()
        self.fleet(devices)
        assert self.submit(of, run).word == "done"
        self.work()

    def check_in(
        self,
        *devices: int,
        at: Sequence[int] = (),
        facts: Mapping[str, float] = NO_FACTS,
        landed: Landed | None = None,
    ) -> list[Told]:
        """`devices` check in with `facts`, now or each `at` its moment, where they `landed`; what each heard."""
        times = np.array(at or [self.now_ms] * len(devices), np.int64)
        momentary = telemetry(len(devices), facts)
        first = self._ticket + 1
        tickets = [self.ticket() for _ in devices]
        event = CheckedIn(
            at_ms=int(times[-1]),
            at=times,
            device=np.array(devices, np.int64),
            epoch=np.array([self.epochs[device] for device in devices], np.int64),
            ticket=np.array(tickets, np.int64),
            telemetry=momentary,
            landed=landed,
        )
        heard = told_by(self.feed(event).sends)
        return [heard[ticket] for ticket in range(first, first + len(devices))]

    def lease(self, device: int, **facts: float) -> str:
        """`device` checks in and must get an offer; its lease."""
        (told,) = self.check_in(device, facts=facts)
        assert told.offer is not None, told.reason
        return told.offer.lease

    def say(self, kind: type[Said], lease: str, **terms: object) -> Answer:
        """The device of `lease` (or `device=`) tells `kind` about it, in its present epoch (or `epoch=`)."""
        known = {"device": self.device_of(lease) if "device" not in terms else terms["device"], **terms}
        ticket = self.ticket()
        epoch = known.get("epoch", self.epochs[int(str(known["device"]))])
        said = convert({**known, "at_ms": self.now_ms, "ticket": ticket, "epoch": epoch, "lease": lease}, kind)
        return self.answer(self.feed(LeasesTold(at_ms=self.now_ms, rows=(said,))), ticket)

    def device_of(self, lease: str) -> int:
        """The device number that holds or held `lease`."""
        return self.state.device_number(self.state.lease(lease).device)

    def accept(self, lease: str, **terms: object) -> Answer:
        """The device takes the offer."""
        return self.say(LeaseAccepted, lease, **terms)

    def decline(self, lease: str, reason: str = "battery", **terms: object) -> Answer:
        """The device does not."""
        return self.say(LeaseDeclined, lease, reason=reason, **terms)

    def fail(self, lease: str, detail: str = "ValueError", **terms: object) -> Answer:
        """The plan raised."""
        return self.say(LeaseFailed, lease, code="plan-raised", detail=detail, **terms)

    def progress(self, lease: str, done: int = 0, moved: int = 0, **terms: object) -> Answer:
        """The work moved."""
        return self.say(LeaseProgressed, lease, done=done, total=100, moved_bytes=moved, **terms)

    def report(self, lease: str, report: str = "report", **terms: object) -> Answer:
        """The device hands its update in."""
        held = {"signature": "s", "upload_bytes": 8, "weight": 1.0, "metrics": {}, **terms}
        return self.say(LeaseReported, lease, report=report, **held)

    def trained(self, *devices: int, metrics: Mapping[str, tuple[float, float]] = NO_METRICS) -> list[str]:
        """Each of `devices` gets an offer, accepts and reports; their leases, not judged yet."""
        leases = []
        for device in devices:
            leases.append(self.lease(device))
            assert self.accept(leases[-1]).word == "go"
            assert self.report(leases[-1], metrics=metrics).word == "stored"
        return leases

    # -- the aggregation role -----------------------------------------------------------------------------------------

    def work(self, **codes: str) -> None:
        """Do every job, and those that follow; `codes`: device id -> code of its update's refusal."""
        while self.jobs:
            self.do(self.jobs.pop(0), **codes)

    def do(self, job: Job, **codes: str) -> Step:
        """Do one job."""
        match job:
            case PrepareRound():
                name = f"{job.run}.{job.round}"
                made = ManifestMade(
                    at_ms=self.now_ms, run=job.run, round=job.round, manifest=f"m-{name}", key_id=f"k-{name}"
                )
                return self.feed(made)
            case JudgeUpdate():
                lease = self.state.leases.get(job.lease)
                return self.judge(job.lease, codes.get(f"d{self.device_of(job.lease)}", "") if lease else "")
            case FinishRound():
                return self.feed(self.sum_of(job))

    def judge(self, lease: str, code: str = "") -> Step:
        """The verdict on one stored update."""
        return self.feed(UpdatesJudged(at_ms=self.now_ms, verdicts=(Verdict(lease=lease, code=code, detail=code),)))

    def sum_of(self, job: FinishRound) -> AggregateMade:
        """The version that a finished sum became."""
        return AggregateMade(
            at_ms=self.now_ms,
            run=job.run,
            round=job.round,
            digest=f"sha256:{job.run}.{job.round}",
            size_bytes=4,
            statement="st",
            leases=job.leases,
        )

    # -- what there is ------------------------------------------------------------------------------------------------

    def run(self, run: str = "r") -> RunRow:
        """The row of a run."""
        return self.state.runs[run]

    def round(self, number: int = 1, run: str = "r") -> RoundRow:
        """The row of a round."""
        return self.state.rounds[run, number]

    def leased(self, lease: str) -> LeaseRow:
        """The row of a lease."""
        return self.state.leases[lease]

    def sent(self, kind: type[T]) -> list[T]:
        """Everything of one kind that was sent so far."""
        return [send for send in self.sends if isinstance(send, kind)]

    def kinds(self) -> list[str]:
        """The kinds of all records so far."""
        return [record.kind for record in self.records]
