"""When the devices of a synthetic fleet are there at all.

Decides: the moment at which a device that wants to check in can. "flat": always. "diurnal": some are always there, the
others for some hours around their night, so that at the peak four times as many are there as at the trough. From a
file: as its intervals say. Never: what a device does once it is there. Virtual time begins at midnight.
Source: the fourfold swing is that of Bonawitz et al. 2019, "Towards federated learning at scale", section 9.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import draw
from podium.sim.trace_files import Intervals, read_availability
from podium.wire.problems import OperatorFault

TRACES = ("flat", "diurnal")
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NIGHT_UNIT_MS = 2_000
"""Nights are kept as uint16 in this unit, of which a day has 43,200."""
NEVER_MS = 1 << 62
PHASE_MS = HOUR_MS
"""A trace's second device and those after it are as its first, later by a keyed draw of less than this."""


class Availability(Protocol):
    """When the devices of a fleet are there."""

    def next_ms(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first moment at or after `at_ms` at which each of `devices` is there; `NEVER_MS` if it comes no more.

        All arrays int64, of one shape.
        """
        ...


class AlwaysThere:
    """`flat`: everybody, always."""

    def next_ms(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """`at_ms`."""
        return at_ms


class NightlyThere:
    """`diurnal`: each device from `begin` for `length` a day (uint16, units of `NIGHT_UNIT_MS`; a day long: always)."""

    def __init__(self, begin: NDArray[np.uint16], length: NDArray[np.uint16]) -> None:
        self._begin = begin
        self._length = length

    def next_ms(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Availability`; every device comes within a day."""
        since = (at_ms - self._begin[devices] * np.int64(NIGHT_UNIT_MS)) % DAY_MS
        there = since < self._length[devices] * np.int64(NIGHT_UNIT_MS)
        return at_ms + np.where(there, 0, DAY_MS - since)


class TracedThere:
    """A file's intervals: device i has those of trace i modulo their number.

    The first to have a trace has it as it is, the others later by a keyed draw (`seed`) of less than `PHASE_MS`, so
    that day stays day and copies do not come together.
    """

    def __init__(self, intervals: Intervals, seed: int) -> None:
        self._seed = seed
        self._intervals = intervals
        self._span = int(intervals.ends.max()) + 1
        owners = np.repeat(np.arange(len(intervals.names)), np.diff(intervals.offsets))
        self._ends = owners * self._span + intervals.ends  # rising: traces in order, their intervals in order

    def next_ms(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Availability`."""
        kept = self._intervals
        trace = devices % len(kept.names)
        later = (draw(self._seed, "trace-phase", devices) % np.uint64(PHASE_MS)).astype(np.int64)
        later[devices < len(kept.names)] = 0
        asked = at_ms - later
        turn = asked // kept.period_ms * kept.period_ms if kept.period_ms else np.zeros_like(asked)
        moment = np.clip(asked - turn, 0, self._span - 1)
        found = np.searchsorted(self._ends, trace * self._span + moment, side="right")
        over = found >= kept.offsets[trace + 1]
        found[over] = kept.offsets[trace[over]]
        begins: NDArray[np.int64] = kept.starts[found] + turn + later
        begins[over] = begins[over] + kept.period_ms if kept.period_ms else NEVER_MS
        return np.maximum(begins, at_ms)


class Nights(Protocol):
    """A fleet whose devices have nights: columns as `NightlyThere` takes them."""

    night_begin: NDArray[np.uint16]
    night_length: NDArray[np.uint16]


def availability_of(trace: str, fleet: Nights, seed: int) -> Availability:
    """The availability that `trace` names for the devices of `fleet`: flat, diurnal, or a file of intervals.

    `OperatorFault(usage | file-unreadable)`.
    """
    if trace == "flat":
        return AlwaysThere()
    if trace == "diurnal":
        return NightlyThere(fleet.night_begin, fleet.night_length)
    if not trace.endswith((".csv", ".jsonl")):
        raise OperatorFault("usage", what=f"trace {trace!r}", why=f"the traces are {', '.join(TRACES)}, or a file")
    return TracedThere(read_availability(Path(trace)), seed)
