"""What a simulation with real training came to, round by round, and how evenly it called on devices.

Decides: the shape of a report, and Gini's index. Never: how it is drawn (cli/simulation_pages.py).
Source: Gini 1912, by the sorted form of Dixon, Weiner, Mitchell-Olds and Woodley 1987, without their correction.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray


class RoundReport(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed round. Counts and sums are of all that happened since the round before was sealed.

    What abandoned rounds cost is so in the next sealed one. `accuracy` and `loss` are of the version it made, on the
    held-out examples. `device_ms_used`: devices' time on leases whose update was accepted; `device_ms_wasted`: on
    leases that brought nothing.
    """

    number: int
    sealed_ms: int
    accuracy: float
    loss: float
    leases: int
    accepted: int
    bytes_up: int
    bytes_down: int
    device_ms_used: int
    device_ms_wasted: int


@dataclass(frozen=True)
class SimReport:
    """The sealed rounds in order, the devices whose updates each accepted (int64), and how many devices there are."""

    rounds: tuple[RoundReport, ...]
    members: tuple[NDArray[np.int64], ...]
    devices: int

    def participation(self, rounds: int) -> NDArray[np.int64]:
        """How many updates of each device the first `rounds` rounds accepted, int64 [devices]."""
        held = np.concatenate([np.empty(0, np.int64), *self.members[:rounds]])
        return np.bincount(held, minlength=self.devices)


def gini(counts: NDArray[np.int64]) -> float:
    """Gini's index of non-negative `counts`: 0 if all are equal, (n - 1) / n if one has everything; 0 of nothing."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    ranks = np.arange(1, len(counts) + 1)
    return float(2 * (ranks * np.sort(counts)).sum() / (len(counts) * total) - (len(counts) + 1) / len(counts))
