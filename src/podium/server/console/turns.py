"""Live pages are drawn one after the other, with rests between: watching costs a plane little, whatever is drawn.

Decides: when the next page may be drawn: after a rest of `REST` times the processor time that the last one took. Never:
which one (whoever came first) nor what it shows. A page that is asked for once does not wait here.
Limits: a rest of `REST_S_MAX`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

REST = 40
"""All drawing together takes at most 1/41 of the time: 2.5 % of a core."""
REST_S_MAX = 5.0


class Turns:
    """The turns of one plane's pages."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        used_s: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`used_s`: the processor time of the thread that draws; what it does for others meanwhile counts too."""
        self._now_s = now_s
        self._used_s = used_s
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._free_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Draw inside, when it is one's turn."""
        async with self._turn:
            await self._sleep(max(0.0, self._free_s - self._now_s()))
            before_s = self._used_s()
            try:
                yield
            finally:
                self._free_s = self._now_s() + min(REST_S_MAX, REST * (self._used_s() - before_s))
