"""What the plane knows of its population when it says when to come back: looked at once a minute, held in between.

Decides: how many devices are awake, and over what silence a device still counts as one that comes back. Never: a window
(windows.py), nor what rounds want (rounds/wants.py): that changes with them, not with the minute.
Volatile by design: a plane that starts takes whoever is enrolled for awake until its longest window is over, so that a
herd after an outage is spread. Limits: one pass over the column of moments a minute, begun by a check-in, and none
while the whole population is small: it gathers, however many of it are awake.
"""

import numpy as np

from podium.core.deadlines import NONE
from podium.core.fleet.columns import NEVER, Fleet
from podium.core.pacing.arrivals import AWAY_MS, Arrivals, Numbers
from podium.core.pacing.windows import PaceView, longest_ms
from podium.wire.limits import Limits

PACE_MS = 60_000


class Pace:
    """`present` as of the last minute, and when the next one is over (`NONE` while nobody checks in)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.due_ms = int(NONE)
        self._present = PaceView(awake=0.0, low=0.0, high=0.0, learned=False)
        self._enrolled = 0  # devices when it was made; who enrolled since is awake
        self._count = 0
        self._began_ms = -1
        self._horizon_ms, self._until_ms = AWAY_MS, 0

    def small(self, fleet: Fleet) -> bool:
        """Whether all that are enrolled gather."""
        return fleet.size <= self._limits.rendezvous_devices_max

    def span_ms(self, fleet: Fleet) -> int:
        """Within how many ms of the next check-in this sets no timer that is due."""
        return PACE_MS if self.due_ms == NONE and not self.small(fleet) else int(NONE)

    def observe(self, arrivals: Arrivals, fleet: Fleet, at_ms: Numbers, before_ms: Numbers) -> None:
        """Check-ins at `at_ms` (int64, ascending) of devices last seen at `before_ms` (int64, -1 never), shape (n,)."""
        if len(at_ms) == 0 or self.small(fleet):
            return
        first = int(at_ms[0])
        if self._began_ms < 0:
            self._began_ms = first
        if self.due_ms == NONE:
            self.due_ms, self._count = first + PACE_MS, 0
        self._count += len(at_ms)
        arrivals.observe(at_ms, before_ms)

    def look(self, arrivals: Arrivals, fleet: Fleet, at_ms: int) -> None:
        """The minute is over: count who is awake."""
        longest = longest_ms(self._limits, self.view(fleet, 0, -1), at_ms)
        if longest >= self._horizon_ms or at_ms >= self._until_ms:
            # whoever was told the longer time may still come at its end
            self._horizon_ms, self._until_ms = max(longest, AWAY_MS), at_ms + longest
        seen = fleet.seen_ms[: fleet.size]
        heard = int(np.count_nonzero((seen != NEVER) & (seen >= at_ms - self._horizon_ms)))
        if at_ms - self._began_ms < longest:
            heard = fleet.size
        awake = arrivals.online(at_ms, heard)
        if heard > self._limits.rendezvous_devices_max:
            # few of them wait at any one time where they hardly ever come: a crowd it is all the same
            awake = max(awake, self._limits.rendezvous_devices_max + 1.0)
        low, high, learned = arrivals.band(awake)
        rate = self._count * 1000 / PACE_MS
        self._present = PaceView(awake=awake, low=low, high=high, learned=learned, rate_per_s=rate)
        self._enrolled, self.due_ms = fleet.size, int(NONE)

    def view(self, fleet: Fleet, seats: int, since_ms: int, apart_ms: int = 0) -> PaceView:
        """The present view, with what rounds want now."""
        held, more = self._present, fleet.size - self._enrolled
        awake = held.awake + more
        return PaceView(
            awake=awake,
            low=held.low if held.learned else held.low + more,
            high=held.high if held.learned else held.high + more,
            learned=held.learned,
            seats=seats,
            since_ms=since_ms,
            rate_per_s=held.rate_per_s,
            apart_ms=apart_ms,
        )
