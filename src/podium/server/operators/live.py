"""Views told anew as they change: drawn once for everybody who watches the same thing.

Decides: when a view is drawn again (the core moved, or time passed) and who hears of it. Never: what a view is, nor how
it is sent. A watcher who is slow misses what came between and gets the newest: at most one view waits for each.
Limits: `live_ms` between two drawings of one view, `viewers_max` watchers, `TIME_MS`, `BEAT_MS`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar, cast

from podium.server.loop.loop import Loop
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault, PodiumError

T = TypeVar("T")

TIME_MS = 2_000
"""A view of a plane that does not move is drawn again after this, for the ages and deadlines in it."""
BEAT_MS = 15_000
"""A watcher of a view that does not change gets it again after this: time to say that all is well, and to ask again
whether the watcher may still watch."""


class _Channel(Generic[T]):
    """One view and those who watch it."""

    def __init__(self, render: Callable[[], Awaitable[T]], loop: Loop) -> None:
        self._render = render
        self._loop = loop
        self._moved = -1
        self._drawn_ms = 0
        self.drawing: asyncio.Task[T] | None = None
        self.value: T
        self.waiting: set[asyncio.Event] = set()

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
            for event in self.waiting:
                event.set()
        return drawn


def _heard(task: asyncio.Task[object]) -> None:
    """A view that cannot be drawn now (the plane reloads) is drawn when it can: its watchers keep what they have."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, PodiumError):
        raise error


async def _news(woken: asyncio.Event) -> None:
    """Wait for something new, at most `BEAT_MS`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BEAT_MS / 1000):
            await woken.wait()


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

    async def subscribe(self, key: str, render: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
        """What `render` gives, now and whenever it changes; the same value again each `BEAT_MS` without a change.

        All who name the same `key` share one `render`, whoever's came first. The first value may raise what `render`
        raises, or `OperatorFault(viewers-full)`. Ends when the plane stops.
        """
        if self.viewers >= self._limits.viewers_max:
            raise OperatorFault("viewers-full", why=f"{self.viewers} watch, and {self._limits.viewers_max} may")
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(render, self._loop)
        woken = asyncio.Event()
        channel.waiting.add(woken)
        self.viewers += 1
        try:
            if not hasattr(channel, "value"):
                await asyncio.shield(channel.draw())
            self._tick()
            while not self._ended:
                woken.clear()
                yield cast(T, channel.value)  # whoever names a key draws the same
                await _news(woken)
        finally:
            self.viewers -= 1
            channel.waiting.discard(woken)
            if not channel.waiting and self._channels.get(key) is channel:
                del self._channels[key]

    def end(self) -> None:
        """The plane stops: every watch ends at once, and none begins."""
        self._ended = True
        for channel in self._channels.values():
            for event in channel.waiting:
                event.set()

    def _tick(self) -> None:
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.get_running_loop().create_task(self._ticks())

    async def _ticks(self) -> None:
        """For as long as anybody watches: one timer for all views."""
        while self._channels and not self._ended:
            await asyncio.sleep(self._limits.live_ms / 1000)
            for channel in list(self._channels.values()):
                channel.draw_if_due()
