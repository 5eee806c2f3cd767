"""The working memory of one open round: who stands in it, who was nominated, who was told what.

Decides: nothing; the state (state.py) puts lease rows into it, and the rooms of rounds and selection note the rest.
Volatile but for the leases, which a load makes again of their rows. Columns by device number, grown on demand.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import LeaseRow
from podium.core.selection.quotas import Slices
from podium.core.selection.seats import Keys, Seats
from podium.core.selection.strata import Strata
from podium.core.selection.strategies.strategy import RoundAsk

BARRED = 255
"""`OpenRound.attempts` of a device that may take no further lease in this round."""
_AGAIN = (*LEASE_LIVE, "LAPSED", "DECLINED", "FAILED")
"""After a lease that ended so a device may take another one in the round."""


class OpenRound:
    """The working memory of one open round; columns by device number, grown on demand."""

    def __init__(self) -> None:
        self.leases: dict[str, LeaseRow] = {}
        self.count: dict[str, int] = {}  # lease state -> leases
        self.attempts: NDArray[np.uint8] = np.zeros(16, np.uint8)
        self.reason: NDArray[np.int16] = np.full(16, -1, np.int16)
        self.nominated: NDArray[np.bool_] = np.zeros(16, np.bool_)
        self.nominees = 0
        self.seats: Seats | None = None  # these three from a forming round's first nominee on
        self.ask: RoundAsk | None = None
        self.strata: Strata | None = None
        self.reserved: set[int] = set()
        self.reserved_until_ms = -1  # when nobody is waited for any more
        self.cutoffs: Keys | None = None  # these two as they were last leased to gateways; None with one gateway
        self.slices: Slices | None = None
        self.standing: dict[int, int] = {}  # fact set -> reason code; fact sets are never numbered twice
        self.ready_ms = -1  # when a forming round may start: its minimum is there and has settled
        self.finishing = False
        self.wanted = (0, 0.0, 0)  # updates that are missing, loss rate -> leases, as they were last asked for
        self.hopes: deque[tuple[int, str]] = deque()  # when each live lease is past hope, the earliest first
        self.late: set[str] = set()  # live leases past hope
        self.filled = False  # no lease that begins now can report in time

    def grow(self, size: int) -> None:
        """Let the columns hold `size` devices."""
        if size <= len(self.attempts):
            return
        room = max(size, 2 * len(self.attempts)) - len(self.attempts)
        self.attempts = np.concatenate([self.attempts, np.zeros(room, np.uint8)])
        self.reason = np.concatenate([self.reason, np.full(room, -1, np.int16)])
        self.nominated = np.concatenate([self.nominated, np.zeros(room, np.bool_)])

    def add(self, device: int, lease: LeaseRow) -> None:
        """`lease`, of `device`, stands in this round from now on."""
        self.leases[lease.id] = lease
        self.count[lease.state] = self.count.get(lease.state, 0) + 1
        self.grow(device + 1)
        self.attempts[device] += self.attempts[device] < BARRED

    def put(self, device: int, row: LeaseRow, before: LeaseRow | None) -> None:
        """Let `row` be the present one of a lease of `device`; `before`: the last one, None if it was in no round."""
        if row.state not in LEASE_LIVE:
            self.late.discard(row.id)
        if before is None:
            self.add(device, row)
        else:
            self.leases[row.id] = row
            self.count[before.state] -= 1
            self.count[row.state] = self.count.get(row.state, 0) + 1
        if row.state not in _AGAIN:
            self.attempts[device] = BARRED

    def live(self) -> int:
        """Leases OFFERED or HELD."""
        return sum(self.count.get(state, 0) for state in LEASE_LIVE)

    def stored(self) -> int:
        """Leases REPORTED or ACCEPTED: updates that are durable."""
        return sum(self.count.get(state, 0) for state in LEASE_STORED)
