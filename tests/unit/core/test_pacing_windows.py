"""Windows, arrivals and their band against numbers derived by hand."""

import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.draws import uniform
from podium.core.fleet.columns import Fleet
from podium.core.pacing.arrivals import ANCHOR_SWING, DAY_MS, QUARTER_MS, QUARTERS, Arrivals
from podium.core.pacing.pace import Pace
from podium.core.pacing.windows import (
    Kept,
    PaceView,
    gather_ms,
    kept_every_ms,
    longest_usual_ms,
    pressure,
    reach_ms,
    spread_ms,
    target_per_s,
    windows,
)
from podium.wire.limits import Limits

LIMITS = Limits()
MILLION = PaceView(awake=500_000, low=200_000, high=800_000, learned=True, seats=1_000)


def test_a_large_population_is_levelled() -> None:
    assert reach_ms(LIMITS, 800_000) == (300_000, 3_600_000)
    # three candidates for each of 10,000 seats within 20 s are 1,500 a second; 200,000 devices at 5 min are 667, of
    # which 95 % are planned for
    many = replace(MILLION, seats=10_000)
    assert target_per_s(LIMITS, many) == pytest.approx(200_000 / 300 * 0.95)
    assert spread_ms(LIMITS, many) == pytest.approx(500_000 / (200_000 / 300 * 0.95) * 1000)
    assert target_per_s(LIMITS, replace(MILLION, seats=2_000)) == 300.0, "what the seats need"
    assert spread_ms(LIMITS, replace(MILLION, seats=0)) == 3_600_000, "idle: the ceiling"
    # little is wanted: what the most devices come to at the ceiling
    assert target_per_s(LIMITS, MILLION) == pytest.approx(800_000 / 3600 / 0.95)
    # a swing of 36 is more than windows of 5 to 60 min level: the middle of 253 and 26.4 a second
    wide = replace(MILLION, low=800_000 / 36)
    most, least = 800_000 / 36 * 0.95 / 300, 800_000 / 3600 / 0.95
    assert target_per_s(LIMITS, wide) == pytest.approx((most * least) ** 0.5)


def test_never_more_than_the_plane_takes() -> None:
    huge = replace(MILLION, awake=40e6, low=40e6, high=40e6)
    assert spread_ms(LIMITS, huge) == 40e6 / 5_000 * 1000, "beyond the ceiling"
    assert spread_ms(LIMITS, replace(huge, seats=0)) == 40e6 / 5_000 * 1000


def test_what_is_in_between_returns_sooner() -> None:
    # 10,000 at 500 a second is 20 s; a twelfth of the ceiling
    assert reach_ms(LIMITS, 10_000) == (20_000, 240_000)
    assert reach_ms(LIMITS, 50) == (200, 2_400)


@pytest.mark.parametrize(
    ("queue", "rate", "expected"),
    [(0, 0.0, 1.0), (5_000, 5_000.0, 1.0), (12_500, 0.0, 2.5), (20_000, 0.0, 4.0), (90_000, 0.0, 4.0), (0, 15_000, 3)],
)
def test_overload_pushes_windows_out(queue: int, rate: float, expected: float) -> None:
    view = replace(MILLION, queue=queue, rate_per_s=rate)
    assert pressure(LIMITS, view) == expected
    devices, at = np.arange(20_000), np.zeros(20_000, np.int64)
    told = windows(LIMITS, view, devices, at)[1]
    # the standard error of the mean of +- 50 % is 0.2 %
    assert told.mean() == pytest.approx(spread_ms(LIMITS, MILLION) * expected, rel=0.01)
    assert told.max() <= LIMITS.window_max_ms


def test_both_windows_of_one_device_by_hand() -> None:
    one, at = np.array([7]), np.array([50])
    u = uniform(0, "return-window", np.array([7 * 1_000_003 + 50]))[0]
    mean = spread_ms(LIMITS, MILLION)
    served, otherwise = windows(LIMITS, replace(MILLION, apart_ms=5_000_000), one, at)
    assert otherwise[0] == int(0.5 * mean + u * mean)
    assert served[0] == 5_000_000
    now = Kept(starts_ms=np.array([0]), every_ms=np.array([5_000]))
    assert windows(LIMITS, MILLION, one, at, now)[1][0] == int(5_000 * (0.8 + 0.4 * u))
    # its round is not expected to start for 90 s: it comes then, spread over one pause, to the end of its jitter
    ahead = Kept(starts_ms=np.array([90_050]), every_ms=np.array([6_000]))
    assert windows(LIMITS, MILLION, one, at, ahead)[1][0] == 90_000 + int(6_000 * 1.2 * u)
    far = Kept(starts_ms=np.array([10**9]), every_ms=np.array([6_000]))
    assert windows(LIMITS, MILLION, one, at, far)[1][0] == otherwise[0], "never later than everybody"
    assert kept_every_ms(LIMITS, np.array([0, 80_000, 96_000])).tolist() == [5_000, 5_000, 6_000]
    assert LIMITS.window_reserved_ms * (1 + LIMITS.window_jitter) < LIMITS.reserve_ms, "a kept seat is not missed"


