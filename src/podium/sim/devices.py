"""A synthetic fleet at its protocol: what devices do, drawn from the seed, in virtual time.

Decides: what each device says when it comes, how long its work takes and whether it drops out (fleet.py, after stated
terms), and how the faults bend that. Never: what the plane does about it, nor when idle devices come (crowd.py). Idle
devices are columns; only a device at work is an object. A device keeps to the protocol: it repeats a message that
nobody answered, opens a new session when the plane knows its epoch no more, and obeys the return windows.
"""

import heapq
import itertools
import random

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.effects import Answer, CheckinAnswers, Offer
from podium.core.events import CheckedIn, SessionsOpened
from podium.core.fleet.telemetry import DataFacts, Telemetry
from podium.core.said import LeaseAccepted, LeaseDeclined, LeaseFailed, LeaseProgressed, LeaseReported, Transfer
from podium.core.selection.reasons import CODE
from podium.sim.checkers import InvariantBroken
from podium.sim.crowd import Crowd
from podium.sim.faults import Faults
from podium.sim.fleet import SimFleet, Workload
from podium.tasks.task import Task
from podium.wire.messages import Capabilities

LATENCY_MS = (20, 400)
RETRY_MS = (4_000, 10_000)
ASKS_AGAIN_MS = (10_000, 30_000)
Message = LeaseAccepted | LeaseDeclined | LeaseProgressed | LeaseFailed | LeaseReported


def within(chance: random.Random, span: tuple[int, int]) -> int:
    """A whole number from the first of `span` to the last, by one draw: a fifth of what `randint` costs."""
    first, last = span
    return first + int(chance.random() * (last - first + 1))


class Work:
    """A device at work on one lease."""

    __slots__ = ("done_ms", "drops", "lease", "stall_ms", "total_ms")

    def __init__(self, offer: Offer, total_ms: int, drops: bool) -> None:
        self.lease = offer.lease
        self.stall_ms = offer.stall_ms
        self.total_ms = total_ms
        self.drops = drops
        self.done_ms = 0


