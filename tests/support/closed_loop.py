"""A synthetic fleet and the real core in virtual time, without a plane: check-ins and lease messages by slices of time.

Decides: when devices come (their window over, and there at all), how long they work, which leases they fail. Nothing is
checked after a step: tests/sim does that.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from podium.core.effects import Answer, CheckinAnswers, FinishRound, JudgeUpdate, PrepareRound, Step
from podium.core.events import AnyEvent, CheckedIn, LeasesTold, SessionsOpened, TimePassed
from podium.core.fleet.telemetry import QUALITIES, DataFacts
from podium.core.rows import DeviceRow
from podium.core.said import LeaseAccepted, LeaseFailed, LeaseReported
from podium.core.step import Core
from podium.sim.fleet import SimFleet, Workload
from podium.sim.traces import Availability
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities
from tests.support.core_drive import Drive
from tests.support.core_made import PLAN, telemetry

Numbers = NDArray[np.int64]
AWAY = np.iinfo(np.int64).max


class Loop(Drive):
    """`due`: when each device checks in next; `counts`: check-ins of each slice so far."""

    def __init__(self, fleet: SimFleet, there: Availability, limits: Limits, load: Workload) -> None:
        super().__init__(limits)
        self.fleet_model, self.there, self.load = fleet, there, load
        rows = [_row(number) for number in range(fleet.count)]
        self.core = Core(rows, step=0, at_ms=0, limits=limits)
        self.chance = np.random.default_rng(11)
        self.everybody = np.arange(fleet.count, dtype=np.int64)
        self.due = there.next_ms(self.everybody, self.chance.integers(0, 1_000_000, fleet.count))
        self.counts: list[int] = []
        self.queue = 0  # what the plane is told of its queue
        self.worked_ms: dict[str, int] = {}  # lease -> how long its work takes
        self._ends: list[tuple[int, str, int, bool]] = []
        self._open()

    def feed(self, event: AnyEvent) -> Step:
        """One step; its jobs are kept."""
        step = self.core.step(event)
        self._number, self.now_ms, self.wake_ms = step.number, step.at_ms, step.wake_ms
        self.jobs += [send for send in step.sends if isinstance(send, PrepareRound | JudgeUpdate | FinishRound)]
        return step

    def go(self, until_ms: int, slice_ms: int) -> None:
        """Everything that happens until `until_ms`."""
        for start in range(self.now_ms, until_ms, slice_ms):
            end = start + slice_ms
            here = np.flatnonzero(self.due < end)
            self.counts.append(len(here))
            if len(here):
                self._come(here[np.argsort(self.due[here], kind="stable")])
            self._finish(end)
            self.feed(TimePassed(at_ms=end))
            self.work()

    def _open(self) -> None:
        count, zeros = self.fleet_model.count, np.zeros(self.fleet_model.count, np.int64)
        kinds = tuple(
            Capabilities(os=f"class-{number}", plans={PLAN: "sha256:plan"})
            for number in range(len(self.fleet_model.capabilities()))
        )
        unknown = {name: np.full(count, np.nan, np.float32) for name in QUALITIES}
        self.feed(
            SessionsOpened(
                at_ms=0,
                at=zeros,
                device=self.everybody,
                epoch=zeros,
                ticket=self.everybody,
                kind=self.fleet_model.class_of.astype(np.int32),
                capabilities=kinds,
                data=DataFacts(examples={}, **unknown),
            )
        )

    def _come(self, devices: Numbers) -> None:
        at = np.maximum(self.due[devices], self.now_ms)
        places = np.arange(len(devices))
        step = self.feed(
            CheckedIn(
                at_ms=int(at[-1]),
                at=at,
                device=devices,
                epoch=np.zeros(len(devices), np.int64),
                ticket=places,
                telemetry=telemetry(len(devices), {}),
                queue=self.queue,
            )
        )
        said: list[LeaseAccepted] = []
        for send in step.sends:
            if not isinstance(send, CheckinAnswers):
                continue
            who = devices[send.ticket]
            back = at[send.ticket] + send.window_else_ms
            self.due[who] = self.there.next_ms(who, back)
            for row, offer in send.offers.items():
                said.append(self._begin(int(who[row]), offer.lease))
        if said:
            self.feed(LeasesTold(at_ms=self.now_ms, rows=tuple(said)))

    def fails(self, device: int) -> bool:
        """Whether `device` fails whatever it is given."""
        return False

    def drop_out(self, share: float) -> int:
        """A share of the leases under way fail by the next slice; how many."""
        drops = self.chance.random(len(self._ends)) < share
        self._ends = [
            (self.now_ms, lease, device, True) if drop else (end, lease, device, lost)
            for drop, (end, lease, device, lost) in zip(drops, self._ends, strict=True)
        ]
        heapq.heapify(self._ends)
        return int(drops.sum())

    def _begin(self, device: int, lease: str) -> LeaseAccepted:
        one, draws = np.array([device]), self.chance.random(3)
        took = int(self.fleet_model.work_ms(one, draws[:1], self.load)[0])
        lost = self.fails(device) or bool(self.fleet_model.drops(one, draws[1:2])[0])
        took = max(1, int(took * draws[2])) if lost else took
        self.worked_ms[lease] = took
        heapq.heappush(self._ends, (self.now_ms + took, lease, device, lost))
        self.due[device] = AWAY
        return LeaseAccepted(at_ms=self.now_ms, ticket=0, device=device, epoch=0, lease=lease)

    def _finish(self, until_ms: int) -> None:
        said: list[LeaseFailed | LeaseReported] = []
        while self._ends and self._ends[0][0] < until_ms:
            end, lease, device, lost = heapq.heappop(self._ends)
            at_ms = max(end, self.now_ms)
            if lost:
                said.append(
                    LeaseFailed(
                        at_ms=at_ms, ticket=device, device=device, epoch=0, lease=lease, code="plan-raised", detail=""
                    )
                )
                continue
            said.append(
                LeaseReported(
                    at_ms=at_ms,
                    ticket=device,
                    device=device,
                    epoch=0,
                    lease=lease,
                    report="r",
                    signature="s",
                    upload_bytes=8,
                    weight=1.0,
                    metrics={},
                )
            )
        if not said:
            return
        for send in self.feed(LeasesTold(at_ms=said[-1].at_ms, rows=tuple(said))).sends:
            if isinstance(send, Answer):
                who = np.array([send.ticket])
                self.due[who] = self.there.next_ms(who, self.now_ms + np.array([max(1, send.window_ok_ms)]))


def _row(number: int) -> DeviceRow:
    return DeviceRow(
        id=f"id-d{number}",
        number=number,
        name=f"d{number}",
        population="default",
        site="",
        labels={},
        public_key=f"key-{number}",
        enrolled_ms=0,
        participated_ms=-1,
        state="active",
    )
