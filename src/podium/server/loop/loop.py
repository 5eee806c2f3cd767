"""The heart of the plane: one event loop thread owns the core, batches events, and sends what became durable.

Decides: when a batch becomes an event, how far the core may run ahead of the store, and what happens when a commit
fails: the core's memory is dropped, everything waiting is refused with a return window, and the plane reloads from
the store (there is no undo path). Never: what an event leads to (core) or how it is written (writer.py).
Limits: `batch_ms`, `batch_rows_max`, `requests_waiting_max`, `steps_ahead_max`, `down_ms_max`, `drain_ms`.
"""

import asyncio
import contextlib
import gc
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from podium.adapters.strategies import load_strategies
from podium.core.effects import Answer, AnySend, CheckinAnswers, Step
from podium.core.events import AnyEvent, Booted, Denied, LeasesTold, TimePassed
from podium.core.rounds.leases import Said
from podium.core.state import State
from podium.core.step import Core
from podium.ports import Clock
from podium.ports.plane import Loaded, Store
from podium.server.loop.batches import CheckinBatch
from podium.server.loop.facts import restore_facts
from podium.server.loop.tickets import CheckinOutcome, Outcome, Tickets, as_answer, as_checkin, busy
from podium.wire.limits import Limits
from podium.wire.messages import CheckIn
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import Bug, OperatorFault, PodiumError, StoreFault

log = logging.getLogger("podium.loop")

RELOAD_FIRST_MS = 100
RELOAD_MAX_MS = 30_000

MakeEvent = Callable[[int], AnyEvent]
"""An event that only lacks its `at_ms`."""
AskEvent = Callable[[int, int], AnyEvent]
"""An event that only lacks its `at_ms` and `ticket`, in this order."""
TellLease = Callable[[int, int], Said]
"""A lease message that only lacks its `at_ms` and `ticket`, in this order."""


class StepWriter(Protocol):
    """What the loop needs of the writer thread (server/loop/writer.py)."""

    def put(self, step: Step) -> None:
        """Take a step with records; its number comes back as durable, in order, or the writer fails."""
        ...

    def reset(self) -> None:
        """After a failure: forget every step not written and start anew."""
        ...


class Role(Protocol):
    """Who carries out the sends that answer no request: the aggregation role (server/aggregation/role.py)."""

    def take(self, send: AnySend, state: State) -> None:
        """Carry out `send`, whose step is durable; never blocks."""
        ...

    def reset(self) -> None:
        """The core was dropped: forget what is under way; its results count for nothing."""
        ...


