"""What the plane knows of its population when it says when to come back: looked at once a minute, held in between.

Decides: how many devices wait: those that were told a moment which is yet to come. A device that is gone does not come
then, and one that wakes up is counted with its first answer, so the number follows a day at once, and a herd does not
change it. Never: a window (windows.py), nor what rounds want (rounds/wants.py): that changes with them, not with the
minute.
Volatile by design: a plane that starts takes whoever is enrolled for awake until the longest usual window is over, so
that a herd after an outage is spread. Limits: one number for each 100 ms of `window_max_ms`, in whole devices, so that
cutting batches changes nothing, and 4 bytes a device; nothing is looked at while the whole population is small: it
gathers, however many of it are awake.
Source: devices waiting = arrival rate x time between check-ins (Little 1961, "A proof for the queuing formula L =
lambda W"): told a mean window of waiting / rate, they come at that rate.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.deadlines import NONE
from podium.core.fleet.columns import Fleet
from podium.core.pacing.arrivals import ANCHOR_SWING, DAY_MS, Arrivals, Numbers
from podium.core.pacing.windows import PaceView, longest_usual_ms, spread_ms
from podium.wire.limits import Limits

PACE_MS = 60_000
SLOT_MS = 100
AWAY_MS = 5_400_000
"""Who was heard within one and a half times the longest usual window may be there, be it that it works on a lease."""


class Pace:
    """`present` as of the last minute, and when the next one is over (`NONE` while nobody checks in)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.due_ms = int(NONE)
        self._present = PaceView(awake=0.0, low=0.0, high=0.0, learned=False)
        self._enrolled = 0  # devices when it was made; who enrolled since is awake
        self._count, self._queue = 0, 0  # check-ins since the minute began, and the longest queue then
        self._began_ms = -1
        self._told: NDArray[np.int64] = np.empty(0, np.int64)  # a ring: devices that are to come in each slot
        self._slot = 0  # the slots before are over
        # by device, the slot of its moment, counted from 1 where the first check-in came; 0: it was told none
        self._comes: NDArray[np.int32] = np.empty(0, np.int32)

    def small(self, fleet: Fleet) -> bool:
        """Whether all that are enrolled gather."""
        return fleet.size <= self._limits.rendezvous_devices_max

    def span_ms(self, fleet: Fleet) -> int:
        """Within how many ms of the next check-in this sets no timer that is due."""
        return PACE_MS if self.due_ms == NONE and not self.small(fleet) else int(NONE)

    def observe(self, arrivals: Arrivals, fleet: Fleet, at_ms: Numbers, queue: int = 0) -> None:
        """Check-ins at `at_ms` (int64, ascending), shape (n,), taken from a queue of so many requests."""
        if len(at_ms) == 0 or self.small(fleet):
            return
        first = int(at_ms[0])
        if self._began_ms < 0:
            self._began_ms = first
        if self.due_ms == NONE:
            self._pass(first)
            self.due_ms, self._count, self._queue = first + PACE_MS, 0, 0
        self._count += len(at_ms)
        self._queue = max(self._queue, queue)
        arrivals.observe(at_ms)

    def tell(self, fleet: Fleet, devices: Numbers, at_ms: Numbers, windows_ms: Numbers) -> None:
        """`devices`, none twice, that checked in at `at_ms`, as observed, come back after `windows_ms` (int64, (n,)).

        One that came before its moment waits for the new one alone: asking often makes nobody many.
        """
        if self.small(fleet) or self.due_ms == NONE:
            return
        if fleet.size > len(self._comes):
            more = max(fleet.size, 2 * len(self._comes)) - len(self._comes)
            self._comes = np.concatenate([self._comes, np.zeros(more, np.int32)])
        begun = self._began_ms // SLOT_MS - 1
        before, comes = self._comes[devices] + begun, (at_ms + windows_ms) // SLOT_MS
        np.subtract.at(self._told, before[before >= self._slot] % len(self._told), 1)
        np.add.at(self._told, comes % len(self._told), 1)
        self._comes[devices] = comes - begun

    def look(self, arrivals: Arrivals, fleet: Fleet, at_ms: int, seats: int) -> None:
        """The minute is over: count who waits. `seats`: what rounds want."""
        self._pass(at_ms)
        awake, crowd = float(fleet.size), 0.0
        if at_ms - self._began_ms >= longest_usual_ms(self._limits, fleet.size):
            waiting = int(self._told.sum())
            arrivals.note(at_ms, waiting)
            awake, few = float(waiting), self._limits.rendezvous_devices_max
            crowd = 0.0 if waiting > few else float(np.count_nonzero(fleet.seen_ms[: fleet.size] >= at_ms - AWAY_MS))
            if crowd > few:
                awake = few + 1.0
        view = self._of(awake, arrivals.band(awake, fleet.size), seats, crowd)
        tomorrow = self._of(awake, arrivals.tomorrow(), seats, crowd)
        if tomorrow.learned and at_ms % DAY_MS + spread_ms(self._limits, tomorrow) >= DAY_MS:
            view = tomorrow  # who is told a window of it comes when it is there
        self._present = view
        self._enrolled, self.due_ms = fleet.size, int(NONE)

    def _of(self, awake: float, band: tuple[float, float, bool], seats: int, crowd: float) -> PaceView:
        return PaceView(
            awake=awake,
            low=band[0],
            high=max(band[1], crowd),
            learned=band[2],
            seats=seats,
            queue=self._queue,
            rate_per_s=self._count * 1000 / PACE_MS,
        )

    def view(self, fleet: Fleet, seats: int, since_ms: int, apart_ms: int = 0) -> PaceView:
        """The present view, with what rounds want now."""
        held, more = self._present, fleet.size - self._enrolled
        awake = held.awake + more
        return PaceView(
            awake=awake,
            low=held.low if held.learned else held.low + more / ANCHOR_SWING,
            high=held.high if held.learned else held.high + more,
            learned=held.learned,
            seats=seats,
            since_ms=since_ms,
            queue=held.queue,
            rate_per_s=held.rate_per_s,
            apart_ms=apart_ms,
        )

    def _pass(self, at_ms: int) -> None:
        """Nobody waits any more for what is over by `at_ms`."""
        if len(self._told) == 0:
            self._told = np.zeros((self._limits.window_max_ms + 2 * PACE_MS) // SLOT_MS, np.int64)
        slot = at_ms // SLOT_MS + 1
        over = np.arange(max(self._slot, slot - len(self._told)), slot)
        self._told[over % len(self._told)] = 0
        self._slot = slot
