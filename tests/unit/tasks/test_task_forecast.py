"""What a task asks of a fleet, by hand from its terms."""

import msgspec

from podium.tasks.forecast import forecast
from podium.tasks.task import Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration

TASK = Task(
    task=Head(name="kb", plan="a.b:c", purpose="test"),
    model=ModelSource(init="a.b:i"),
    select=Select(over=1.25),
    round=Round(goal=800, minimum=500, form_deadline=Duration(600_000), report_deadline=Duration(300_000)),
    run=RunRules(rounds=10, deadline=Duration(86_400_000)),
)


def test_devices_bytes_and_time_follow_from_the_terms() -> None:
    seen = forecast(TASK, model_bytes=1_000, update_bytes=1_200)
    assert (seen.rounds, seen.goal, seen.minimum) == (10, 800, 500)
    assert (seen.devices_least, seen.devices_most) == (1000, 1000)  # 800 * 1.25
    assert (seen.device_down_bytes, seen.device_up_bytes) == (1_000, 1_200)
    assert (seen.round_down_bytes, seen.round_up_bytes) == (1_000_000, 1_200_000)
    assert (seen.round_ms, seen.run_ms) == (900_000, 9_000_000)


def test_auto_is_a_range_and_concurrency_a_ceiling() -> None:
    auto = msgspec.structs.replace(TASK, select=Select(over="auto"))
    assert (forecast(auto).devices_least, forecast(auto).devices_most) == (800, 1600)  # limits over_min 1, over_max 2
    few = msgspec.structs.replace(auto, round=msgspec.structs.replace(TASK.round, concurrency=1000))
    assert (forecast(few).devices_least, forecast(few).devices_most) == (800, 1000)
    eager = msgspec.structs.replace(TASK, select=Select(over=9.0))
    assert forecast(eager).devices_most == 1600


def test_what_is_not_known_is_not_guessed_and_an_evaluation_sends_nothing_up() -> None:
    seen = forecast(TASK)
    assert (seen.device_down_bytes, seen.device_up_bytes, seen.round_down_bytes, seen.round_up_bytes) == (-1,) * 4
    measured = msgspec.structs.replace(TASK, task=msgspec.structs.replace(TASK.task, kind="evaluate"))
    assert (forecast(measured, 1_000).device_up_bytes, forecast(measured, 1_000).round_up_bytes) == (0, 0)


def test_the_runs_own_deadline_ends_it_and_a_minimum_left_out_is_the_goal() -> None:
    hasty = msgspec.structs.replace(
        TASK, run=RunRules(rounds=10, deadline=Duration(60_000)), round=msgspec.structs.replace(TASK.round, minimum=0)
    )
    assert (forecast(hasty).run_ms, forecast(hasty).minimum) == (60_000, 800)
