"""The one writer thread: takes whole steps in order, makes them durable in groups, and runs the sequencer.

Decides: which steps share a commit (all that wait, at most `commit_steps_max`), and when entries get their places
(within `journal_merge_ms` of being durable). Never: what a step says, nor what follows a failure: after one it takes
nothing more until `reset`, because the core that made the waiting steps is gone.
Limits: `steps_ahead_max` steps wait at most; a full queue is a `Bug` of the caller, who counts what is under way.
"""

import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter

from podium.core.effects import Step
from podium.core.journal.tree import SALT_BYTES
from podium.ports import Clock, Entropy
from podium.ports.plane import Store
from podium.server.journal.sequencer import Sequencer
from podium.wire.limits import Limits
from podium.wire.problems import Bug, PodiumError


class Writer:
    """Call `start` once, `put` steps, `stop` once. Callbacks run on the writer thread."""

    def __init__(self, store: Store, entropy: Entropy, clock: Clock, sequencer: Sequencer, limits: Limits) -> None:
        self._store = store
        self._entropy = entropy
        self._clock = clock
        self._sequencer = sequencer
        self._limits = limits
        self._wake = threading.Condition()
        self._queue: deque[Step] = deque()
        self._failed = False
        self._stopping = False
        self._stale = False  # a failure may have left the sequencer behind the store
        self._place_at_ms = -1  # when the oldest unplaced entry is due; -1: none
        self._thread = threading.Thread(target=self._main, name="podium-writer", daemon=True)
        self.timed: Callable[[int, float], None] = lambda steps, seconds: None
        """Told of each commit: how many steps it made durable, and in how many seconds. On the writer thread."""
        self._on_durable: Callable[[int], None]
        self._on_failed: Callable[[PodiumError], None]

    def start(self, on_durable: Callable[[int], None], on_failed: Callable[[PodiumError], None]) -> None:
        """Rebuild the trees, place what a crash left without a place, then start the thread.

        `on_durable(number)`: every step up to `number` is durable. `on_failed(fault)`: nothing after the last durable
        one may be, and nothing is taken until `reset`. `StoreFault` or `OperatorFault(journal-broken)` from here.
        """
        self._on_durable, self._on_failed = on_durable, on_failed
        self._sequencer.load()
        self._sequencer.place()
        self._thread.start()

    def put(self, step: Step) -> None:
        """Take `step`; after a failure it is dropped, as all that follow the failed one until `reset`.

        `Bug` if more than `steps_ahead_max` wait, or if the thread has ended.
        """
        with self._wake:
            if self._stopping or not self._thread.is_alive():
                raise Bug(f"step {step.number} was put while no writer runs")
            if self._failed:
                return
            if len(self._queue) >= self._limits.steps_ahead_max:
                raise Bug(f"step {step.number} was put while {len(self._queue)} others wait")
            self._queue.append(step)
            self._wake.notify()

    def reset(self) -> None:
        """After a failure: forget every step not written and start anew."""
        with self._wake:
            self._queue.clear()
            self._failed = False
            self._wake.notify()

    def stop(self) -> None:
        """Write what waits, place and sign everything, end the thread; faults go to `on_failed` as before.

        A writer that never started has nothing to stop.
        """
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _main(self) -> None:
        ended = False
        try:
            self._run()
            ended = True
        finally:
            if not ended:  # the traceback is on its way to threading.excepthook; the plane must hear of it too
                self._on_failed(Bug("the writer thread ended"))

    def _run(self) -> None:
        while (steps := self._next()) is not None:
            try:
                self._work(steps)
            except PodiumError as fault:
                self._fail(fault)

    def _next(self) -> list[Step] | None:
        """The steps of the next commit, in order; none when only placing is due; None when all is done."""
        with self._wake:
            while True:
                if self._queue and not self._failed:
                    count = min(len(self._queue), self._limits.commit_steps_max)
                    return [self._queue.popleft() for _ in range(count)]
                if self._stopping:
                    return [] if self._place_at_ms >= 0 and not self._failed else None
                left_ms = self._place_at_ms - self._clock.now_ms()
                if self._failed or self._place_at_ms < 0:
                    self._wake.wait()
                elif left_ms <= 0:
                    return []
                else:
                    self._wake.wait(left_ms / 1000)

    def _work(self, steps: list[Step]) -> None:
        if steps:
            salts = [self._entropy.token(SALT_BYTES) for step in steps for _ in step.records]
            began = perf_counter()
            self._store.commit("steps", steps, salts)
            self.timed(len(steps), perf_counter() - began)
            if salts and self._place_at_ms < 0:
                # half of what is allowed: the other half is for the placing itself
                self._place_at_ms = self._clock.now_ms() + self._limits.journal_merge_ms // 2
            self._on_durable(steps[-1].number)
        if self._place_at_ms >= 0 and (self._stopping or self._clock.now_ms() >= self._place_at_ms):
            self._place()

    def _place(self) -> None:
        if self._stale:
            self._sequencer.load()
            self._stale = False
        self._sequencer.place()
        self._place_at_ms = -1

    def _fail(self, fault: PodiumError) -> None:
        """Take nothing more. What is durable without a place is placed after `reset`."""
        with self._wake:
            self._failed = True
            self._queue.clear()
            self._stale = True
            self._place_at_ms = self._clock.now_ms()
        self._on_failed(fault)
