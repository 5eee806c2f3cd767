"""What drawn rounds come to, by hand where all devices are alike."""

import msgspec
import numpy as np
import pytest

from podium.sim.drawn_rounds import Pool, Traffic, course_of
from podium.tasks.task import Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration

QUICK = Traffic(answer_ms=1_000, asks_ms=0.0, free_ms=0.0)


def a_task(over: float = 1.0, **terms: object) -> Task:
    """Rounds of ten, whose leases are over-selected by `over`."""
    usual: dict[str, object] = {"goal": 10, "stall": Duration(60_000), "report_deadline": Duration(600_000)}
    return Task(
        task=Head(name="kb", plan="a.b:c", purpose="test"),
        model=ModelSource(init="a.b:i"),
        select=Select(over=over),
        round=msgspec.convert({**usual, **terms}, Round),
        run=RunRules(rounds=3),
    )


def alike(took_ms: int, drop_out: float = 0.0, count: int = 400) -> Pool:
    """So many devices."""
    return Pool(
        took_ms=np.full(count, took_ms, np.int64),
        drop_out=np.full(count, drop_out, np.float32),
        classes=np.zeros(count, np.int16),
        there=count,
    )


def test_a_round_of_devices_that_are_alike() -> None:
    seen = course_of(a_task(), alike(10_000), QUICK)
    # asked at 0, told in the batch of 1 s; says yes 210 ms later, told in the batch of 2 s; at work for 10 s and heard
    # at 12.21 s; judged by 20.5 ms each after the batch of 13 s, so all in that of 14 s; summed and prepared: 16 s
    assert (seen.round_ms, seen.leases, seen.updates) == (16_000.0, 10.0, 10.0)
    assert [seen.lease_ms, seen.unused_ms, seen.away_ms, seen.loss_rate] == pytest.approx([11_000, 0, 11_000, 0])


def test_who_tells_of_its_progress_waits_for_an_answer_each_time() -> None:
    short = course_of(a_task(), alike(10_000), QUICK)
    told = course_of(a_task(stall=Duration(15_000)), alike(10_000), QUICK)
    assert told.lease_ms - short.lease_ms == pytest.approx(210 + 500)  # two pieces of 5 s: one word, half a batch


def test_who_is_not_needed_any_more_is_waste() -> None:
    pool = alike(10_000)
    pool.took_ms[:200] = 100_000
    seen = course_of(a_task(over=2.0), pool, QUICK)
    assert seen.leases >= 20 and 10 <= seen.updates < seen.leases
    assert seen.unused_ms > 0


def test_drop_outs_are_replaced_once_they_are_past_hope() -> None:
    none, some = (course_of(a_task(), alike(10_000, share), QUICK) for share in (0.0, 0.2))
    assert some.leases == pytest.approx(12.5, rel=0.1), "a fifth of them is lost, and each is replaced"
    assert some.updates == pytest.approx(10.0, rel=0.05)
    # the p95 of those that report is what each takes, so hope is over after 1.5 times 12.2 s; a few need it twice
    assert none.round_ms + 15_000 < some.round_ms < none.round_ms + 60_000
    assert 0.05 < some.loss_rate < 0.3
    assert some.away_ms > none.away_ms + 0.15 * 2 * 60_000, "who drops out stays away"


def test_devices_that_never_report_make_no_round() -> None:
    for pool, terms in ((alike(10_000, 1.0), {}), (alike(700_000), {"report_deadline": Duration(300_000)})):
        seen = course_of(a_task(**terms), pool, QUICK)
        assert (seen.updates, seen.loss_rate) == (0.0, 0.95)


def test_slow_devices_are_less_often_there() -> None:
    pool = alike(5_000, count=40)
    pool.took_ms[:20] = 55_000
    many = Pool(took_ms=pool.took_ms, drop_out=pool.drop_out, classes=pool.classes, there=40_000)
    few, plenty = (course_of(a_task(), each, QUICK) for each in (pool, many))
    assert few.lease_ms < plenty.lease_ms


def test_a_window_by_little_s_law() -> None:
    seen = course_of(a_task(mode="buffered", concurrency=40), alike(10_000), QUICK)
    # a seat gives an update each 12.21 s: ten of forty in 3.0525 s, and closing takes three and a half batches
    assert seen.round_ms == pytest.approx(12_210 / 4 + 3_500)
    assert seen.updates == pytest.approx(40 / 12.21 * (12.21 / 4 + 3.5))
    assert [seen.leases, seen.loss_rate] == pytest.approx([seen.updates, 0])
    lossy = course_of(a_task(mode="buffered", concurrency=40), alike(10_000, 0.25), QUICK)
    # a quarter of the seats lasts for 1.21 s and the stall of 60 s
    seat_ms = 0.75 * 12_210 + 0.25 * 61_210
    assert lossy.round_ms == pytest.approx(10 * seat_ms / (40 * 0.75) + 3_500)
    assert lossy.leases == pytest.approx(lossy.updates / 0.75)
