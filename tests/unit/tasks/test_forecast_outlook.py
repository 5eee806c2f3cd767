"""What is expected of a run on a fleet, by hand: pace, bytes, waste, energy, and what binds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.tasks.forecast import PACES, Evidence, Outlook, forecast, leases_expected, power_w
from podium.tasks.task import Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration

HOUR = 3_600_000
TASK = Task(
    task=Head(name="kb", plan="a.b:c", purpose="test"),
    model=ModelSource(init="a.b:i"),
    select=Select(over=1.25),
    round=Round(goal=80, minimum=60, report_deadline=Duration(600_000)),
    run=RunRules(rounds=48, deadline=Duration(30 * 24 * HOUR), abandoned_max=200),
)
SEEN = Evidence(
    source="history",
    devices=1_000,
    sampled=1_000,
    fit=800,
    now=200,
    resting=0,
    hour=0,
    hours=[200] * 24,
    held={"false: device.charging": 200},
    rounds_seen=12,
    loss_rate=0.2,
    round_ms=900_000,
    lease_ms=360_000,
    leases=100.0,
    updates=80.0,
    unused_ms=540_000,
    paced=[],
    power_w=4.0,
    assumed=[],
)


def told(task: Task = TASK, **seen: object) -> Outlook:
    """The outlook of `task` on `SEEN` with other words."""
    expected = forecast(task, 1_000, 1_200, msgspec.structs.replace(SEEN, **seen)).expected
    assert expected is not None
    return expected


def ruled(**terms: object) -> Task:
    """`TASK` with other rules of its run or select."""
    run = {name: value for name, value in terms.items() if name in RunRules.__struct_fields__}
    select = {name: value for name, value in terms.items() if name in Select.__struct_fields__}
    return msgspec.structs.replace(
        TASK,
        run=msgspec.structs.replace(TASK.run, **run),
        select=msgspec.structs.replace(TASK.select, **select),
    )


def test_bytes_work_waste_and_energy() -> None:
    seen = told()
    assert (seen.round_down_bytes, seen.round_up_bytes) == (100_000, 96_000)  # 100 leases, 80 updates
    assert (seen.run_down_bytes, seen.run_up_bytes) == (4_800_000, 4_608_000)
    # 48 rounds of 80 leases of a tenth of an hour, and of 20 that bring nothing in 0.15 h
    assert seen.device_hours == pytest.approx(384 + 144)
    assert [seen.wasted_leases, seen.wasted_device_hours] == pytest.approx([960, 144])
    assert seen.energy_wh == pytest.approx(2_112)  # 528 h at 4 W
    unknown = forecast(TASK, seen=SEEN).expected
    assert unknown is not None and unknown.run_down_bytes == unknown.run_up_bytes == -1


def test_a_window_costs_what_its_goal_does_whatever_is_at_work() -> None:
    windows = msgspec.structs.replace(
        TASK, select=Select(), round=Round(mode="buffered", goal=80, minimum=60, concurrency=300)
    )
    assert leases_expected(windows, 0.2) == pytest.approx(100)  # 80 report, of 100 a fifth are lost
    bound = forecast(windows, 1_000, 1_200)
    assert (bound.devices_least, bound.devices_most) == (300, 300)


def test_a_round_takes_its_time_one_after_the_other() -> None:
    seen = told()
    assert seen.rounds_per_hour == [4.0] * 24  # of a quarter of an hour each
    assert (seen.run_ms, seen.go, seen.binds) == (12 * HOUR, True, "rounds")


def test_hours_without_enough_devices_are_waited_out() -> None:
    seen = told(hours=[200] * 6 + [59] * 18)
    assert (sum(seen.rounds_per_hour), seen.binds, seen.go) == (24.0, "hours", True)
    assert seen.run_ms == 30 * HOUR  # 24 rounds in the six hours of the first day, 24 in those of the next
    assert "in 18 of 24 hours" in seen.why
    assert told(hours=[200] + [-1] * 23).rounds_per_hour == [4.0] * 24, "what was not seen is as now"


def test_separation_sets_the_pace_of_a_small_fleet() -> None:
    seen = told(ruled(separation=Duration(4 * HOUR)))
    assert seen.rounds_per_hour == [pytest.approx(0.5)] * 24  # 200 devices, each once in 4 h, 100 a round
    assert (seen.binds, seen.run_ms) == ("separation", 96 * HOUR)


def test_an_hour_has_as_many_rounds_as_the_evidence_says() -> None:
    seen = told(ruled(separation=Duration(4 * HOUR)), paced=[3.0, 1.0] * 12)
    assert seen.rounds_per_hour == [3.0, 1.0] * 12
    assert (seen.binds, seen.run_ms) == ("separation", 24 * HOUR)


def test_a_gap_in_which_too_many_rounds_would_be_given_up_is_a_no() -> None:
    quiet = [200] * 6 + [59] * 18  # a round is given up after ten minutes: 108 in a row
    assert (told(ruled(abandoned_max=108), hours=quiet).binds, told(ruled(abandoned_max=109), hours=quiet).binds) == (
        "gaps",
        "hours",
    )
    seen = told(ruled(abandoned_max=108), hours=quiet)
    assert not seen.go and seen.why.startswith("some 108 rounds in a row wait in vain for 60 devices")
    assert told(ruled(abandoned_max=108, rounds=24), hours=quiet).go, "it is over before"
    # 60 of 100 devices let a round begin, and a fifth of it comes an hour: two hours without, then they have come
    slow = ruled(abandoned_max=13, rounds=400, separation=Duration(20 * HOUR))
    assert (told(slow, paced=[0.2] * 24).binds, told(slow, paced=[0.1] * 24).binds) == ("deadline", "deadline")
    few = ruled(abandoned_max=13, rounds=4, separation=Duration(20 * HOUR))
    assert (told(few, paced=[0.2] * 24).go, told(few, paced=[0.1] * 24).binds) == (True, "gaps")


@pytest.mark.parametrize(
    ("binds", "task", "seen"),
    [
        ("too-few-enrolled", TASK, {"devices": 59, "fit": 59}),
        ("too-few-fit", TASK, {"fit": 59}),
        ("too-few-at-once", TASK, {"hours": [59] * 24}),
        ("losses", TASK, {"loss_rate": 0.6}),
        ("deadline", ruled(deadline=Duration(HOUR)), {}),
    ],
)
def test_what_stops_a_run_is_named(binds: str, task: Task, seen: dict[str, object]) -> None:
    outlook = told(task, **seen)
    assert (outlook.go, outlook.binds) == (False, binds)
    if binds in ("too-few-fit", "too-few-at-once"):
        assert outlook.why.endswith("most are held by false: device.charging (200)")


def test_a_sample_says_its_error() -> None:
    assert told().error_devices == 0
    # 1.96 * sqrt(0.8 * 0.2 / 100) * 1000 = 78.4
    assert told(sampled=100).error_devices == 79


@given(
    there=st.lists(st.integers(0, 400), min_size=24, max_size=24),
    rounds=st.integers(1, 500),
    apart_h=st.integers(0, 48),
)
def test_a_run_ends_if_and_only_if_some_hour_has_its_minimum(there: list[int], rounds: int, apart_h: int) -> None:
    seen = told(
        ruled(rounds=rounds, separation=Duration(apart_h * HOUR), deadline=Duration(2**50), abandoned_max=10**6),
        hours=there,
    )
    assert (seen.run_ms >= 0) == (max(there) >= 60) == seen.go == (seen.binds in PACES)
    if seen.go:
        assert seen.run_ms >= rounds * HOUR / max(seen.rounds_per_hour) - 1


def test_power_goes_by_system_and_architecture() -> None:
    assert [power_w("ios", "arm64"), power_w("linux", "arm64"), power_w("linux", "x86_64")] == [3.0, 8.0, 60.0]
