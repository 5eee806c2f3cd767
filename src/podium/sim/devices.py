"""A synthetic fleet: what devices would do, drawn from the seed, in virtual time.

Decides: when each device checks in, what it can do, how it works on a lease, and how the faults bend that. Never: what
the plane does about it. Idle devices are columns; only a device at work is an object. A device keeps to the protocol:
it repeats a message that nobody answered, opens a new session when the plane knows its epoch no more, and obeys the
return windows.
"""

import heapq
import itertools
import random

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.effects import Answer, Offer
from podium.core.events import (
    LeaseAccepted,
    LeaseDeclined,
    LeaseFailed,
    LeaseProgressed,
    LeaseReported,
)
from podium.core.fleet.telemetry import Telemetry, telemetry
from podium.sim.checkers import InvariantBroken, Ledger
from podium.sim.faults import Faults
from podium.sim.traces import Trace
from podium.tasks.task import Task
from podium.wire.messages import Capabilities

TRAIN_MS = (1_000, 20_000)
LATENCY_MS = (20, 400)
RETRY_MS = (4_000, 10_000)

Message = LeaseAccepted | LeaseDeclined | LeaseProgressed | LeaseFailed | LeaseReported


class Work:
    """A device at work on one lease."""

    def __init__(self, lease: str, stall_ms: int, total_ms: int) -> None:
        self.lease = lease
        self.stall_ms = stall_ms
        self.total_ms = total_ms
        self.done_ms = 0
        self.held = False


