"""What a device has spent on a task: trainings and energy of a day, bytes of a month, and whether it may spend more.

Decides: what a lease costs, and who has nothing left. A lease counts in the day and month in which it was granted: an
offer that was not taken costs nothing, one that stands counts as a training already, so that no two can pass a bound.
Energy is a rough estimate: the time at work times `WORK_W`. Never: whose budget it is (the task's `select.budgets`).
Filled by every lease row that is put, in a step and at load alike, whatever the order.
Limits: a day is one of the plane's clock, a month 30 of them, so within any 24 hours over two days a device may spend
up to twice; 26 bytes a device and task with budgets; a training's bytes are known once it reported, so the last one of
a month is let in by the size of its base, up and down.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from podium.core.rows import LeaseRow
from podium.core.selection.experience import was_taken
from podium.tasks.task import Budgets

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
NEVER_MS = 1 << 62
"""When a device is free again of which a budget asks less than a single training takes."""
WORK_W = 5.0
"""A telephone that computes as fast as it can draws some 3 to 6 W, its radio included; other machines draw more."""

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class _Cost(NamedTuple):
    trainings: int
    bytes: int
    energy_wh: float


class Spent:
    """Columns by device number, of one task."""

    def __init__(self) -> None:
        self._day: NDArray[np.int32] = np.full(16, -1, np.int32)
        self._month: NDArray[np.int32] = np.full(16, -1, np.int32)
        self._trainings: NDArray[np.int32] = np.zeros(16, np.int32)
        self._energy_wh: NDArray[np.float32] = np.zeros(16, np.float32)
        self._bytes: Numbers = np.zeros(16, np.int64)

    def take(self, device: int, row: LeaseRow, before: LeaseRow | None, base_bytes: int) -> None:
        """Count what changed between `before` (None: nothing was known) and `row`; `base_bytes`: of its base."""
        self._grow(device + 1)
        was, now = _cost(before, base_bytes), _cost(row, base_bytes)
        day, month = row.granted_ms // DAY_MS, row.granted_ms // MONTH_MS
        if day > self._day[device]:
            self._day[device], self._trainings[device], self._energy_wh[device] = day, 0, 0.0
        if day == self._day[device]:
            self._trainings[device] += now.trainings - was.trainings
            self._energy_wh[device] += np.float32(now.energy_wh - was.energy_wh)
        if month > self._month[device]:
            self._month[device], self._bytes[device] = month, 0
        if month == self._month[device]:
            self._bytes[device] += now.bytes - was.bytes

    def over(self, budgets: Budgets, devices: Numbers, at_ms: Numbers, base_bytes: int) -> NDArray[np.bool_]:
        """Which of `devices` may begin no training at `at_ms` (int64, same shape) on a base of so many bytes."""
        today, lately = self._over(budgets, devices, at_ms, base_bytes)
        return today | lately

    def free_ms(self, budgets: Budgets, devices: Numbers, at_ms: Numbers, base_bytes: int) -> Numbers:
        """From when on each of `devices` may begin a training (int64): `at_ms` if it may then, else when its day or
        month is over; `NEVER_MS` if its budget is less than one training on such a base takes."""
        today, lately = self._over(budgets, devices, at_ms, base_bytes)
        if 0 < budgets.bytes_per_month < 2 * base_bytes:
            return np.full(len(devices), NEVER_MS)
        free = np.where(today, (at_ms // DAY_MS + 1) * DAY_MS, at_ms)
        later: Numbers = np.where(lately, (at_ms // MONTH_MS + 1) * MONTH_MS, free)
        return later

    def _over(self, budgets: Budgets, devices: Numbers, at_ms: Numbers, base_bytes: int) -> tuple[Mask, Mask]:
        """Which of `devices` have spent a budget of this day, and one of this month."""
        self._grow(int(devices.max(initial=0)) + 1)
        same = self._day[devices] == at_ms // DAY_MS
        today, lately = np.zeros(len(devices), np.bool_), np.zeros(len(devices), np.bool_)
        if budgets.trainings_per_day:
            today |= same & (self._trainings[devices] >= budgets.trainings_per_day)
        if budgets.energy_wh_per_day:
            today |= same & (self._energy_wh[devices] >= budgets.energy_wh_per_day)
        if budgets.bytes_per_month:
            moved = np.where(self._month[devices] == at_ms // MONTH_MS, self._bytes[devices], 0)
            lately |= moved + 2 * base_bytes > budgets.bytes_per_month
        return today, lately

    def _grow(self, size: int) -> None:
        if size <= len(self._day):
            return
        more = max(size, 2 * len(self._day)) - len(self._day)
        self._day = np.concatenate([self._day, np.full(more, -1, np.int32)])
        self._month = np.concatenate([self._month, np.full(more, -1, np.int32)])
        self._trainings = np.concatenate([self._trainings, np.zeros(more, np.int32)])
        self._energy_wh = np.concatenate([self._energy_wh, np.zeros(more, np.float32)])
        self._bytes = np.concatenate([self._bytes, np.zeros(more, np.int64)])


def _cost(row: LeaseRow | None, base_bytes: int) -> _Cost:
    if row is None:
        return _Cost(0, 0, 0.0)
    if not was_taken(row):
        return _Cost(int(row.state == "OFFERED"), 0, 0.0)
    until = row.reported_ms if row.reported_ms >= 0 else row.ended_ms
    work_ms = max(0, until - row.held_ms) if until >= 0 and row.held_ms >= 0 else 0
    return _Cost(1, base_bytes + row.upload_bytes, work_ms * WORK_W / 3_600_000)
