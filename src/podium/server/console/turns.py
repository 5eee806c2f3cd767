"""Live pages are drawn one after the other, with rests between: watching costs a plane little, whatever is drawn.

Decides: when the next page may be drawn: once the last one has rested `REST` times as long as it took. Never: which one
(whoever came first) nor what it shows. A page that is asked for once does not wait here.
Limits: a rest of `REST_S_MAX`, for a drawing that took long because the machine did.
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
        self, now_s: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._now_s = now_s
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._free_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Draw inside, when it is one's turn."""
        async with self._turn:
            await self._sleep(max(0.0, self._free_s - self._now_s()))
            began_s = self._now_s()
            try:
                yield
            finally:
                ended_s = self._now_s()
                self._free_s = ended_s + min(REST_S_MAX, REST * (ended_s - began_s))