class Devices:
    """The fleet: columns of idle devices, objects of busy ones, and the messages under way."""

    def __init__(
        self, task: Task, count: int, chance: random.Random, faults: Faults, ledger: Ledger, trace: str
    ) -> None:
        self.task = task
        self.chance = chance
        self.faults = faults
        self.ledger = ledger
        self.epoch: NDArray[np.int64] = np.zeros(count, np.int64)
        self.session: NDArray[np.bool_] = np.zeros(count, np.bool_)
        draws = np.random.Generator(np.random.PCG64(chance.getrandbits(64)))
        self.next_ms: NDArray[np.int64] = draws.integers(0, 5_000, count)
        self.battery = draws.uniform(0.2, 1.0, count).astype(np.float32)
        self.charging = (draws.random(count) < 0.7).astype(np.int8)
        self.metered = (draws.random(count) < 0.2).astype(np.int8)
        self.ram_mb = draws.choice([2048, 4096, 8192, 16384], count)
        self.trace = Trace(trace, count, chance)
        self.corrupt: dict[str, bool] = {}  # lease -> whether its stored update is broken
        self._work: dict[int, Work] = {}
        self._queue: list[tuple[int, int, Message]] = []
        self._waiting: dict[int, Message] = {}
        self._timeouts: list[tuple[int, int]] = []
        self._ticket = itertools.count(1_000_000_000)

    def capabilities(self, device: int) -> Capabilities:
        """What device number `device` can do: it has the task's plan."""
        return Capabilities(
            os="linux",
            architecture="arm64",
            ram_mb=int(self.ram_mb[device]),
            cores=4,
            agent="sim",
            plans={self.task.task.plan: (self.task.task.plan_digests or ("sha256:sim",))[0]},
        )

    def telemetry(self, devices: NDArray[np.int64]) -> Telemetry:
        """The momentary facts of `devices`."""
        return telemetry(
            len(devices),
            {"battery": self.battery[devices], "ram_free_mb": (self.ram_mb[devices] / 2).astype(np.float32)},
            {"charging": self.charging[devices], "metered": self.metered[devices]},
        )

    def due(self, until_ms: int) -> NDArray[np.int64]:
        """The devices that check in by `until_ms`, in order of time; they wait for an answer from then on.

        A device that is not there then comes when its trace says.
        """
        devices = np.flatnonzero(self.next_ms <= until_ms)
        self.next_ms[devices] = self.trace.next_ms(devices, self.next_ms[devices])
        devices = devices[self.next_ms[devices] <= until_ms]
        return devices[np.lexsort((devices, self.next_ms[devices]))]

    def earliest_ms(self) -> int:
        """When the next device has something to say."""
        times = [int(self.next_ms.min())]
        times += [self._queue[0][0]] if self._queue else []
        times += [self._timeouts[0][0]] if self._timeouts else []
        return min(times)

    def shift(self, by_ms: int) -> None:
        """The plane's clock jumped by `by_ms`: what devices do happens as much later on it."""
        self.next_ms += by_ms
        self._queue = [
            (at + by_ms, ticket, msgspec.structs.replace(said, at_ms=at + by_ms)) for at, ticket, said in self._queue
        ]
        self._timeouts = [(at + by_ms, ticket) for at, ticket in self._timeouts]
        heapq.heapify(self._queue)
        heapq.heapify(self._timeouts)

    def lost(self, until_ms: int) -> None:
        """The plane was down until `until_ms`: messages and check-ins sent to it till then are lost."""
        while self._queue and self._queue[0][0] <= until_ms:
            heapq.heappop(self._queue)
        for device in np.flatnonzero(self.next_ms <= until_ms):
            self.next_ms[device] = until_ms + self.chance.randint(*RETRY_MS) // 4

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
        at = at_ms + self.chance.randint(*LATENCY_MS)
        if self.faults.strikes("reorder"):
            at += self.chance.randint(500, 3_000)
        ticket = next(self._ticket)
        epoch = int(self.epoch[said.device]) + (not self.session[said.device])  # that of the session it opens first
        said = msgspec.structs.replace(said, at_ms=at, ticket=ticket, epoch=epoch)
        self._waiting[ticket] = said
        heapq.heappush(self._queue, (at, ticket, said))
        heapq.heappush(self._timeouts, (at + self.chance.randint(*RETRY_MS), ticket))

    def offered(self, device: int, offer: Offer, at_ms: int) -> None:
        """The device got an offer (or hears of its lease again)."""
        self.next_ms[device] = at_ms + self.chance.randint(10_000, 30_000)
        work = self._work.get(device)
        if work is not None and work.lease == offer.lease:
            return
        work = Work(offer.lease, offer.stall_ms, self.chance.randint(*TRAIN_MS))
        self._work[device] = work
        if self.faults.strikes("decline"):
            self._say(
                LeaseDeclined(
                    at_ms=0,
                    ticket=-1,
                    device=device,
                    epoch=0,
                    lease=work.lease,
                    reason=self.chance.choice(("battery", "metered", "private")),
                ),
                at_ms,
            )
        else:
            self._say(LeaseAccepted(at_ms=0, ticket=-1, device=device, epoch=0, lease=work.lease), at_ms)

    def idle(self, device: int, at_ms: int, window_ms: int, stale: bool) -> None:
        """No offer: the device comes back in its window; with a new session if the plane knows its epoch no more."""
        if stale:
            self.session[device] = False
            window_ms = self.chance.randint(100, 1_000)
        self.next_ms[device] = at_ms + max(1, window_ms)

    def heard(self, answer: Answer, at_ms: int) -> None:
        """The device hears the answer to one of its messages."""
        said = self._waiting.pop(answer.ticket, None)
        if said is None:
            return
        work = self._work.get(said.device)
        if answer.code in ("epoch-stale", "device-unknown"):
            self.session[said.device] = False
            self.next_ms[said.device] = min(int(self.next_ms[said.device]), at_ms + 50)
            self._say(said, at_ms + 500)
        elif answer.code == "conflicting-repeat":
            raise InvariantBroken(f"lease {said.lease}: a repeated report is told to conflict")
        elif answer.word == "stored":
            self.ledger.told_stored.add(said.lease)
            self._done(said.device, said.lease, at_ms + answer.window_ok_ms)
        elif answer.word in ("go", "extended") and work is not None and work.lease == said.lease:
            self._go_on(said.device, work, at_ms)
        elif answer.word not in ("go", "extended"):
            self._done(said.device, said.lease, at_ms + max(100, answer.window_else_ms))

    def _go_on(self, device: int, work: Work, at_ms: int) -> None:
        """Train on for a while, then tell progress, a failure or the report; or fall silent."""
        if self.faults.strikes("lapse"):
            del self._work[device]
            self.next_ms[device] = at_ms + self.chance.randint(1_000, 3 * work.stall_ms)
            return
        if self.faults.strikes("fail"):
            self._say(
                LeaseFailed(
                    at_ms=0,
                    ticket=-1,
                    device=device,
                    epoch=0,
                    lease=work.lease,
                    code="plan-raised",
                    detail="ValueError: drawn",
                ),
                at_ms + 200,
            )
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
            return
        late = self.task.round.report_deadline if self.faults.strikes("late") else 0
        self.corrupt.setdefault(work.lease, self.faults.strikes("corrupt"))
        metrics = {"accuracy": (float(self.chance.randint(0, 100)), 100.0)}
        report = LeaseReported(
            at_ms=0,
            ticket=-1,
            device=device,
            epoch=0,
            lease=work.lease,
            report=f"report-of-{work.lease}",
            signature="",
            upload_bytes=1,
            weight=1.0,
            metrics=metrics,
        )
        self._say(report, at_ms + some + late)

    def _done(self, device: int, lease: str, next_ms: int) -> None:
        work = self._work.get(device)
        if work is not None and work.lease == lease:
            del self._work[device]
            self.next_ms[device] = next_ms
