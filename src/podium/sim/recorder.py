"""What a simulation came to, gathered from the records that became durable and from who checked in.

Decides: how a round's cost is counted: bytes, and devices' time that was used or wasted; and the rate of check-ins over
the virtual day. Never: anything of the core. Costs a few columns, whatever the number of leases.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from podium.core.effects import Record
from podium.core.rows import LeaseRow, RoundRow
from podium.sim.report import RoundReport, SimReport

SLOT_MS = 900_000
"""Check-ins are counted by the quarter of an hour."""
SCORES = (0.0, 0.0)


class Recorder:
    """Takes records in order; `report()` tells what they came to."""

    def __init__(self, devices: int, load_down: int, number_of: Callable[[LeaseRow], int]) -> None:
        """`load_down`: bytes of a base version; `number_of`: whose lease it is."""
        self._devices = devices
        self._load_down = load_down
        self._number_of = number_of
        self.checkins = 0
        self.sessions = 0
        self.outcomes: dict[str, int] = {}
        self.abandoned: dict[str, int] = {}
        self.scores: dict[tuple[str, int], tuple[float, float]] = {}  # round -> accuracy, loss of the version it made
        self._rate: NDArray[np.int64] = np.zeros(96, np.int64)
        self._rounds: list[RoundReport] = []
        self._members: list[NDArray[np.int64]] = []
        self._accepted: dict[tuple[str, int], list[int]] = {}
        self._fresh()

    def _fresh(self) -> None:
        self._leases = self._up = self._down = self._used_ms = self._wasted_ms = 0

    def came(self, at: NDArray[np.int64], sessions: int) -> None:
        """Devices checked in at `at` (int64 ms, rising); `sessions` of them opened one."""
        self.checkins += len(at)
        self.sessions += sessions
        last = int(at[-1]) // SLOT_MS
        if last >= len(self._rate):
            self._rate = np.concatenate([self._rate, np.zeros(last + 1, np.int64)])
        first = int(at[0]) // SLOT_MS
        if first == last:
            self._rate[first] += len(at)
        else:
            self._rate[: last + 1] += np.bincount(at // SLOT_MS, minlength=last + 1)

    def take(self, records: tuple[Record, ...]) -> None:
        """Records that became durable."""
        for record in records:
            if record.kind == "lease-granted":
                self._leases += 1
                continue
            for row in record.rows:
                if isinstance(row, LeaseRow) and row.ended_ms >= 0:
                    self._ended(row)
                elif isinstance(row, RoundRow) and row.ended_ms >= 0:
                    self._over(row)

    def _ended(self, row: LeaseRow) -> None:
        self.outcomes[row.state] = self.outcomes.get(row.state, 0) + 1
        spent = max(0, row.ended_ms - row.held_ms) if row.held_ms >= 0 else 0
        if row.held_ms >= 0:
            self._down += self._load_down
        if row.reported_ms >= 0:
            self._up += row.upload_bytes
            spent = row.reported_ms - row.held_ms
        if row.state == "ACCEPTED":
            self._used_ms += spent
            self._accepted.setdefault((row.run, row.round), []).append(self._number_of(row))
        else:
            self._wasted_ms += spent

    def _over(self, row: RoundRow) -> None:
        key = (row.run, row.number)
        members = self._accepted.pop(key, [])
        if row.state != "SEALED":
            self.abandoned[row.reason] = self.abandoned.get(row.reason, 0) + 1
            return
        accuracy, loss = self.scores.pop(key, SCORES)
        self._members.append(np.array(sorted(members), np.int64))
        self._rounds.append(
            RoundReport(
                number=row.number,
                sealed_ms=row.ended_ms,
                accuracy=accuracy,
                loss=loss,
                leases=self._leases,
                accepted=len(members),
                bytes_up=self._up,
                bytes_down=self._down,
                device_ms_used=self._used_ms,
                device_ms_wasted=self._wasted_ms,
            )
        )
        self._fresh()

    def report(self) -> SimReport:
        """The sealed rounds so far."""
        return SimReport(tuple(self._rounds), tuple(self._members), self._devices)

    def rates(self, until_ms: int) -> list[float]:
        """Check-ins a second in each whole quarter of an hour before `until_ms`."""
        return [float(count) * 1000 / SLOT_MS for count in self._rate[: until_ms // SLOT_MS]]
