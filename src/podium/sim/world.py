"""One world in virtual time: the production core, a fleet, and a plane around it that can die at any moment.

Decides: in which order a window's events reach the core, when the plane commits, and what a crash takes. Never: what
the core does. Everything random is drawn from the seed, so a seed is a whole story that can be told again. A checked
world keeps its own ledger of what became durable and compares; it is for fleets of thousands. An unchecked one keeps
what a report needs: it is for millions, and the core is the same.
"""

import hashlib
import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

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
    LeasesTold,
    ManifestMade,
    TimePassed,
    UpdatesJudged,
    Verdict,
)
from podium.core.rows import LeaseRow
from podium.core.step import Core
from podium.learning.names import cohort_max
from podium.sim.beginning import RUN, Setting, beginning, enrolled, synthetic
from podium.sim.checkers import Ledger, require
from podium.sim.devices import within
from podium.sim.engine import Added, Key, ListEngine, OneHotEngine, SimEngine, measured
from podium.sim.faults import Faults
from podium.sim.gateways import Gateways
from podium.sim.people import People
from podium.sim.recorder import Recorder
from podium.tasks.task import Task
from podium.wire.limits import Limits
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import StoreFault

VIRTUAL_MS_MAX = 14 * 86_400_000
WORK_MS = (1, 40)
"""What each job of the aggregation role takes."""
CHECK_EVERY = 16
"""The whole of the core's memory is checked after each of so many windows, after every reload and at the end."""


