"""When the devices of a simulation come: a calendar queue of columns.

Decides: which devices come until a moment, in order of (moment, device). Never: when a device should come, or whether
it stands here twice (the caller sees to that). A row is one int64, moment and device packed, so that numpy's vectorised
sort orders both at once. Buckets keep their rows unsorted; a bucket is sorted once, when its time comes, and what is
put into it after that waits beside it. So a row's cost does not depend on how many others stand here.
Limits: `DEVICES_MAX` devices, moments within `AT_MS_MAX` of the first clock (17 years); 8 bytes a row and at most half
as much again of slack.
Source: Brown 1988, "Calendar queues", for the buckets.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

DEVICE_BITS = 24
DEVICES_MAX = 1 << DEVICE_BITS
AT_MS_MAX = 1 << (63 - DEVICE_BITS)
ROWS_FIRST = 64


class Rows:
    """A column of packed rows that grows by half, so that a row costs at most twelve bytes."""

    __slots__ = ("_kept", "_rows")

    def __init__(self) -> None:
        self._rows: NDArray[np.int64] = np.empty(ROWS_FIRST, np.int64)
        self._kept = 0

    def add(self, rows: NDArray[np.int64]) -> None:
        """Append `rows`."""
        wanted = self._kept + len(rows)
        if wanted > len(self._rows):
            grown = np.empty(max(wanted, self._kept * 3 // 2), np.int64)
            grown[: self._kept] = self._rows[: self._kept]
            self._rows = grown
        self._rows[self._kept : wanted] = rows
        self._kept = wanted

    def rows(self) -> NDArray[np.int64]:
        """What is kept, a view."""
        return self._rows[: self._kept]

    def split(self, bound: int) -> NDArray[np.int64]:
        """Take out the rows below `bound`; the others stay in their order."""
        rows = self.rows()
        below = rows < bound
        taken = rows[below]
        left = rows[~below]
        self._kept = len(left)
        self._rows[: self._kept] = left
        return taken


class Calendar:
    """Devices and the moments at which they come, in buckets of `bucket_ms` (two minutes serve windows of seconds).

    Cost a row: two sorts of small int64 arrays and a copy, whatever the number of devices.
    """

    def __init__(self, bucket_ms: int) -> None:
        self._bucket_ms = bucket_ms
        self._shifted_ms = 0
        self._buckets: dict[int, Rows] = {}
        self._numbers: list[int] = []  # a heap of the keys of _buckets
        self._opened = -AT_MS_MAX  # buckets up to this one were opened: what is put there now goes to _late
        self._current: NDArray[np.int64] = np.empty(0, np.int64)  # sorted rows of the opened buckets
        self._late = Rows()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> None:
        """`devices` (int64, none of which stands here) come at `at_ms` (int64, same shape), past moments included.

        `ValueError` if a device or a moment is out of bounds.
        """
        if len(devices) == 0:
            return
        moments = at_ms - self._shifted_ms
        if int(devices.min()) < 0 or int(devices.max()) >= DEVICES_MAX:
            raise ValueError(f"device numbers are 0 to {DEVICES_MAX - 1}")
        if int(moments.min()) < -AT_MS_MAX or int(moments.max()) >= AT_MS_MAX:
            raise ValueError(f"moments are within {AT_MS_MAX} ms")
        rows = moments << DEVICE_BITS
        rows |= devices
        rows.sort()
        rows_bucket = (rows >> DEVICE_BITS) // self._bucket_ms
        cuts = [0, *(np.flatnonzero(np.diff(rows_bucket)) + 1).tolist(), len(rows)]
        for begin, end, number in zip(cuts, cuts[1:], rows_bucket[cuts[:-1]].tolist(), strict=False):
            self._rows_of(number).add(rows[begin:end])
        self._count += len(rows)

    def _rows_of(self, number: int) -> Rows:
        if number <= self._opened:
            return self._late
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = Rows()
            heapq.heappush(self._numbers, number)
        return bucket

    def take(self, until_ms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take out all that come at or before `until_ms`: (devices, moments), int64, sorted by (moment, device)."""
        until = until_ms - self._shifted_ms
        self._open(until // self._bucket_ms)
        bound = (until + 1) << DEVICE_BITS
        cut = int(np.searchsorted(self._current, bound))
        rows, self._current = self._current[:cut], self._current[cut:]
        if len(late := self._late.split(bound)):
            rows = np.concatenate((rows, late))
            rows.sort()
        self._count -= len(rows)
        return rows & (DEVICES_MAX - 1), (rows >> DEVICE_BITS) + self._shifted_ms

    def _open(self, number: int) -> None:
        """Sort the buckets up to `number`; each comes after those before it."""
        opened = [self._current] if len(self._current) else []
        while self._numbers and self._numbers[0] <= number:
            rows = self._buckets.pop(heapq.heappop(self._numbers)).rows()
            rows.sort()
            opened.append(rows)
        if opened:
            self._current = opened[0] if len(opened) == 1 else np.concatenate(opened)
        self._opened = max(self._opened, number)

    def earliest_ms(self) -> int:
        """The moment of the row that comes first, exactly. `ValueError` if there is none."""
        first = [int(self._current[0])] if len(self._current) else []
        if len(late := self._late.rows()):
            first.append(int(late.min()))
        if not first and self._numbers:
            first.append(int(self._buckets[self._numbers[0]].rows().min()))
        if not first:
            raise ValueError("nobody comes")
        return (min(first) >> DEVICE_BITS) + self._shifted_ms

    def shift(self, by_ms: int) -> None:
        """The clock jumped by `by_ms`: everybody comes as much later on it."""
        self._shifted_ms += by_ms
