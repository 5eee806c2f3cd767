"""Virtual time: the production core, a store in memory, a synthetic fleet, and a shell that dies when the seed says so.

Decides: the order in which things happen, from the seed alone. Never: what the core decides. Windows of `window_ms` are
handed over as one batch; `step` is batch-invariant, so the server's milliseconds and these windows run one program.
Limit: a simulation ends when its run does, or after `VIRTUAL_MS_MAX` of virtual time.
"""

import hashlib
import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.adapters.memory import MemoryStore
from podium.core.check import check
from podium.core.effects import (
    Answer,
    AnySend,
    CheckinAnswers,
    EndRound,
    FinishRound,
    JudgeUpdate,
    PrepareRound,
    Step,
)
from podium.core.events import (
    AggregateMade,
    AnyEvent,
    Booted,
    CheckedIn,
    EnrolAsked,
    LeasesTold,
    ManifestMade,
    RunSubmitted,
    SessionsOpened,
    TimePassed,
    TokenIssued,
    UpdatesJudged,
    Verdict,
    VersionImported,
)
from podium.core.fleet.telemetry import data_facts
from podium.core.selection.reasons import CODE
from podium.core.step import Core
from podium.learning.names import cohort_max
from podium.sim.checkers import Ledger, require
from podium.sim.devices import Devices
from podium.sim.engine import OneHotEngine
from podium.sim.faults import Faults
from podium.sim.people import People
from podium.tasks.task import Task
from podium.wire.limits import Limits
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import StoreFault

VIRTUAL_MS_MAX = 14 * 86_400_000
CHECK_EVERY = 16
"""The whole of the core's memory is checked after each of so many windows, after every reload and at the end."""
RUN = "sim"


