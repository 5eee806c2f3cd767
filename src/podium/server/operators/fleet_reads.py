"""The fleet as a whole: counted by platform and state, and how many devices were online over the last day.

Decides: how often presence is counted and how long it is remembered. Never: keeps it over a restart (what a device said
last is volatile too), nor which devices they were. Limits: one count each `COUNT_MS`, `COUNTS_MAX` of them (24 hours),
`POINTS_MAX` of them told at once.
"""

import asyncio
import contextlib
from collections import deque

import numpy as np

from podium.core.views.census import Census
from podium.core.views.fleet import online
from podium.server.loop.loop import Loop
from podium.server.operators.route_table import AnyRoute, Route
from podium.tasks.forecast import HOUR_MS, HOURS
from podium.wire.asks import Ask
from podium.wire.operator import FleetView, PresencePoint, PresenceView
from podium.wire.problems import PodiumError

COUNT_MS = 10_000
COUNTS_MAX = 8_640
POINTS_MAX = 240


class FleetReads:
    """The reading verbs of the whole fleet. `run` stands beside the plane for as long as it is open."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._census = Census()
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=COUNTS_MAX)

    async def run(self) -> None:
        """Count presence for ever; a plane without a core (it reloads) leaves a gap."""
        while True:
            with contextlib.suppress(PodiumError):  # nothing to count until the plane has loaded again
                self._counts.append(self._now())
            await asyncio.sleep(COUNT_MS / 1000)

    async def fleet(self) -> FleetView:
        """How many devices of each platform are in each state."""
        return self._census.count(self._loop.state, self._loop.now_ms())

    async def presence(self) -> PresenceView:
        """How many devices were online, back from now."""
        present = self._now()
        counts = [*self._counts, present]
        stride = -(-len(counts) // POINTS_MAX)
        points = [
            PresencePoint(age_ms=present[0] - at, online=here, at_work=busy)
            for at, here, busy in [*counts[:-1][::stride], present]
        ]
        return PresenceView(devices=len(self._loop.state.devices), points=points)

    def by_hour(self) -> list[float]:
        """The mean of devices online in each hour of the plane's day, NaN of those in which nobody counted."""
        counts = np.array(self._counts, np.int64).reshape(-1, 3)
        hours = counts[:, 0] // HOUR_MS % HOURS
        times = np.bincount(hours, minlength=HOURS)
        sums = np.bincount(hours, counts[:, 1], HOURS)
        means = np.divide(sums, times, out=np.full(HOURS, np.nan), where=times > 0)
        return [float(mean) for mean in means]

    def _now(self) -> tuple[int, int, int]:
        state, now = self._loop.state, self._loop.now_ms()
        return now, online(state, now), len(state.live_lease)


def fleet_routes(reads: FleetReads) -> list[AnyRoute]:
    """The rows of the operator API's table."""
    return [
        Route(
            method="GET",
            path="/api/v1/fleet",
            verb="devices.read",
            summary="The fleet counted by architecture, operating system and state",
            ask=Ask,
            answer=FleetView,
            watched=True,
            call=lambda call: reads.fleet(),
        ),
        Route(
            method="GET",
            path="/api/v1/fleet/presence",
            verb="devices.read",
            summary="How many devices were online, and at work, over the last day",
            ask=Ask,
            answer=PresenceView,
            watched=True,
            call=lambda call: reads.presence(),
        ),
    ]
