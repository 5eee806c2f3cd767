"""Which devices lost their last leases of a run one after the other, and until when each is left alone for it.

Decides: how long a device rests after each lease that came to nothing by its own doing (it lapsed, failed, was refused,
or was past hope when its round closed). One such lease is chance: of two and more in a row the rest is the task's
`stall`, then twice as long each time, at most `window_max_ms`. Then it is tried once more, as anybody is: an accepted
update clears it, so a repaired device is back after the rest that it has. Another run begins anew: a plan that fails
says nothing of another. Declining is the device's right and clears nothing, nor does what the plane took back.
Filled by every lease row that is put, in a step and at load alike, in the order in which leases ended.
Limits: 9 bytes a device and run, once one of its leases was lost.
Source: exponential back-off, as in the restarts of a crashing container (Kubernetes, CrashLoopBackOff).
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.rows import PAST_HOPE, LeaseRow

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

FREE = 1
"""So many losses in a row are no pattern: of devices that lose 8 % of their leases 0.6 % lose two in a row."""
_MOST = 40
"""Doublings beyond which every rest is the longest."""


class Losses:
    """Columns by device number, of one run: `in_a_row` uint8, `until_ms` int64 (-1: it need not rest).

    Their last element is nobody's, so that whoever is beyond them is looked up there.
    """

    def __init__(self) -> None:
        self._latest_ms = -1  # when nobody rests any more
        self.in_a_row: NDArray[np.uint8] = np.zeros(16, np.uint8)
        self.until_ms: Numbers = np.full(16, -1, np.int64)

    def take(self, device: int, row: LeaseRow, stall_ms: int, longest_ms: int) -> None:
        """Count `row`, the lease of `device` that just ended; its task's `stall`, and the longest rest, in ms."""
        if row.state == "ACCEPTED":
            if device < len(self.in_a_row):
                self.in_a_row[device], self.until_ms[device] = 0, -1
            return
        if row.state not in ("LAPSED", "FAILED", "REFUSED") and row.reason != PAST_HOPE:
            return
        self._grow(device + 2)
        lost = min(int(self.in_a_row[device]) + 1, _MOST)
        self.in_a_row[device] = lost
        if lost > FREE:
            until = row.ended_ms + min(stall_ms << (lost - FREE - 1), longest_ms)
            self.until_ms[device], self._latest_ms = until, max(until, self._latest_ms)

    def resting(self, devices: Numbers, at_ms: Numbers) -> Mask | None:
        """Which of `devices` are left alone at `at_ms` (int64, rising, same shape): bool; None: none of them is."""
        if len(at_ms) == 0 or self._latest_ms <= at_ms[0]:
            return None
        # hardly anybody: the wider column is looked at for these alone
        some = np.flatnonzero(self.in_a_row.take(devices, mode="clip") > FREE)
        if len(some) == 0:
            return None
        found = np.zeros(len(devices), np.bool_)
        found[some] = self.until_ms[devices[some]] > at_ms[some]
        return found

    def free_ms(self, devices: Numbers) -> Numbers:
        """Until when each of `devices` is left alone: int64, same shape; -1 if it never was."""
        return self.until_ms.take(devices, mode="clip")

    def _grow(self, size: int) -> None:
        if size <= len(self.in_a_row):
            return
        more = max(size, 2 * len(self.in_a_row)) - len(self.in_a_row)
        self.in_a_row = np.concatenate([self.in_a_row, np.zeros(more, np.uint8)])
        self.until_ms = np.concatenate([self.until_ms, np.full(more, -1, np.int64)])
