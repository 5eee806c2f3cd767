"""The fleet counted by architecture, operating system and state, whatever its size.

Decides: which state a device counts in (the gravest of them). Never: which devices they are. A count is one pass over
columns, and reads the fact sets only of devices that opened a session since the last one.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import NEVER
from podium.core.fleet.sets import FactSets
from podium.core.state import State
from podium.core.views.runs import ONLINE_MS
from podium.wire.operator import FleetCell, FleetView

STATES = ("at work", "online", "offline", "cordoned", "banned")
UNREAD = -2
"""No fact set: NEVER is the one of a device that has told none."""


class Census:
    """What one count leaves to the next: each device's platform, and the fact set that it was read from."""

    def __init__(self) -> None:
        self._platforms: list[tuple[str, str]] = []
        self._number: dict[tuple[str, str], int] = {}
        self._facts: FactSets | None = None
        self._read: NDArray[np.int32] = np.empty(0, np.int32)
        self._platform: NDArray[np.int64] = np.empty(0, np.int64)

    def count(self, state: State, now_ms: int) -> FleetView:
        """The devices of each platform in each state; cells of nobody are left out."""
        fleet, size = state.fleet, state.fleet.size
        standing = np.full(size, STATES.index("offline"), np.int64)
        seen = fleet.seen_ms[:size]
        standing[(seen != NEVER) & (seen >= now_ms - ONLINE_MS)] = STATES.index("online")
        standing[fleet.live[:size]] = STATES.index("at work")
        standing[fleet.cordoned[:size]] = STATES.index("cordoned")
        standing[fleet.banned[:size]] = STATES.index("banned")
        cells = self._platforms_now(fleet.facts, fleet.facts_id[:size]) * len(STATES) + standing
        counts = np.bincount(cells)  # a platform and a state are small numbers
        told = [self._cell(int(cell), int(counts[cell])) for cell in np.flatnonzero(counts)]
        weight: dict[tuple[str, str], int] = {}
        for cell in told:
            weight[cell.architecture, cell.os] = weight.get((cell.architecture, cell.os), 0) + cell.devices
        told.sort(key=lambda cell: (-weight[cell.architecture, cell.os], cell.architecture, cell.os))
        return FleetView(devices=size, cells=told)

    def _cell(self, cell: int, devices: int) -> FleetCell:
        platform, standing = divmod(cell, len(STATES))
        architecture, system = self._platforms[platform]
        return FleetCell(architecture=architecture, os=system, state=STATES[standing], devices=devices)

    def _platforms_now(self, sets: FactSets, facts: NDArray[np.int32]) -> NDArray[np.int64]:
        """The platform of each device; only those whose fact set changed since the last count are read again."""
        size = len(facts)
        if sets is not self._facts or len(self._read) > size:  # another core: its fact sets are numbered anew
            self._facts, self._read = sets, np.empty(0, np.int32)
            self._platform = np.empty(0, np.int64)
        more = size - len(self._read)
        self._read = np.concatenate([self._read, np.full(more, UNREAD, np.int32)])
        self._platform = np.concatenate([self._platform, np.zeros(more, np.int64)])
        changed = np.flatnonzero(self._read != facts)
        numbers, places = np.unique(facts[changed], return_inverse=True)
        platforms = np.array([self._platform_of(sets, int(number)) for number in numbers], np.int64)
        self._platform[changed] = platforms[places]
        self._read[changed] = facts[changed]
        return self._platform

    def _platform_of(self, sets: FactSets, number: int) -> int:
        facts = sets.of(number)
        platform = (str(facts.get("device.architecture", "")), str(facts.get("device.os", "")))
        if platform not in self._number:
            self._number[platform] = len(self._platforms)
            self._platforms.append(platform)
        return self._number[platform]
