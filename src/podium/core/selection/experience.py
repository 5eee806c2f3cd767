"""What a run has learned of its devices from their leases: how useful, how fast, how often, and when last.

Decides: how a lease's row becomes the numbers that a strategy weighs. Never: what follows from them (strategies).
Filled by every lease row that is put, in a step and at load alike, whatever the order: of two reports the one of the
later round counts. Kept only for runs that are not over and whose strategy or fairness looks at it.
Limits: 24 bytes a device and run. What a device tells of itself is finite or counts as not told.
Source: the statistical utility is Oort's (Lai et al. 2021, section 4.2): examples * sqrt(mean squared loss).
"""

import math

import numpy as np
from numpy.typing import NDArray

from podium.core.rows import LeaseRow
from podium.tasks.selecting import is_own
from podium.tasks.task import Fairness, Select

GUIDED = ("oort", "power_of_choice")
NEVER = -1
SOME = 65_536
_MOST = 1e30


def heeds(select: Select) -> bool:
    """Whether who takes part depends on what the run learned."""
    return select.strategy in GUIDED or is_own(select.strategy) or select.fairness != Fairness()


class Experience:
    """Columns by device number: `utility`, `loss`, `duration_ms` float32 (NaN: not told), `last_round`, `times` int32.

    `times`: leases that the device took; `duration_ms`: of its last report, from grant to report.
    """

    def __init__(self) -> None:
        self.utility: NDArray[np.float32] = np.full(16, np.nan, np.float32)
        self.loss: NDArray[np.float32] = np.full(16, np.nan, np.float32)
        self.duration_ms: NDArray[np.float32] = np.full(16, np.nan, np.float32)
        self.last_round: NDArray[np.int32] = np.full(16, NEVER, np.int32)
        self.times: NDArray[np.int32] = np.zeros(16, np.int32)
        self._told: NDArray[np.int32] = np.full(16, NEVER, np.int32)  # the round of the last report

    def grow(self, size: int) -> None:
        """Let the columns hold `size` devices."""
        if size <= len(self.times):
            return
        more = max(size, 2 * len(self.times)) - len(self.times)
        for name, fill in (("utility", np.nan), ("loss", np.nan), ("duration_ms", np.nan), ("times", 0)):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.full(more, fill, column.dtype)]))
        self.last_round = np.concatenate([self.last_round, np.full(more, NEVER, np.int32)])
        self._told = np.concatenate([self._told, np.full(more, NEVER, np.int32)])

    def take(self, device: int, row: LeaseRow, before: LeaseRow | None) -> None:
        """Learn from what changed between `before` (None: nothing was known) and `row`, a lease of this run."""
        self.grow(device + 1)
        if was_taken(row) and not (before is not None and was_taken(before)):
            self.times[device] += 1
            self.last_round[device] = max(int(self.last_round[device]), row.round)
        accepted = row.state == "ACCEPTED" and (before is None or before.state != "ACCEPTED")
        if accepted and row.round > self._told[device]:
            self._told[device] = row.round
            self.utility[device], self.loss[device] = told_by(row)
            self.duration_ms[device] = row.reported_ms - row.granted_ms if row.reported_ms >= 0 else np.nan

    def utility_cap(self) -> float:
        """The 95th percentile of the told utilities, inf if none was told."""
        told = _some(self.utility)
        return float(np.percentile(told, 95)) if len(told) else math.inf

    def preferred_ms(self, otherwise: float) -> float:
        """The median of the durations, at least 1 ms; `otherwise` if none is known."""
        told = _some(self.duration_ms)
        return max(1.0, float(np.median(told))) if len(told) else otherwise


def _some(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """What was told; of very many devices of some `SOME`, whose quantiles are right to a fraction of a per cent."""
    told = (~np.isnan(column)).nonzero()[0]
    return column[told[:: max(1, len(told) // SOME)]]


def was_taken(row: LeaseRow) -> bool:
    """Whether the device accepted the offer; a row of release 0.1.0 tells it by its report alone."""
    return row.held_ms >= 0 or row.report != ""


def told_by(row: LeaseRow) -> tuple[float, float]:
    """(utility, mean loss) that an accepted lease's metrics tell; NaN: not told.

    The utility is examples * sqrt(mean squared loss) of `squared_loss`, or, if only `loss` is told, weight * |loss|.
    """
    loss, squared = _mean(row, "loss"), _mean(row, "squared_loss")
    told = squared >= 0.0
    utility = row.metrics["squared_loss"][1] * math.sqrt(squared) if told else row.weight * abs(loss)
    return (min(utility, _MOST) if utility >= 0.0 else math.nan), loss


def _mean(row: LeaseRow, metric: str) -> float:
    over, under = row.metrics.get(metric, (math.nan, math.nan))
    mean = over / under if under > 0 else math.nan
    return mean if abs(mean) <= _MOST else math.nan
