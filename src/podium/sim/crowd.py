"""The idle devices of a fleet: who comes when, with which session, and who waits for an answer.

Decides: the moment at which a device that is to come back does (when its trace lets it), and when its session is over.
Never: what the plane answers, nor how a lease is worked on (devices.py). All of it is columns and a calendar: a device
costs some 30 bytes, and a check-in the same whatever the size of the fleet.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.sim.calendar import Calendar
from podium.sim.traces import NEVER_MS, Availability

Devices = NDArray[np.int64]
Moments = NDArray[np.int64]

BUCKET_MS = 120_000
HOUR_MS = 3_600_000
FIRST_MS = 5_000
FIRST_MS_PER_DEVICE = 4
"""A fleet's first check-ins are spread over so long, `HOUR_MS` at most, as though the plane had been there before."""
RETRY_MS = (1_000, 2_500)
"""Who is not answered, or is told to open a session anew, comes back within so long."""


class Crowd:
    """`count` devices, none of which has come yet."""

    def __init__(self, count: int, availability: Availability, session_ms: int, seed: int) -> None:
        self.epoch: NDArray[np.int64] = np.zeros(count, np.int64)
        self._over_ms: NDArray[np.int64] = np.full(count, -1, np.int64)  # when its session is
        self._next_ms: NDArray[np.int64] = np.full(count, NEVER_MS)  # what else the calendar says of it is out of date
        self._waiting: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._availability = availability
        self._session_ms = session_ms
        self._seed = seed
        self._turn = 0
        self._calendar = Calendar(BUCKET_MS)
        self._singly: dict[int, int] = {}  # device -> when it comes back; put into the calendar together
        first = min(HOUR_MS, max(FIRST_MS, FIRST_MS_PER_DEVICE * count))
        every = np.arange(count)
        self.back(every, (uniform(seed, "first", every) * first).astype(np.int64))

    def back(self, devices: Devices, at_ms: Moments) -> None:
        """`devices` (int64, none twice) come at `at_ms` (int64), or once they are there, whatever was said before."""
        there = self._availability.next_ms(devices, at_ms)
        self._next_ms[devices] = there
        ever = there < NEVER_MS
        self._calendar.put(devices[ever], there[ever])

    def back_alone(self, device: int, at_ms: int) -> None:
        """As `back`, for one device."""
        self._singly[device] = at_ms

    def due(self, until_ms: int) -> tuple[Devices, Moments]:
        """Who comes until `until_ms`, by (moment, device); they wait for an answer from then on."""
        if self._singly:
            devices = np.fromiter(self._singly, np.int64, len(self._singly))
            at_ms = np.fromiter(self._singly.values(), np.int64, len(self._singly))
            self._singly.clear()
            self.back(devices, at_ms)
        devices, at_ms = self._calendar.take(until_ms)
        so = self._next_ms[devices] == at_ms
        so[1:] &= (devices[1:] != devices[:-1]) | (at_ms[1:] != at_ms[:-1])
        devices, at_ms = devices[so], at_ms[so]
        self._next_ms[devices] = NEVER_MS
        self._waiting[devices] = True
        return devices, at_ms

    def earliest_ms(self) -> int:
        """When the next one comes; very late if nobody does."""
        alone = min(self._singly.values(), default=NEVER_MS)
        return min(alone, self._calendar.earliest_ms() if len(self._calendar) else NEVER_MS)

    def answered(self, devices: Devices) -> None:
        """`devices` heard; those that are not put back are at work."""
        self._waiting[devices] = False

    def opening(self, devices: Devices, at_ms: Moments) -> Devices:
        """Which places of `devices` need a session at `at_ms`; they have one from then on."""
        places = np.flatnonzero(self._over_ms[devices] <= at_ms)
        fresh = devices[places]
        self.epoch[fresh] += 1
        self._over_ms[fresh] = at_ms[places] + self._session_ms
        return places

    def has_session(self, device: int) -> bool:
        """Whether it has opened one that the plane, as far as it knows, still knows."""
        return bool(self._over_ms[device] >= 0)

    def forget_sessions(self, devices: Devices) -> None:
        """The plane does not know their sessions: they open new ones when they come."""
        self._over_ms[devices] = -1

    def retry(self, devices: Devices, at_ms: int) -> None:
        """`devices` come back soon after `at_ms`, each after a while of its own."""
        self._turn += 1
        shortest, longest = RETRY_MS
        spread = uniform(self._seed, f"retry/{self._turn}", devices) * (longest - shortest)
        self.back(devices, at_ms + shortest + spread.astype(np.int64))

    def lost(self, until_ms: int) -> None:
        """The plane was away until then: who waited, or came meanwhile, hears nothing and comes again."""
        waited = np.flatnonzero(self._waiting)
        self._waiting[waited] = False
        came, _ = self.due(until_ms)
        self._waiting[came] = False
        self.retry(np.concatenate([waited, came]), until_ms)

    def shift(self, by_ms: int) -> None:
        """The plane's clock jumped: what is to come, comes as much later on it."""
        self._calendar.shift(by_ms)
        self._next_ms[self._next_ms < NEVER_MS] += by_ms
        self._singly = {device: at_ms + by_ms for device, at_ms in self._singly.items()}
        self._over_ms[self._over_ms >= 0] += by_ms
