"""Windows, arrivals and their band against numbers derived by hand."""

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.pacing.arrivals import DAY_MS, QUARTER_MS, QUARTERS, Arrivals
from podium.core.pacing.windows import PaceView, gather_ms, pressure, reach_ms, spread_ms, target_per_s, windows
from podium.wire.limits import Limits

LIMITS = Limits()
MILLION = PaceView(awake=500_000, low=200_000, high=800_000, learned=True, seats=1_000)


def test_a_large_population_is_levelled() -> None:
    assert reach_ms(LIMITS, 800_000) == (300_000, 3_600_000)
    # 3,000 a second are wanted; 200,000 devices at 5 min are 667, of which 95 % are planned for
    assert target_per_s(LIMITS, MILLION) == pytest.approx(200_000 / 300 * 0.95)
    assert spread_ms(LIMITS, MILLION) == pytest.approx(500_000 / (200_000 / 300 * 0.95) * 1000)
    assert spread_ms(LIMITS, replace(MILLION, seats=0)) == 3_600_000, "idle: the ceiling"
    # little is wanted: what the most devices come to at the ceiling
    assert target_per_s(LIMITS, replace(MILLION, seats=10)) == pytest.approx(800_000 / 3600 / 0.95)
    # not known yet: the middle of 5 and 60 min is sqrt(300) = 17.3 min
    cold = replace(MILLION, low=500_000, high=500_000, learned=False)
    assert spread_ms(LIMITS, cold) == pytest.approx(300**0.5 * 60_000)
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
    told = windows(LIMITS, view, devices, at, np.zeros(20_000, np.bool_))[1]
    # the standard error of the mean of +- 50 % is 0.2 %
    assert told.mean() == pytest.approx(spread_ms(LIMITS, MILLION) * expected, rel=0.01)
    assert told.max() <= LIMITS.window_max_ms


def test_both_windows_of_one_device_by_hand() -> None:
    one, at = np.array([7]), np.array([50])
    u = uniform(0, "return-window", np.array([7 * 1_000_003 + 50]))[0]
    mean = spread_ms(LIMITS, MILLION)
    served, otherwise = windows(LIMITS, replace(MILLION, apart_ms=5_000_000), one, at, np.array([False]))
    assert otherwise[0] == int(0.5 * mean + u * mean)
    assert served[0] == 5_000_000
    kept = windows(LIMITS, MILLION, one, at, np.array([True]))[1]
    assert kept[0] == int(5_000 * (0.8 + 0.4 * u))
    assert LIMITS.window_reserved_ms * (1 + LIMITS.window_jitter) < LIMITS.reserve_ms, "a kept seat is not missed"


def test_small_populations_are_told_the_same_moments() -> None:
    view = PaceView(awake=200, low=1, high=1, learned=False, seats=50)
    devices, at = np.arange(200), 10_000 + np.arange(200)
    back = at + windows(LIMITS, view, devices, at, np.zeros(200, np.bool_))[1]
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
        whole = windows(LIMITS, view, devices, at, devices % 3 == 0)[1]
        parts = [
            windows(LIMITS, view, devices[k : k + 7], at[k : k + 7], devices[k : k + 7] % 3 == 0)[1]
            for k in range(0, 1_000, 7)
        ]
        np.testing.assert_array_equal(whole, np.concatenate(parts))


def steady(days: int, every_ms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    at = np.arange(0, days * DAY_MS, every_ms)
    return at, at - 600_000


def test_a_steady_day() -> None:
    arrivals = Arrivals()
    assert (arrivals.rate_per_s(0), arrivals.online(0, 77), arrivals.band(5.0)) == (0.0, 77.0, (5.0, 5.0, False))
    at, before = steady(2, 10_000)
    arrivals.observe(at, before)
    # one each 10 s, last seen 10 min before: 60 wait
    assert arrivals.rate_per_s(12_345) == pytest.approx(0.1)
    assert arrivals.online(DAY_MS // 3, 1_000) == pytest.approx(60.0)
    assert arrivals.online(DAY_MS // 3, 50) == 50.0, "never more than there are"
    assert arrivals.band(1.0) == (60.0, 60.0, True)
    assert arrivals.forecast(100_000, 100_000 + 5 * QUARTER_MS) == pytest.approx(450.0)


def test_a_new_day_counts_three_tenths() -> None:
    arrivals = Arrivals()
    at, before = steady(2, 10_000)
    arrivals.observe(at, before)
    arrivals.observe(at[:8_640] * 1 + 2 * DAY_MS, before[:8_640] + 2 * DAY_MS)
    third = np.arange(3 * DAY_MS, 3 * DAY_MS + 2 * QUARTER_MS, 5_000)
    arrivals.observe(third, np.full(len(third), -1))
    assert arrivals.counts[0] == pytest.approx(0.7 * 90 + 0.3 * 180)
    assert arrivals.waiting[0] == pytest.approx(0.7 * 60), "who comes for the first time has not waited"


def test_a_long_silence_teaches_nothing() -> None:
    arrivals = Arrivals()
    at, before = steady(2, 10_000)
    arrivals.observe(at, before)
    known = arrivals.counts.copy()
    arrivals.observe(np.array([10 * DAY_MS]), np.array([-1]))
    np.testing.assert_array_equal(arrivals.counts, known)
    arrivals.observe(np.array([10 * DAY_MS + 3 * QUARTER_MS]), np.array([-1]))
    assert arrivals.counts[:4].round(6).tolist() == [90, 63, 63, 90], "a short one does, but not the quarter begun"


def test_batches_change_nothing() -> None:
    draws = np.random.default_rng(1)
    at = np.sort(draws.integers(0, 3 * DAY_MS, 5_000))
    before = at - draws.integers(0, 8_000_000, 5_000)
    whole, parts = Arrivals(), Arrivals()
    whole.observe(at, before)
    cuts = np.sort(draws.integers(0, 5_000, 300))
    for some, since in zip(np.split(at, cuts), np.split(before, cuts), strict=True):
        parts.observe(some, since)
    for name in ("counts", "waiting", "smooth"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert whole.anchor == parts.anchor
    assert not np.isnan(whole.smooth).any()
    assert QUARTERS == 96
