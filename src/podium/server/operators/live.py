"""Views told anew as they change: drawn once for everybody who watches the same thing.

Decides: when a view is drawn again (the core moved, or time passed), who hears of it, and that a watch ends within a
second or so of its watcher's credential. Never: what a view is, nor how it is sent. A watcher who is slow misses what
came between and gets the newest: at most one view waits for each.
Limits: `live_ms` between two drawings of one view, `viewers_max` watchers, `beat_ms`, `TIME_MS`, `STILL_MS`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar, cast

from podium.server.loop.loop import Loop
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault, PodiumError

T = TypeVar("T")

TIME_MS = 2_000
"""A view of a plane that does not move is drawn again after this, for the ages and deadlines in it."""
STILL_MS = 1_000
"""Whether each watcher may still watch is asked this often."""
UNAUTHORIZED = 401
"""The status of faults that say a credential is over; a plane that reloads cannot tell, and ends nobody's watch."""

Still = Callable[[], object]
"""Raises once its watcher may watch no more."""


class _Watcher:
    """Somebody who watches: `woken` when there is something new, `fault` once it may watch no more."""

    def __init__(self, still: Still) -> None:
        self._still = still
        self.woken = asyncio.Event()
        self.fault: PodiumError | None = None

    def ask(self) -> None:
        """Whether it may still watch."""
        try:
            self._still()
        except PodiumError as fault:
            if fault.kind.status == UNAUTHORIZED:
                self.fault = fault
                self.woken.set()

    async def news(self, within_ms: int) -> None:
        """Wait for something new, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_ms / 1000):
                await self.woken.wait()


class _Channel(Generic[T]):
    """One view and those who watch it."""

    def __init__(self, render: Callable[[], Awaitable[T]], loop: Loop) -> None:
        self._render = render
        self._loop = loop
        self._moved = -1
        self._drawn_ms = 0
        self.drawing: asyncio.Task[T] | None = None
        self.value: T
        self.watchers: set[_Watcher] = set()

    def draw(self) -> asyncio.Task[T]:
        """Draw in a task of its own; what is being drawn already serves."""
        if self.drawing is None or self.drawing.done():
            self.drawing = asyncio.get_running_loop().create_task(self._draw())
        return self.drawing

    def draw_if_due(self) -> None:
        """Draw if the core moved since, or if time did."""
        if self.drawing is None or not self.drawing.done():
            return
        if self._loop.moved != self._moved or self._loop.now_ms() - self._drawn_ms >= TIME_MS:
            self.draw().add_done_callback(_heard)

    async def _draw(self) -> T:
        self._moved, self._drawn_ms = self._loop.moved, self._loop.now_ms()
        drawn = await self._render()
        await self._loop.settled()  # what was read may be ahead of the store
        if not hasattr(self, "value") or drawn != self.value:
            self.value = drawn
            for watcher in self.watchers:
                watcher.woken.set()
        return drawn


def _heard(task: asyncio.Task[object]) -> None:
    """A view that cannot be drawn now (the plane reloads) is drawn when it can: its watchers keep what they have."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, PodiumError):
        raise error


class Live:
    """Everything that is watched on one plane."""

    def __init__(self, loop: Loop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._channels: dict[str, _Channel[object]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._ended = False
        self.viewers = 0
        """How many watch now."""

    async def subscribe(self, key: str, render: Callable[[], Awaitable[T]], still: Still) -> AsyncGenerator[T, None]:
        """What `render` gives, now and whenever it changes; the same value again each `beat_ms` without a change.

        All who name the same `key` share one `render`, whoever's came first. The first value may raise what `render`
        raises, or `OperatorFault(viewers-full)`; any later one what `still` raises once the watcher may watch no more.
        Ends when the plane stops.
        """
        if self.viewers >= self._limits.viewers_max:
            raise OperatorFault("viewers-full", why=f"{self.viewers} watch, and {self._limits.viewers_max} may")
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(render, self._loop)
        watcher = _Watcher(still)
        channel.watchers.add(watcher)
        self.viewers += 1
        try:
            if not hasattr(channel, "value"):
                await asyncio.shield(channel.draw())
            self._tick()
            while not self._ended:
                watcher.woken.clear()
                yield cast(T, channel.value)  # whoever names a key draws the same
                await watcher.news(self._limits.beat_ms)
                if watcher.fault is not None:
                    raise watcher.fault
        finally:
            self.viewers -= 1
            channel.watchers.discard(watcher)
            if not channel.watchers and self._channels.get(key) is channel:
                del self._channels[key]

    def end(self) -> None:
        """The plane stops: every watch ends at once, and none begins."""
        self._ended = True
        for watcher in self._watchers():
            watcher.woken.set()

    def _watchers(self) -> list[_Watcher]:
        return [watcher for channel in self._channels.values() for watcher in channel.watchers]

    def _tick(self) -> None:
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.get_running_loop().create_task(self._ticks())

    async def _ticks(self) -> None:
        """For as long as anybody watches: one timer for all views."""
        asked_ms = self._loop.now_ms()
        while self._channels and not self._ended:
            await asyncio.sleep(self._limits.live_ms / 1000)
            for channel in list(self._channels.values()):
                channel.draw_if_due()
            if self._loop.now_ms() - asked_ms >= STILL_MS:
                asked_ms = self._loop.now_ms()
                for watcher in self._watchers():
                    watcher.ask()