def test_small_populations_are_told_the_same_moments() -> None:
    view = PaceView(awake=200, low=1, high=1, learned=False, seats=50)
    devices, at = np.arange(200), 10_000 + np.arange(200)
    back = at + windows(LIMITS, view, devices, at)[1]
    assert back.min() >= 10_200
    assert back.max() <= 10_204, "within a fiftieth of 200 ms"
    # a sixteenth of 16 s is 1 s, and 800 ms the longest doubling of 200 within it
    at = 500 + np.array([0, 3_200, 6_399, 6_400, 16_000, 10**9])
    assert gather_ms(LIMITS, replace(view, since_ms=500), at).tolist() == [200, 200, 200, 400, 800, 3_200]
    assert gather_ms(LIMITS, view, at).tolist() == [200] * 6, "no round waits"
    assert gather_ms(LIMITS, replace(view, seats=0), at).tolist() == [3_200] * 6, "the longest doubling within 5 s"


def test_a_row_has_the_same_windows_in_every_batch() -> None:
    devices, at = np.arange(1_000), np.arange(1_000) * 37 + 10**12
    for view in (MILLION, PaceView(awake=50, low=1, high=1, learned=False, seats=5, since_ms=10**12 - 5_000)):
        kept = Kept(starts_ms=at + 900, every_ms=np.where(devices % 3 == 0, 5_000, 0))
        whole = windows(LIMITS, view, devices, at, kept)[1]
        parts = [
            windows(LIMITS, view, devices[part], at[part], Kept(kept.starts_ms[part], kept.every_ms[part]))[1]
            for part in (slice(k, k + 7) for k in range(0, 1_000, 7))
        ]
        np.testing.assert_array_equal(whole, np.concatenate(parts))


def day(arrivals: Arrivals, number: int, every_ms: int, waiting: int) -> None:
    """One day (from 0) with a check-in each `every_ms`, and so many waiting at each."""
    for at in range(number * DAY_MS, (number + 1) * DAY_MS, every_ms):
        arrivals.observe(np.array([at]))
        arrivals.note(at, waiting)


def test_a_steady_day() -> None:
    arrivals = Arrivals()
    assert (arrivals.rate_per_s(0), arrivals.band(5.0, 5.0)) == (0.0, (5.0 / ANCHOR_SWING, 5.0, False))
    day(arrivals, 0, 10_000, 60)
    assert arrivals.band(5.0, 100.0) == (60.0 / ANCHOR_SWING, 100.0, False), "who is enrolled is the most"
    # 94 quarters: the first began midway, for all that is known, and the last is not over
    assert arrivals.tomorrow() == (60.0, 60.0, True)
    day(arrivals, 1, 10_000, 80)
    assert arrivals.rate_per_s(12_345) == pytest.approx(0.1)
    assert arrivals.band(1.0, 100.0) == (60.0, 60.0, True), "as the day before was"
    assert arrivals.forecast(100_000, 100_000 + 5 * QUARTER_MS) == pytest.approx(450.0)
    assert arrivals.tomorrow()[:2] == (60.0, 80.0), "the last quarter of the first day is known since"


def test_too_little_of_a_day_tells_nothing() -> None:
    arrivals = Arrivals()
    for at in range(3 * 3_600_000, DAY_MS + QUARTER_MS, QUARTER_MS):
        arrivals.observe(np.array([at]))
        arrivals.note(at, 40)
    assert arrivals.band(5.0, 40.0) == (40.0 / ANCHOR_SWING, 40.0, False), "84 of 96 quarters"


