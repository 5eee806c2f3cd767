"""What a device says of its line is held to what the plane measured of it: by hand, and through decisions."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.effects import CheckinAnswers
from podium.core.fleet.claims import CLAIMS, MEASURED_BYTES_MIN, Claims, plausible, rate_mb_s
from podium.core.fleet.reliability import HALF_LIFE_HOURS, HOUR_MS
from podium.core.fleet.telemetry import telemetry
from podium.core.said import Transfer
from tests.contract.rows_made import lease as lease_row
from tests.support.core_drive import Drive
from tests.support.core_made import task

NAN = float("nan")
MEGABYTES_8 = {"bytes": 8_000_000, "ms": 2_000}  # 4 MB/s


def column(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


def measured(claims: Claims, device: int, at_ms: int = 0, **rates: float) -> None:
    """A lease of `device` that was reported at `at_ms`, an answer after 5 s, and `rates` in MB/s."""
    terms = {"granted_ms": at_ms, "held_ms": at_ms + 5_000, "reported_ms": at_ms, "ended_ms": -1, **rates}
    claims.learn(device, msgspec.structs.replace(lease_row(), **terms))


def held(claims: Claims, device: int, at_ms: int = 0, **told: float) -> tuple[float, ...]:
    """What the claims of `device` count as."""
    return counted(claims, device, at_ms, told)


def counted(claims: Claims, device: int, at_ms: int, told: dict[str, float]) -> tuple[float, ...]:
    levels = {name: column(value) for name, value in told.items()}
    result = claims.hold(ids(device), ids(at_ms), telemetry(1, levels), ids(0))
    return tuple(float(getattr(result.telemetry, name)[0]) for name in told)


def test_a_claim_is_clipped_to_its_bounds() -> None:
    claimed = column(5.0, 100.0, 0.1, -3.0, np.inf, 7.0, NAN, NAN)
    least, most = column(*[1.0] * 5, NAN, 1.0, NAN), column(*[16.0] * 5, NAN, 16.0, NAN)
    value, against = plausible(claimed, least, most)
    np.testing.assert_array_equal(value, column(5.0, 16.0, 1.0, 1.0, 16.0, 7.0, NAN, NAN))
    assert against.tolist() == [False, True, True, True, True, False, False, False]


def test_a_rate_is_bytes_by_time_and_small_transfers_tell_none() -> None:
    assert rate_mb_s(Transfer(bytes=8_000_000, ms=2_000)) == 4.0
    assert rate_mb_s(Transfer(bytes=MEASURED_BYTES_MIN, ms=1)) == 1049.0
    assert rate_mb_s(Transfer(bytes=MEASURED_BYTES_MIN - 1, ms=1)) == -1.0
    assert rate_mb_s(Transfer(bytes=8_000_000, ms=0)) == -1.0
    assert rate_mb_s(Transfer()) == -1.0


def test_who_was_never_measured_is_believed() -> None:
    claims = Claims()
    assert held(claims, 3, download_mb_s=1e6) == (1e6,)
    measured(claims, 3, download_mb_s=4.0)
    assert held(claims, 2, download_mb_s=1e6) == (1e6,), "another device's line says nothing of it"
    assert held(claims, 70, download_mb_s=1e6) == (1e6,), "nor of one beyond the columns"
    assert held(claims, 3, upload_mb_s=1e6) == (1e6,), "nor its download of its upload"
    assert claims.doubt(3) == ((), -1)


def test_bandwidth_is_within_four_times_what_was_measured() -> None:
    claims = Claims()
    measured(claims, 0, download_mb_s=4.0, upload_mb_s=2.0)
    assert held(claims, 0, download_mb_s=16.0, upload_mb_s=0.5) == (16.0, 0.5)
    assert held(claims, 0, download_mb_s=500.0, upload_mb_s=0.25) == (16.0, 0.5)
    # the next lease moves the estimate a quarter of the way: 4 + (8 - 4) / 4
    measured(claims, 0, download_mb_s=8.0)
    assert claims.of(0) == (5.0, 2.0, 5_000.0)
    assert held(claims, 0, download_mb_s=500.0) == (20.0,)


def test_latency_is_held_to_how_long_answers_took() -> None:
    claims = Claims()
    measured(claims, 0)  # 5 s: two round trips and up to 1 s of work
    assert held(claims, 0, latency_ms=500.0) == (500.0,)  # (5000 - 1000) / 2 / 4
    assert held(claims, 0, latency_ms=1.0) == (500.0,)
    assert held(claims, 0, latency_ms=10_000.0) == (10_000.0,)  # 5000 / 2 * 4
    assert held(claims, 0, latency_ms=1e7) == (10_000.0,)


def test_what_was_measured_binds_less_the_older_it_is() -> None:
    claims = Claims()
    measured(claims, 0, download_mb_s=4.0)
    later = HALF_LIFE_HOURS * HOUR_MS
    assert held(claims, 0, later, download_mb_s=500.0) == pytest.approx((32.0,))
    assert held(claims, 0, 10 * later, download_mb_s=500.0) == (500.0,)


def test_a_doubt_lasts_from_the_first_contradiction_to_the_first_check_in_that_holds() -> None:
    claims = Claims()
    measured(claims, 0, download_mb_s=4.0)
    held(claims, 0, 1_000, download_mb_s=500.0)
    assert claims.doubt(0) == (("download_mb_s",), 1_000)
    held(claims, 0, 2_000, download_mb_s=500.0, latency_ms=1.0)
    assert claims.doubt(0) == (("download_mb_s", "latency_ms"), 1_000)
    held(claims, 0, 3_000, latency_ms=800.0)
    assert claims.doubt(0) == ((), -1)
    held(claims, 0, 4_000, upload_mb_s=3.0)
    assert claims.doubt(0) == ((), -1)


def fast(when: str = "device.download_mb_s >= 20.0") -> Drive:
    """A plane that measured device 0 at 4 MB/s; its second round wants devices with a faster line."""
    drive = Drive()
    drive.begin(task(goal=1, rounds=1), devices=2)
    drive.check_in(0)
    drive.wake()
    lease = drive.lease(0)
    drive.accept(lease)
    drive.report(lease, downloaded=MEGABYTES_8)
    drive.work()
    drive.begin(task(goal=1, rounds=1, when=when), run="fast")
    return drive


def test_a_lie_moves_no_decision_and_is_counted_by_code() -> None:
    drive = fast()
    (told,) = drive.check_in(0, facts={"download_mb_s": 500.0})
    assert (told.reason, told.offer) == ("when", None)
    assert [send.against for send in drive.sent(CheckinAnswers) if send.against] == [{"download_mb_s": 1}]
    drive.wait(60_000)
    (counted,) = [record for record in drive.records if record.kind == "counted" and "contradicted" in str(record.why)]
    assert "claim-contradicted:download_mb_s=1" in str(counted.why["counts"])
    (told,) = drive.check_in(1, facts={"download_mb_s": 500.0})
    assert told.reason == "reserved", "who has no history is believed"


def test_what_rules_and_views_see_is_the_value_that_counts() -> None:
    drive = fast()
    drive.check_in(0, facts={"download_mb_s": 500.0})
    assert float(drive.state.fleet.telemetry.download_mb_s[0]) == 16.0


def test_a_reload_learns_in_the_order_of_reports_also_of_one_that_nobody_judged_yet() -> None:
    drive = Drive()
    for run, ms, judged in (("a", 1_000, True), ("b", 100_000, False)):  # 100 MB/s, then 1
        drive.begin(task(), 0 if run == "b" else 1, run)
        drive.check_in(0)
        drive.wait(400)
        lease = drive.lease(0)
        drive.accept(lease)
        drive.report(lease, downloaded={"bytes": 10**8, "ms": ms}, uploaded={"bytes": 0, "ms": 0})
        if judged:
            drive.work()
    # the second one counts as a quarter of the first, and moves it by a quarter of the way
    assert drive.state.claims.of(0).download == 100.0 - 0.25 * (100.0 - 25.0)
    drive.reload()
    assert drive.state.claims.of(0).download == 100.0 - 0.25 * (100.0 - 25.0)


def test_a_reload_knows_what_was_measured() -> None:
    drive = fast()
    before = drive.state.claims.of(0)
    drive.reload(1_000)
    np.testing.assert_array_equal(drive.state.claims.of(0), before)
    assert before.download == 4.0
    drive.open(0)
    (told,) = drive.check_in(0, facts={"download_mb_s": 500.0})
    assert told.reason == "when"


CLAIM = st.sampled_from([NAN, 0.0, 1e-6, 0.9, 1.0, 4.0, 16.0, 17.0, 1e6, 1e30, float("inf"), -1.0])
REACHED = {"contradicted": 0, "believed": 0, "unknown": 0}


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), CLAIM, CLAIM, CLAIM), min_size=1, max_size=12))
def test_no_claim_of_a_measured_device_counts_as_more_than_four_times(
    rows: list[tuple[int, float, float, float]],
) -> None:
    claims = Claims()
    for device in range(3):
        measured(claims, device, download_mb_s=4.0, upload_mb_s=4.0)
    for device, *told in rows:
        before = dict(zip(CLAIMS, told, strict=True))
        after = counted(claims, device, 0, before)
        for name, was, now in zip(CLAIMS, told, after, strict=True):
            if np.isnan(was):
                REACHED["unknown"] += 1
                assert np.isnan(now)
            elif device > 2:
                REACHED["believed"] += 1
                assert now == np.float32(was)
            else:
                REACHED["contradicted"] += now != np.float32(was)
                assert (500.0 if name == "latency_ms" else 1.0) <= now <= (10_000.0 if name == "latency_ms" else 16.0)
                assert (now != np.float32(was)) == (name in claims.doubt(device)[0])


def test_the_property_reached_its_cases() -> None:
    assert min(REACHED.values()) > 100, REACHED