class World:
    """One simulation: `run()` drives it to its end."""

    def __init__(self, task: Task, setting: Setting, engine: SimEngine | None = None) -> None:
        """`engine`: what adds updates up in place of the self-checking one."""
        self.task = task
        self.setting = setting
        self.limits = Limits(gateways_max=setting.gateways)
        self.chance = random.Random(setting.seed)
        self.faults = Faults(setting.faults, self.chance)
        self.ledger = Ledger()
        self.store = MemoryStore()
        self.devices = synthetic(task, setting, self.limits, self.chance, self.faults)
        self.gateways = Gateways(setting.gateways, setting.devices, self.chance, self.faults)
        self.people = People(RUN, self.chance, self.faults)
        self._given_engine = engine
        self.engine = self._fresh_engine()
        self.core = Core((), step=0, at_ms=0, limits=self.limits)
        self.recorder = Recorder(setting.devices, setting.model_bytes, self._number_of)
        self.now_ms = 0
        self.digest = hashlib.sha256()
        self.steps = 0
        self._pending: list[Step] = []
        self._jobs: deque[tuple[int, AnySend]] = deque()  # the aggregation role's work, in order, by when it is done
        self._busy_ms = 0
        self._wake_ms = -1

    def _fresh_engine(self) -> SimEngine:
        if self._given_engine is not None:
            return self._given_engine
        if not self.setting.checked:
            return ListEngine()
        tasks = (self.task, *self.setting.rivals)
        cohorts = (cohort_max(each.round.goal, each.round.concurrency, each.select.over) for each in tasks)
        return OneHotEngine(self.setting.devices, max(cohorts))

    def _number_of(self, lease: LeaseRow) -> int:
        return self.core.state.holder(lease)

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
        if self.setting.checked:
            self._store(steps)
        if applied:
            self._durable(steps)
        if dies:
            self._restart()
            return
        for step in steps:
            for send in step.sends:
                self._send(send)

    def _store(self, steps: Sequence[Step]) -> None:
        try:
            self.store.commit("steps", steps, [bytes(16)] * sum(len(step.records) for step in steps))
        except StoreFault as fault:
            require(fault.code == "store-unknown", f"the store failed with {fault.code}")

    def _durable(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.recorder.take(step.records)
            if self.setting.checked:
                self.ledger.durable(step.records)
            for record in step.records:
                # of millions of records their kinds and subjects must do: the whole of them costs more than the core
                gist = f"{record.at_ms} {record.kind} {record.subject}\n".encode()
                self.digest.update(msgspec.json.encode(record, enc_hook=int) if self.setting.checked else gist)

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
                self.devices.answered(send, self.now_ms)
            case Answer():
                self.devices.heard(send, self.now_ms)
            case PrepareRound() | JudgeUpdate() | FinishRound():
                self._busy_ms = max(self._busy_ms, self.now_ms) + within(self.chance, WORK_MS)
                self._jobs.append((self._busy_ms, send))
            case EndRound():
                self.engine.drop((send.run, send.round), [(send.run, number) for number in send.key_rounds])
            case _:
                self.devices.corrupt.pop(send.lease, None)

    # -- the aggregation role ----------------------------------------------------------------------------------------

    def _work(self, until_ms: int) -> None:
        """Finish the jobs due by `until_ms` and tell the core; updates that are judged in a row are so at once."""
        updates: list[str] = []
        while self._jobs and self._jobs[0][0] <= until_ms:
            job = self._jobs.popleft()[1]
            if isinstance(job, JudgeUpdate):
                updates.append(job.lease)
                continue
            self._judge(updates, until_ms)
            updates = []
            if isinstance(job, PrepareRound):
                self._prepare(job, until_ms)
            elif isinstance(job, FinishRound):
                self._finish(job, until_ms)
        self._judge(updates, until_ms)

    def _prepare(self, job: PrepareRound, at_ms: int) -> None:
        name = f"{job.run}.{job.round}"
        self.engine.begin((job.run, job.round), job.base)
        self.feed(ManifestMade(at_ms=at_ms, run=job.run, round=job.round, manifest=f"m-{name}", key_id=f"k-{name}"))

    def _judge(self, updates: Sequence[str], at_ms: int) -> None:
        state = self.core.state
        by_round: dict[Key, list[Added]] = {}
        for name in updates:
            lease = state.leases.get(name)
            if lease is not None and (lease.run, lease.round) in state.open:
                device = state.holder(lease)
                corrupt = self.devices.corrupt.get(name, False)
                by_round.setdefault((lease.run, lease.round), []).append((name, device, corrupt))
        for key, added in by_round.items():
            codes = self.engine.judge(key, added)
            verdicts = tuple(Verdict(lease=each[0], code=code) for each, code in zip(added, codes, strict=True))
            self.feed(UpdatesJudged(at_ms=at_ms, verdicts=verdicts))

    def _finish(self, job: FinishRound, at_ms: int) -> None:
        key = (job.run, job.round)
        digest, counted = self.engine.finish(key, job.leases)
        if key in self.engine.scores:
            self.recorder.scores[key] = self.engine.scores.pop(key)
        if self.setting.checked and self._given_engine is None:
            self.ledger.sealed(key, counted, self.core.state)
        self.feed(
            AggregateMade(
                at_ms=at_ms,
                run=job.run,
                round=job.round,
                digest=digest,
                size_bytes=counted.nbytes if self.setting.checked else self.setting.model_bytes,
                statement="",
                leases=job.leases,
            )
        )

    # -- the simulation ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Enrol the fleet and submit the task, without faults."""
        if not self.setting.checked:
            self.core = Core(enrolled(self.setting.devices, self.setting.labels), step=0, at_ms=0, limits=self.limits)
        count = self.setting.devices if self.setting.checked else 0
        for event in beginning(self.task, count, self.setting.rivals):
            self.feed(event)
        steps, self._pending = self._pending, []
        if self.setting.checked:
            self._store(steps)
        self._durable(steps)
        for step in steps:
            for send in step.sends:
                self._send(send)

    def over(self) -> bool:
        """Whether there is nothing left to simulate."""
        if self.setting.until_ms:
            return self.now_ms >= self.setting.until_ms
        open_still = any(run.state in RUN_OPEN for run in self.core.state.runs.values())
        return not open_still and not self._pending

    def run(self) -> None:
        """Drive the simulation to its end and check what must be true then."""
        self.begin()
        for _ in self.windows():
            pass

    def windows(self) -> Iterator[int]:
        """As `run`, once it has begun: the virtual moment after each window."""
        for window in itertools.count():
            if self.over():
                break
            require(self.now_ms < VIRTUAL_MS_MAX, f"the run did not end by {self.now_ms} ms")
            self._window()
            if self.setting.checked and window % CHECK_EVERY == 0:
                check(self.core.state)
            yield self.now_ms
        check(self.core.state)
        if self.setting.checked:
            self.ledger.reloaded(self.store.load().rows)
            if not self.setting.until_ms:
                self.ledger.ended()

    def _window(self) -> None:
        """Everything that happens in the next window with something in it, as one batch of each kind."""
        waits = [self.devices.earliest_ms()]
        waits += [self._jobs[0][0]] if self._jobs else []
        waits += [self._wake_ms] if self._wake_ms >= 0 else []
        end = max(min(waits), self.now_ms) + self.setting.window_ms
        if self.setting.until_ms:
            end = min(end, max(self.setting.until_ms, self.now_ms + 1))
        self.now_ms = end
        sessions, asked = self.devices.check_ins(end)
        if sessions is not None:
            self.feed(sessions)
        if asked is not None:
            self.recorder.came(asked.at, 0 if sessions is None else len(sessions.at))
            self.gateways.befall(end, self.core.state.quotas.generation)
            self.feed(msgspec.structs.replace(asked, landed=self.gateways.landed(asked.device, end)))
        for act in self.people.acts(end, self.core.state):
            self.feed(act)
        said = self.devices.messages(end)
        if said:
            self.feed(LeasesTold(at_ms=end, rows=tuple(measured(self.engine, self.core.state, said))))
        self._work(end)
        if 0 <= self._wake_ms <= end:
            self.feed(TimePassed(at_ms=end))
        self.commit()
        self.ledger.told_stored.update(self.devices.told_stored)
        self.devices.told_stored.clear()
