"""How many devices were online, over the last day: counted by the plane itself while it serves.

Decides: how often it counts and how long it remembers. Never: keeps it over a restart (what a device said last is
volatile too) nor which devices they were. Limits: one count each `COUNT_MS`, `COUNTS_MAX` of them: 24 hours.
"""

import asyncio
import contextlib
from collections import deque

from podium.core.views.fleet import online
from podium.server.loop.loop import Loop
from podium.wire.problems import PodiumError

COUNT_MS = 10_000
COUNTS_MAX = 8_640


class Presence:
    """The counts: (at_ms, devices online, devices at work), oldest first."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=COUNTS_MAX)

    async def run(self) -> None:
        """Count for ever; a plane without a core (it reloads) leaves a gap."""
        while True:
            with contextlib.suppress(PodiumError):  # nothing to count until the plane has loaded again
                self._counts.append(self._now())
            await asyncio.sleep(COUNT_MS / 1000)

    def _now(self) -> tuple[int, int, int]:
        state, now = self._loop.state, self._loop.now_ms()
        return now, online(state, now), len(state.live_lease)

    def moments(self) -> list[tuple[float, int, int]]:
        """(ms before now, online, at work), oldest first, the present one last."""
        present = self._now()
        return [(at - present[0], here, busy) for at, here, busy in [*self._counts, present]]