class Devices:
    """The fleet: columns of idle devices, objects of busy ones, and the messages under way."""

    def __init__(
        self, task: Task, fleet: SimFleet, crowd: Crowd, load: Workload, chance: random.Random, faults: Faults
    ) -> None:
        """`load`: what a lease of `task` asks of a device."""
        self.task = task
        self.fleet = fleet
        self.crowd = crowd
        self.load = load
        self.chance = chance
        self.faults = faults
        self.told_stored: list[str] = []  # leases whose devices heard `stored` since somebody looked
        self.corrupt: dict[str, bool] = {}  # lease -> whether its stored update is broken
        self.kinds = self._kinds()
        self._work: dict[int, Work] = {}
        self._queue: list[tuple[int, int, Message]] = []
        self._waiting: dict[int, Message] = {}
        self._timeouts: list[tuple[int, int]] = []
        self._ticket = itertools.count(1_000_000_000)

    def _kinds(self) -> tuple[Capabilities, ...]:
        """What each class can do: it has the task's plan."""
        head = self.task.task
        plans = {head.plan: (head.plan_digests or ("sha256:sim",))[0]}
        return tuple(msgspec.structs.replace(each, plans=plans) for each in self.fleet.capabilities())

    # -- idle devices ------------------------------------------------------------------------------------------------

    def check_ins(self, until_ms: int) -> tuple[SessionsOpened | None, CheckedIn | None]:
        """Who comes until `until_ms`, as one batch, and the sessions that they open for it."""
        devices, at = self.crowd.due(until_ms)
        if not len(devices):
            return None, None
        fresh = self.crowd.opening(devices, at)
        asked = CheckedIn(
            at_ms=int(at[-1]),
            at=at,
            device=devices,
            epoch=self.crowd.epoch[devices],
            ticket=devices,
            telemetry=Telemetry(**self.fleet.telemetry(devices, at)),
        )
        return self._sessions(devices[fresh], at[fresh]) if len(fresh) else None, asked

    def _sessions(self, devices: NDArray[np.int64], at: NDArray[np.int64]) -> SessionsOpened:
        told = self.fleet.data_facts(devices)
        examples = np.maximum(told["examples"], self.task.data.examples_min)
        return SessionsOpened(
            at_ms=int(at[-1]),
            at=at,
            device=devices,
            epoch=self.crowd.epoch[devices],
            ticket=np.full(len(devices), -1),
            kind=self.fleet.class_of[devices].astype(np.int32),
            capabilities=self.kinds,
            data=DataFacts(
                examples=dict.fromkeys(self.task.data.datasets, examples),
                label_coverage=told["label_coverage"],
                missing_rate=told["missing_rate"],
                freshness_h=told["freshness_h"],
            ),
        )

    def answered(self, answers: CheckinAnswers, at_ms: int) -> None:
        """The devices of a batch hear: an offer, or when to come back; some that their session is not known."""
        devices = answers.ticket
        self.crowd.answered(devices)
        stale = answers.reason == CODE["epoch"]
        quiet = ~stale
        rows = np.fromiter(answers.offers, np.int64, len(answers.offers))
        quiet[rows] = False
        self.crowd.back(devices[quiet], at_ms + np.maximum(1, answers.window_else_ms[quiet]))
        if stale.any():
            self.crowd.forget_sessions(devices[stale])
            self.crowd.retry(devices[stale], at_ms)
        if len(rows):
            self._offered(devices[rows], list(answers.offers.values()), at_ms)

    def _offered(self, devices: NDArray[np.int64], offers: list[Offer], at_ms: int) -> None:
        keys = devices * 1_000_003 + at_ms
        lasts = self.fleet.work_ms(devices, uniform(0, "work", keys), self.load)
        drops = self.fleet.drops(devices, uniform(0, "drops", keys))
        for device, offer, lasting, dropping in zip(devices.tolist(), offers, lasts, drops, strict=True):
            if self.faults.any:  # a device that was restarted asks again while it has a lease
                self.crowd.back_alone(device, at_ms + self.chance.randint(*ASKS_AGAIN_MS))
            work = self._work.get(device)
            if work is None or work.lease != offer.lease:
                self._work[device] = Work(offer, int(lasting), bool(dropping))
                self._answer_offer(device, offer.lease, at_ms)

    def lost(self, until_ms: int) -> None:
        """The plane was down until `until_ms`: messages and check-ins sent to it till then are lost."""
        while self._queue and self._queue[0][0] <= until_ms:
            heapq.heappop(self._queue)
        self.crowd.lost(until_ms)

    def earliest_ms(self) -> int:
        """When the next device has something to say."""
        times = [self.crowd.earliest_ms()]
        times += [self._queue[0][0]] if self._queue else []
        times += [self._timeouts[0][0]] if self._timeouts else []
        return min(times)

    def shift(self, by_ms: int) -> None:
        """The plane's clock jumped by `by_ms`: what devices do happens as much later on it."""
        self.crowd.shift(by_ms)
        self._queue = [
            (at + by_ms, ticket, msgspec.structs.replace(said, at_ms=at + by_ms)) for at, ticket, said in self._queue
        ]
        self._timeouts = [(at + by_ms, ticket) for at, ticket in self._timeouts]
        heapq.heapify(self._queue)
        heapq.heapify(self._timeouts)

    # -- devices at work ---------------------------------------------------------------------------------------------

    def messages(self, until_ms: int) -> list[Message]:
        """What arrives by `until_ms`, in order; a message nobody answered is said again, duplicates come twice."""
        while self._timeouts and self._timeouts[0][0] <= until_ms:
            at, ticket = heapq.heappop(self._timeouts)
            said = self._waiting.pop(ticket, None)
            if said is not None:
                self._say(said, at)
        arrived: list[Message] = []
        while self._queue and self._queue[0][0] <= until_ms:
            said = heapq.heappop(self._queue)[2]
            arrived.append(said)
            if self.faults.strikes("duplicate"):
                arrived.append(said)
        return arrived

    def _say(self, said: Message, at_ms: int) -> None:
        at = at_ms + within(self.chance, LATENCY_MS)
        if self.faults.strikes("reorder"):
            at += self.chance.randint(500, 3_000)
        ticket = next(self._ticket)
        # that of the session it opens first, if it has none
        epoch = int(self.crowd.epoch[said.device]) + (not self.crowd.has_session(said.device))
        said = msgspec.structs.replace(said, at_ms=at, ticket=ticket, epoch=epoch)
        self._waiting[ticket] = said
        heapq.heappush(self._queue, (at, ticket, said))
        if self.faults.any:  # else everything that is said is answered
            heapq.heappush(self._timeouts, (at + within(self.chance, RETRY_MS), ticket))

    def _answer_offer(self, device: int, lease: str, at_ms: int) -> None:
        if self.faults.strikes("decline"):
            reason = self.chance.choice(("battery", "metered", "private"))
            declined = LeaseDeclined(at_ms=0, ticket=-1, device=device, epoch=0, lease=lease, reason=reason)
            self._say(declined, at_ms)
        else:
            self._say(LeaseAccepted(at_ms=0, ticket=-1, device=device, epoch=0, lease=lease), at_ms)

    def heard(self, answer: Answer, at_ms: int) -> None:
        """The device hears the answer to one of its messages."""
        said = self._waiting.pop(answer.ticket, None)
        if said is None:
            return
        work = self._work.get(said.device)
        if answer.code in ("epoch-stale", "device-unknown"):
            self.crowd.forget_sessions(np.array([said.device]))
            self.crowd.back_alone(said.device, at_ms + 50)
            self._say(said, at_ms + 500)
        elif answer.code == "conflicting-repeat":
            raise InvariantBroken(f"lease {said.lease}: a repeated report is told to conflict")
        elif answer.word == "stored":
            self.told_stored.append(said.lease)
            self._done(said.device, said.lease, at_ms + answer.window_ok_ms)
        elif answer.word in ("go", "extended") and work is not None and work.lease == said.lease:
            self._go_on(said.device, work, at_ms)
        elif answer.word not in ("go", "extended"):
            self._done(said.device, said.lease, at_ms + max(100, answer.window_else_ms))

    def _go_on(self, device: int, work: Work, at_ms: int) -> None:
        """Train on for a while, then tell progress, a failure or the report; or fall silent."""
        if work.drops or self.faults.strikes("lapse"):
            del self._work[device]
            # who drops out stays away until its lease has lapsed; who merely fell silent may find it still there
            soonest = work.stall_ms if work.drops else 1_000
            self.crowd.back_alone(device, at_ms + self.chance.randint(soonest, 3 * work.stall_ms))
            return
        if self.faults.strikes("fail"):
            failed = LeaseFailed(
                at_ms=0,
                ticket=-1,
                device=device,
                epoch=0,
                lease=work.lease,
                code="plan-raised",
                detail="ValueError: drawn",
            )
            self._say(failed, at_ms + 200)
            return
        some = min(work.total_ms - work.done_ms, max(1, work.stall_ms // 3))
        work.done_ms += some
        if work.done_ms < work.total_ms:
            done = LeaseProgressed(
                at_ms=0,
                ticket=-1,
                device=device,
                epoch=0,
                lease=work.lease,
                done=work.done_ms,
                total=work.total_ms,
                moved_bytes=work.done_ms,
            )
            self._say(done, at_ms + some)
        else:
            self._report(device, work, at_ms + some)

    def _report(self, device: int, work: Work, at_ms: int) -> None:
        late = self.task.round.report_deadline if self.faults.strikes("late") else 0
        self.corrupt.setdefault(work.lease, self.faults.strikes("corrupt"))
        down_ms, up_ms = self.fleet.transfer_ms(device, self.load)
        report = LeaseReported(
            at_ms=0,
            ticket=-1,
            device=device,
            epoch=0,
            lease=work.lease,
            report=f"report-of-{work.lease}",
            signature="",
            upload_bytes=self.load.upload_bytes,
            weight=1.0,
            metrics={"accuracy": (float(within(self.chance, (0, 100))), 100.0)},
            downloaded=Transfer(bytes=self.load.download_bytes, ms=down_ms),
            uploaded=Transfer(bytes=self.load.upload_bytes, ms=up_ms),
        )
        self._say(report, at_ms + late)

    def _done(self, device: int, lease: str, next_ms: int) -> None:
        work = self._work.get(device)
        if work is not None and work.lease == lease:
            del self._work[device]
            self.crowd.back_alone(device, next_ms)