class Timer:
    """At most one call due later."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def due(self) -> bool:
        """Whether a call is due."""
        return self._handle is not None

    def set(self, delay_ms: int, call: Callable[[], None]) -> None:
        """Call after `delay_ms`, instead of what was due before."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_later(delay_ms / 1000, call)

    def cancel(self) -> None:
        """Nothing is due any more; also to be called by what was."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def load_core(store: Store, limits: Limits, now_ms: int) -> tuple[Core, Loaded]:
    """A core over what `store` holds and its devices told; any thread, while nothing is written.

    `StoreFault`; `OperatorFault` as of `check_open_runs`, or `usage` of a strategy of the users' own.
    """
    loaded = store.load()
    strategies = load_strategies()
    with _uncollected():
        core = Core(loaded.rows, step=loaded.step, at_ms=loaded.at_ms, limits=limits, strategies=strategies)
    check_open_runs(core.state)
    restore_facts(core.state, store, now_ms)
    return core, loaded


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: rows are in none, and a million of them would be gone through again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def check_open_runs(state: State) -> None:
    """Whether devices can be chosen for every run that goes on: it would break the core at the next check-in.

    `OperatorFault` names the run: its rules are compiled here for the first time by this release, and its strategy may
    be installed no more.
    """
    for run in state.runs.values():
        if run.state not in RUN_OPEN:
            continue
        task = state.tasks[run.task]
        try:
            state.eligibility_of(task)
            state.strategy_of(task)
        except OperatorFault as fault:
            raise OperatorFault(
                fault.code,
                what=f"run {run.id} of {task.task.task.name} goes on, and its task is refused: {fault.what}",
                why=fault.why,
                next=f"start this plane with what took the task (its release of Podium, the package of its strategy), "
                f"podium stop {run.id} there, and come back",
            ) from fault


class Loop:
    """Owns the core. Every method runs on the event loop's thread, unless it says otherwise."""

    def __init__(self, store: Store, clock: Clock, limits: Limits, writer: StepWriter, role: Role) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._writer = writer
        self._role = role
        self._core: Core | None = None
        self.broken: str = "starting"
        """Why the plane takes no requests now; "" while it serves."""
        self._fault: PodiumError | None = None
        self._tickets = Tickets(limits.requests_waiting_max)
        self._checkins = CheckinBatch()
        self._leases: list[tuple[int, TellLease]] = []
        self._inbox: deque[MakeEvent] = deque()
        self._pending: deque[Step] = deque()
        self._flushing, self._waking = Timer(), Timer()
        self._ahead = self._last_ms = self._failed_ms = self._failures = 0
        self.moved = 0  # steps with records so far: who draws the core looks whether it rose
        self.on_durable: Callable[[Step], None] = lambda step: None  # told before its sends go out; neither raises
        self.on_failed: Callable[[PodiumError], None] = lambda fault: None  # nor blocks, as this one (server/observe)
        self._reload: asyncio.Task[None] | None = None

    def now_ms(self) -> int:
        """The plane's monotonic time: the clock's, never below that of the last step."""
        return max(self._clock.now_ms(), self._last_ms)

    @property
    def state(self) -> State:
        """The core's rows, for reading only; raises `refusal` while the plane has no core."""
        if self._core is None or self.broken:
            raise self.refusal()
        return self._core.state

    def refusal(self) -> PodiumError:
        """What a request hears while the plane takes none: the store's own fault, made anew, or `overloaded`."""
        if isinstance(fault := self._fault, StoreFault):
            return StoreFault(fault.code, what=fault.what, why=fault.why, retryable=fault.retryable)
        return busy(self.broken or "the plane is loading")

    @property
    def waiting(self) -> int:
        """How many requests wait for an answer."""
        return len(self._tickets)

    @property
    def has_room(self) -> bool:
        """Whether an event told now is stepped at once."""
        return not self._inbox and self._ahead < self._limits.steps_ahead_max

    @property
    def steps_ahead(self) -> int:
        """How many steps with records are not durable yet."""
        return self._ahead

    async def start(self, prepare: Callable[[Core], list[MakeEvent]]) -> None:
        """Load the store and boot. `prepare` (server/boot.py) reconciles and names what the core must be told.

        `StoreFault` if the store cannot be read, `OperatorFault` as of `load_core`.
        """
        core, loaded = await asyncio.to_thread(load_core, self._store, self._limits, self.now_ms())
        now = self._clock.now_ms()
        down_ms = min(max(0, now - loaded.at_ms), self._limits.down_ms_max) if loaded.step else 0
        self._last_ms = max(now, loaded.at_ms)
        told = await asyncio.to_thread(prepare, core)
        self._boot(core, down_ms, told)

    def _boot(self, core: Core, down_ms: int, told: list[MakeEvent]) -> None:
        self._core = core
        self.broken, self._fault = "", None
        self._inbox.append(lambda at: Booted(at_ms=at, down_ms=down_ms))
        self._inbox.extend(told)
        self._pump()

    async def stop(self) -> None:
        """Refuse what is new, wait at most `drain_ms` for what is under way, then fail the rest."""
        self._flush()
        for _ in range(max(1, self._limits.drain_ms // 20)):
            if not self._pending and not self._tickets:
                break
            await asyncio.sleep(0.02)
        self.broken, self._fault = "the plane is stopping", None
        self._drop()
        if self._reload is not None:
            self._reload.cancel()

    async def check_in(self, device: int, epoch: int, told: CheckIn) -> CheckinOutcome:
        """Put one check-in into the batch and wait for its row's answer. Raises `refusal`, or `overloaded`."""
        ticket, future = self._wait()
        self._checkins.add(ticket, device, epoch, told)
        self._batched(len(self._checkins))
        return as_checkin(await future)

    async def tell_lease(self, make: TellLease) -> Answer:
        """Put one lease message into the batch and wait for its answer. Raises `refusal`, or `overloaded`."""
        ticket, future = self._wait()
        self._leases.append((ticket, make))
        self._batched(len(self._leases))
        return as_answer(await future)

    async def ask(self, make: AskEvent) -> Answer:
        """Tell one event with a ticket and wait for its answer. Raises `refusal`, or `overloaded`."""
        ticket, future = self._wait()
        self.tell(lambda at: make(at, ticket))
        return as_answer(await future)

    async def settled(self) -> None:
        """Wait until all that the core has decided so far is durable: before that nobody outside may hear of it.

        Raises as `refusal` says if it is lost instead.
        """
        if self._pending:
            ticket, future = self._wait()
            last = self._pending[-1]
            answered = (Answer(ticket=ticket, word="done"),)
            self._pending.append(msgspec.structs.replace(last, records=(), sends=answered))
            await future

    def tell(self, make: MakeEvent) -> None:
        """Tell one event that nobody waits for (its answers, if any, go nowhere)."""
        if self._core is None:
            return  # what the roles found before a reload is found again after it
        self._inbox.append(make)
        self._pump()

    def _wait(self) -> tuple[int, asyncio.Future[Outcome]]:
        if self._core is None or self.broken:
            raise self.refusal()
        return self._tickets.take()

    # -- batches and steps -----------------------------------------------------------------------------------

    def _batched(self, rows: int) -> None:
        if rows >= self._limits.batch_rows_max:
            self._flush()
        elif not self._flushing.due:
            self._flushing.set(self._limits.batch_ms, self._flush)

    def _flush(self) -> None:
        self._flushing.cancel()
        if self._ahead >= self._limits.steps_ahead_max:
            return  # `durable` comes back to it
        if self._leases:
            leases, self._leases = self._leases, []
            self._inbox.append(lambda at: LeasesTold(at_ms=at, rows=tuple(make(at, ticket) for ticket, make in leases)))
        if len(self._checkins):
            batch, self._checkins = self._checkins, CheckinBatch()
            self._inbox.append(lambda at: batch.event(at, self.waiting))
        self._pump()

    def _pump(self) -> None:
        """Step through the inbox as far as the store lets the core run ahead."""
        while self._inbox and self._core is not None and self._ahead < self._limits.steps_ahead_max:
            self._step(self._core, self._inbox.popleft())
        self._release(self._pending[0].number - 1 if self._pending else 0)

    def _step(self, core: Core, make: MakeEvent) -> None:
        self._last_ms = self.now_ms()
        try:
            step = core.step(make(self._last_ms))
        except Exception as error:  # the one supervised place: whatever broke the core, its memory is dropped
            log.critical("the core broke", exc_info=error)
            self.failed(error if isinstance(error, PodiumError) else Bug(repr(error)))
            return
        self._wake(step.wake_ms)
        if step.records:
            self.moved, self._ahead = self.moved + 1, self._ahead + 1
            self._writer.put(step)
        if step.records or step.sends:
            self._pending.append(step)

    def _wake(self, wake_ms: int) -> None:
        self._waking.cancel()
        if wake_ms >= 0:
            self._waking.set(max(1, wake_ms - self.now_ms()), self._woken)

    def _woken(self) -> None:
        self._waking.cancel()
        self.tell(lambda at: TimePassed(at_ms=at))

    # -- durable, or failed ----------------------------------------------------------------------------------

    def durable(self, number: int) -> None:
        """The writer made every step up to `number` durable: send what waited for it and go on."""
        if self._core is None:
            return
        self._failures = 0
        self._release(number)
        if not self._flushing.due and (self._leases or len(self._checkins)):
            self._flush()
        else:
            self._pump()

    def _release(self, number: int) -> None:
        """Send in order: steps up to `number`, and steps without records that no recorded step precedes."""
        while self._pending and (not self._pending[0].records or self._pending[0].number <= number):
            step = self._pending.popleft()
            self._ahead -= bool(step.records)
            self.on_durable(step)
            for send in step.sends:
                self._dispatch(send)

    def _dispatch(self, send: AnySend) -> None:
        if isinstance(send, Answer | CheckinAnswers):
            self._tickets.answer(send)
        elif self._core is not None:
            self._role.take(send, self._core.state)

    def failed(self, fault: PodiumError) -> None:
        """A commit failed, or its outcome is unknown, or the core broke: drop everything and reload."""
        if self._core is None:
            return
        log.error("the core is dropped and reloaded", extra={"code": fault.code, "why": fault.why})
        self.on_failed(fault)
        self._failed_ms = self.now_ms()
        self.broken, self._fault = f"{fault.code}: {fault.what}", fault
        self._drop()
        self._failures += 1
        self._reload = asyncio.get_running_loop().create_task(self._load_again())

    def _drop(self) -> None:
        self._core = None
        self._role.reset()
        self._inbox.clear()
        self._pending.clear()
        self._ahead = 0
        self._leases = []
        self._checkins = CheckinBatch()
        self._flushing.cancel()
        self._waking.cancel()
        self._tickets.fail(self.refusal())

    async def _load_again(self) -> None:
        """Reload with exponential backoff until the store can be read; a later failure lands in `failed` again."""
        while True:
            await asyncio.sleep(min(RELOAD_MAX_MS, RELOAD_FIRST_MS << min(self._failures, 10)) / 1000)
            try:
                core, loaded = await asyncio.to_thread(load_core, self._store, self._limits, self.now_ms())
                break
            except (StoreFault, OperatorFault) as fault:
                self._failures += 1
                self.broken, self._fault = f"{fault.code}: {fault.what}", fault
                log.error("the plane cannot be loaded", extra={"code": fault.code, "why": fault.why})
        self._writer.reset()
        self._last_ms = max(self._last_ms, loaded.at_ms)
        self._boot(core, min(self.now_ms() - self._failed_ms, self._limits.down_ms_max), [])


def note_denied(loop: Loop, subject: str, code: str) -> None:
    """Tell the core that `subject` was refused, unless the store is behind: refusals must not pile up."""
    if loop.has_room:
        loop.tell(lambda at: Denied(at_ms=at, subject=subject, code=code))