class World:
    """One simulation: `run()` drives it to its end."""

    def __init__(
        self, task: Task, *, devices: int, seed: int, faults: frozenset[str], window_ms: int = 200, trace: str = "flat"
    ) -> None:
        self.task = task
        self.limits = Limits()
        self.window_ms = window_ms
        self.chance = random.Random(seed)
        self.faults = Faults(faults, self.chance)
        self.ledger = Ledger()
        self.store = MemoryStore()
        self.devices = Devices(task, devices, self.chance, self.faults, self.ledger, trace)
        self.count = devices
        self.people = People(RUN, self.chance, self.faults)
        self.engine = self._fresh_engine()
        self.core = Core((), step=0, at_ms=0, limits=self.limits)
        self.now_ms = 0
        self.digest = hashlib.sha256()
        self.steps = 0
        self._pending: list[Step] = []
        self._jobs: deque[tuple[int, AnySend]] = deque()  # the aggregation role's work, in order, by when it is done
        self._busy_ms = 0
        self._wake_ms = -1

    def _fresh_engine(self) -> OneHotEngine:
        rules = self.task.round
        return OneHotEngine(self.count, cohort_max(rules.goal, rules.concurrency, self.task.select.over))

    # -- the plane ---------------------------------------------------------------------------------------------------

    def feed(self, event: AnyEvent) -> None:
        """One step of the core; its sends wait for the commit."""
        step = self.core.step(event)
        self.steps += 1
        self._wake_ms = step.wake_ms
        self._pending.append(step)

    def commit(self) -> None:
        """Make the pending steps durable and send what they say; or die, before, between or after."""
        steps, self._pending = self._pending, []
        if not steps:
            return  # the store is not asked, so nothing of it can fail
        dies = self.faults.strikes("crash")
        if dies and self.chance.random() < 0.5:
            self._restart()
            return
        applied = True
        if self.faults.strikes("lost-ack"):
            applied = self.chance.random() < 0.5
            self.store.fail_next("store-unknown", applied=applied)
            dies = True
        try:
            self.store.commit("steps", steps, [bytes(16)] * sum(len(step.records) for step in steps))
        except StoreFault as fault:
            require(fault.code == "store-unknown", f"the store failed with {fault.code}")
        if applied:
            self._durable(steps)
        if dies:
            self._restart()
            return
        for step in steps:
            for send in step.sends:
                self._send(send)

    def _durable(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.ledger.durable(step.records)
            for record in step.records:
                self.digest.update(msgspec.json.encode(record, enc_hook=int))

    def _restart(self) -> None:
        """The process is gone: memory, sums and jobs with it. Another one loads the store and goes on."""
        down = self.chance.randint(100, 30_000)
        if self.faults.strikes("clock-jump"):
            jump = self.chance.randint(1_000, 3_600_000)
            self.devices.shift(jump)
            self.now_ms += jump
        self.now_ms += down
        self.devices.lost(self.now_ms)
        self._jobs.clear()
        self.engine = self._fresh_engine()
        loaded = self.store.load()
        self.ledger.reloaded(loaded.rows)
        self.core = Core(loaded.rows, step=loaded.step, at_ms=loaded.at_ms, limits=self.limits)
        check_boot = max(0, self.now_ms - loaded.at_ms)
        self.feed(Booted(at_ms=self.now_ms, down_ms=min(check_boot, self.limits.down_ms_max)))
        check(self.core.state)

    def _send(self, send: AnySend) -> None:
        match send:
            case CheckinAnswers():
                self._answer_check_ins(send)
            case Answer():
                self.devices.heard(send, self.now_ms)
            case PrepareRound() | JudgeUpdate() | FinishRound():
                self._busy_ms = max(self._busy_ms, self.now_ms) + self.chance.randint(1, 40)
                self._jobs.append((self._busy_ms, send))
            case EndRound():
                self.engine.drop((send.run, send.round))
            case _:
                self.devices.corrupt.pop(send.lease, None)

    def _answer_check_ins(self, answers: CheckinAnswers) -> None:
        for row, device in enumerate(answers.ticket):
            number = int(device)
            if row in answers.offers:
                self.devices.offered(number, answers.offers[row], self.now_ms)
                continue
            stale = int(answers.reason[row]) == CODE["epoch"]
            self.devices.idle(number, self.now_ms, int(answers.window_else_ms[row]), stale)

    def _work(self, until_ms: int) -> None:
        """Finish the aggregation role's jobs due by `until_ms` and tell the core."""
        while self._jobs and self._jobs[0][0] <= until_ms:
            job = self._jobs.popleft()[1]
            if isinstance(job, PrepareRound):
                name = f"{job.run}.{job.round}"
                self.feed(
                    ManifestMade(at_ms=until_ms, run=job.run, round=job.round, manifest=f"m-{name}", key_id=f"k-{name}")
                )
            elif isinstance(job, JudgeUpdate):
                self._judge(job, until_ms)
            elif isinstance(job, FinishRound):
                self._finish(job, until_ms)

    def _judge(self, job: JudgeUpdate, at_ms: int) -> None:
        lease = self.core.state.leases.get(job.lease)
        if lease is None or (lease.run, lease.round) not in self.core.state.open:
            return
        device = self.core.state.device_number(lease.device)
        code = self.engine.judge((lease.run, lease.round), lease.id, device, self.devices.corrupt.get(lease.id, False))
        self.feed(UpdatesJudged(at_ms=at_ms, verdicts=(Verdict(lease=lease.id, code=code),)))

    def _finish(self, job: FinishRound, at_ms: int) -> None:
        key = (job.run, job.round)
        counted = self.engine.finish(key, job.leases)
        self.ledger.sealed(key, counted, self.core.state)
        digest = "sha256:" + hashlib.sha256(f"{key}{counted.tobytes().hex()}".encode()).hexdigest()
        self.feed(
            AggregateMade(
                at_ms=at_ms,
                run=job.run,
                round=job.round,
                digest=digest,
                size_bytes=counted.nbytes,
                statement="",
                leases=job.leases,
            )
        )

    # -- the simulation ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Enrol the fleet and submit the task, without faults."""
        for event in _beginning(self.task, self.count):
            self.feed(event)
        steps, self._pending = self._pending, []
        self.store.commit("begin", steps, [bytes(16)] * sum(len(step.records) for step in steps))
        self._durable(steps)
        for step in steps:
            for send in step.sends:
                self._send(send)

    def run(self) -> None:
        """Drive the simulation to the end of its run and check what must be true then."""
        self.begin()
        for window in itertools.count():
            if self.core.state.runs[RUN].state not in RUN_OPEN and not self._pending:
                break
            require(self.now_ms < VIRTUAL_MS_MAX, f"the run did not end by {self.now_ms} ms")
            self._window()
            if window % CHECK_EVERY == 0:
                check(self.core.state)
        check(self.core.state)
        loaded = self.store.load()
        self.ledger.reloaded(loaded.rows)
        self.ledger.ended()

    def _window(self) -> None:
        """Everything that happens in the next window with something in it, as one batch of each kind."""
        waits = [self.devices.earliest_ms()]
        waits += [self._jobs[0][0]] if self._jobs else []
        waits += [self._wake_ms] if self._wake_ms >= 0 else []
        end = max(min(waits), self.now_ms) + self.window_ms
        self.now_ms = end
        self._check_ins(end)
        for act in self.people.acts(end, self.core.state):
            self.feed(act)
        said = self.devices.messages(end)
        if said:
            self.feed(LeasesTold(at_ms=end, rows=tuple(said)))
        self._work(end)
        if 0 <= self._wake_ms <= end:
            self.feed(TimePassed(at_ms=end))
        self.commit()

    def _check_ins(self, end: int) -> None:
        due = self.devices.due(end)
        if len(due) == 0:
            return
        fresh = due[~self.devices.session[due]]
        self.devices.epoch[fresh] += 1
        self.devices.session[fresh] = True
        if len(fresh):
            self.feed(self._sessions(fresh))
        at = self.devices.next_ms[due].copy()
        self.devices.next_ms[due] = end + 60_000  # asked; asks again if nobody answers
        self.feed(
            CheckedIn(
                at_ms=int(at[-1]),
                at=at,
                device=due,
                epoch=self.devices.epoch[due],
                ticket=due,
                telemetry=self.devices.telemetry(due),
            )
        )

    def _sessions(self, fresh: NDArray[np.int64]) -> SessionsOpened:
        kinds, which = np.unique(self.devices.ram_mb[fresh], return_index=True)
        names = self.task.data.datasets
        examples = np.full(len(fresh), max(100, self.task.data.examples_min), np.int32)
        return SessionsOpened(
            at_ms=int(self.devices.next_ms[fresh[-1]]),
            at=self.devices.next_ms[fresh],
            device=fresh,
            epoch=self.devices.epoch[fresh],
            ticket=np.full(len(fresh), -1),
            kind=np.searchsorted(kinds, self.devices.ram_mb[fresh]).astype(np.int32),
            capabilities=tuple(self.devices.capabilities(int(fresh[first])) for first in which),
            data=data_facts(len(fresh), dict.fromkeys(names, examples)),
        )


def _beginning(task: Task, count: int) -> Iterator[AnyEvent]:
    """A token, `count` devices enrolled by it, the first version, and the run."""
    person = "person:administrator"
    yield TokenIssued(
        at_ms=0,
        ticket=-1,
        actor=person,
        token_hash="t",
        population="default",
        site="",
        name="",
        labels={},
        uses=count,
        expires_ms=VIRTUAL_MS_MAX,
    )
    for number in range(count):
        name = f"d{number}"
        yield EnrolAsked(
            at_ms=0,
            ticket=-1,
            token_hash="t",
            device_id=name,
            public_key=f"p{number}",
            population="default",
            name=name,
        )
    yield VersionImported(at_ms=0, actor=person, digest="sha256:0", size_bytes=0, statement="")
    yield RunSubmitted(at_ms=0, ticket=-1, actor=person, run=RUN, task=task, task_digest="sha256:task", base="sha256:0")