def test_a_new_day_counts_three_tenths() -> None:
    arrivals = Arrivals()
    day(arrivals, 0, 10_000, 60)
    day(arrivals, 1, 10_000, 60)
    day(arrivals, 2, 5_000, 90)
    assert arrivals.counts[1] == pytest.approx(0.7 * 90 + 0.3 * 180)
    assert arrivals.waiting[1] == pytest.approx(0.7 * 60 + 0.3 * 90)


def test_a_long_silence_teaches_nothing() -> None:
    arrivals = Arrivals()
    day(arrivals, 0, 10_000, 60)
    day(arrivals, 1, 10_000, 60)
    known = arrivals.counts.copy()
    arrivals.observe(np.array([10 * DAY_MS]))
    np.testing.assert_array_equal(arrivals.counts, known)
    arrivals.observe(np.array([10 * DAY_MS + 3 * QUARTER_MS]))
    assert arrivals.counts[:4].round(6).tolist() == [90, 63, 63, 90], "a short one does, but not the quarter begun"


def test_the_middle_of_a_day_moves_only_for_what_is_far_off() -> None:
    arrivals = Arrivals()
    for at, waiting, anchor in ((0, 100, 100.0), (1, 430, 100.0), (2, 23, 100.0), (3, 450, 450.0), (4, 20, 20.0)):
        arrivals.note(at, waiting)
        assert arrivals.band(1.0, 10_000.0) == (anchor / ANCHOR_SWING, anchor * ANCHOR_SWING, False)


def test_batches_change_nothing() -> None:
    draws = np.random.default_rng(1)
    at = np.sort(draws.integers(0, 3 * DAY_MS, 5_000))
    whole, parts = Arrivals(), Arrivals()
    whole.observe(at)
    cuts = np.sort(draws.integers(0, 5_000, 300))
    for some in np.split(at, cuts):
        parts.observe(some)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    assert not np.isnan(whole.counts).any()
    assert QUARTERS == 96


def test_a_device_that_asks_a_hundred_times_a_second_waits_once() -> None:
    limits = Limits(rendezvous_devices_max=2, checkins_easy_per_s_max=1)
    pace, arrivals, fleet = Pace(limits), Arrivals(), Fleet()
    fleet.size = 1_000
    calm, longest, one = np.arange(100), longest_usual_ms(limits, 1_000), np.array([999])
    for start_ms in (0, longest):
        at = start_ms + calm
        pace.observe(arrivals, fleet, at)
        pace.tell(fleet, calm, at, np.full(100, 3_600_000))
        for moment in range(start_ms + 100, start_ms + 50_000, 10):
            pace.observe(arrivals, fleet, np.array([moment]))
            pace.tell(fleet, one, np.array([moment]), np.array([600_000 + moment % 7_000]))
        pace.look(arrivals, fleet, pace.due_ms, 10)
    assert pace.view(fleet, 10, -1).awake == 101


def test_who_waits_is_who_was_told_a_moment_to_come() -> None:
    limits = Limits(rendezvous_devices_max=2, checkins_easy_per_s_max=1)
    pace, arrivals, fleet = Pace(limits), Arrivals(), Fleet()
    fleet.size = 1_000
    seats = 10
    longest = longest_usual_ms(limits, 1_000)
    assert longest == 5_400_000, "60 min and a half"

    def minute(start_ms: int, told: int, window_ms: int, first: int = 0) -> PaceView:
        at = start_ms + np.arange(told)
        pace.observe(arrivals, fleet, at)
        pace.tell(fleet, first + np.arange(told), at, np.full(told, window_ms))
        pace.look(arrivals, fleet, pace.due_ms, seats)
        return pace.view(fleet, seats, -1)

    assert minute(0, 100, 6_000_000).awake == 1_000, "whoever is enrolled, until the longest window is over"
    later = minute(longest, 40, 100_000, first=100)
    assert later.awake == 140
    assert later.rate_per_s == pytest.approx(40 / 60)
    # the forty did not come; of a crowd that was heard lately the windows stay long enough for all of it to come back
    fleet.seen_ms = np.full(1_000, longest, np.int64)
    gone = minute(longest + 700_000, 1, 100_000)
    assert (gone.awake, gone.low, gone.high) == (3.0, 1 / ANCHOR_SWING, 1_000.0)
    assert minute(2 * longest + 700_000, 1, 100_000).awake == 1.0, "they are away"
    fleet.size += 7
    assert pace.view(fleet, seats, -1).awake == 8, "who enrolled since is awake"
