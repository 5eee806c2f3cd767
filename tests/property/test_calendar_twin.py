"""The calendar against the definition: a heap of (moment, device)."""

import heapq
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.sim.calendar import AT_MS_MAX, DEVICES_MAX, Calendar

BUCKET_MS = 10
reached: Counter[str] = Counter()

PUT = st.tuples(st.just("put"), st.lists(st.integers(-25, 60), min_size=1, max_size=8))
TAKE = st.tuples(st.just("take"), st.lists(st.integers(0, 35), min_size=1, max_size=1))
SHIFT = st.tuples(st.just("shift"), st.lists(st.integers(-40, 40), min_size=1, max_size=1))


class Twin:
    """A calendar beside its naive model; `now` is the last moment taken."""

    def __init__(self) -> None:
        self.calendar = Calendar(BUCKET_MS)
        self.heap: list[tuple[int, int]] = []
        self.free = list(range(300))
        self.now = 0

    def put(self, later: list[int]) -> None:
        """Devices come at `now` plus each of `later`, past moments included."""
        devices = [self.free.pop() for _ in later[: len(self.free)]]
        moments = [self.now + each for each in later[: len(devices)]]
        for device, at in zip(devices, moments, strict=True):
            heapq.heappush(self.heap, (at, device))
            reached["into the past" if at <= self.now else "later"] += 1
            reached["into the opened bucket"] += self.now < at and at // BUCKET_MS == self.now // BUCKET_MS
            reached["equal moments"] += moments.count(at) > 1
        self.calendar.put(np.array(devices, np.int64), np.array(moments, np.int64))

    def take(self, by: list[int]) -> None:
        """Everybody up to `by` after now, in order."""
        before, self.now = self.now, self.now + by[0]
        expected = []
        while self.heap and self.heap[0][0] <= self.now:
            expected.append(heapq.heappop(self.heap))
        devices, moments = self.calendar.take(self.now)
        assert list(zip(moments.tolist(), devices.tolist(), strict=True)) == expected
        self.free += devices.tolist()
        reached["nobody" if not expected else "somebody"] += 1
        reached["across buckets"] += before // BUCKET_MS + 1 < self.now // BUCKET_MS and len(expected) > 1

    def shift(self, by: list[int]) -> None:
        """The clock jumps."""
        self.calendar.shift(by[0])
        self.now += by[0]
        self.heap = [(at + by[0], device) for at, device in self.heap]
        reached["shifted"] += len(self.heap) > 0

    def check(self) -> None:
        """Length and first moment."""
        assert len(self.calendar) == len(self.heap)
        if self.heap:
            assert self.calendar.earliest_ms() == self.heap[0][0]


@settings(max_examples=150)
@given(st.lists(st.one_of(PUT, PUT, TAKE, SHIFT), max_size=40))
def walk(acts: list[tuple[str, list[int]]]) -> None:
    twin = Twin()
    for name, values in acts:
        {"put": twin.put, "take": twin.take, "shift": twin.shift}[name](values)
        twin.check()
    twin.take([10_000])
    assert len(twin.calendar) == 0


def test_a_calendar_is_a_heap() -> None:
    reached.clear()
    walk()
    names = ("into the past", "later", "into the opened bucket", "equal moments", "nobody", "somebody")
    assert [name for name in (*names, "across buckets", "shifted") if reached[name] < 20] == []


def test_many_rows_come_in_order() -> None:
    """Enough for buckets to grow several times: 20,000 rows over 200 buckets, in windows of half a bucket."""
    draws = np.random.Generator(np.random.PCG64(5))
    calendar = Calendar(1_000)
    at = draws.integers(0, 200_000, 20_000)
    for batch in np.array_split(np.arange(20_000), 7):
        calendar.put(batch, at[batch])
    taken = [calendar.take(until) for until in range(500, 200_001, 500)]
    devices, moments = (np.concatenate([each[place] for each in taken]) for place in (0, 1))
    order = np.lexsort((np.arange(20_000), at))
    assert np.array_equal(devices, order)
    assert np.array_equal(moments, at[order])


def test_the_first_moment_of_nobody_is_refused() -> None:
    calendar = Calendar(BUCKET_MS)
    calendar.put(np.empty(0, np.int64), np.empty(0, np.int64))
    with pytest.raises(ValueError, match="nobody comes"):
        calendar.earliest_ms()
    assert [len(each) for each in calendar.take(1_000)] == [0, 0]


@pytest.mark.parametrize(("device", "at"), [(-1, 0), (DEVICES_MAX, 0), (0, AT_MS_MAX), (0, -AT_MS_MAX - 1)])
def test_what_does_not_fit_a_row_is_refused(device: int, at: int) -> None:
    with pytest.raises(ValueError, match=r"device numbers|moments"):
        Calendar(BUCKET_MS).put(np.array([device]), np.array([at]))


def test_the_widest_rows_fit() -> None:
    calendar = Calendar(BUCKET_MS)
    devices, at = np.array([0, DEVICES_MAX - 1]), np.array([-AT_MS_MAX, AT_MS_MAX - 1])
    calendar.put(devices, at)
    assert calendar.take(AT_MS_MAX - 2)[0].tolist() == [0]
    assert calendar.earliest_ms() == AT_MS_MAX - 1
