"""Who is refused for its own part is told to come when that is over: every such reason, by hand."""

import numpy as np

from podium.core.pacing.windows import GATHER_JITTER
from podium.core.selection.budgets import DAY_MS, NEVER_MS, Spent
from podium.core.selection.reasons import REASONS
from podium.core.selection.resting import RESTS
from podium.tasks.task import Budgets
from tests.support.core_drive import Drive
from tests.support.core_made import IDLE_MS, Told, gathers, task
from tests.support.explain_cases import reporting, resting

HOUR_MS = 3_600_000
LONG = 1.0 + GATHER_JITTER


def again(drive: Drive, device: int = 0) -> Told:
    """What `device` hears now."""
    (told,) = drive.check_in(device)
    return told


def at(drive: Drive, moment_ms: int) -> Drive:
    """`drive` at a moment of its clock."""
    drive.wait(moment_ms - drive.now_ms)
    return drive


def lasting(**terms: object) -> Drive:
    """Both devices trained at the beginning of the first day; the next round goes on forming for days."""
    return resting(**{"form_deadline": 9 * DAY_MS, "deadline": 40 * DAY_MS, "separation": 0, **terms})


def test_a_separation_longer_than_the_longest_window_is_told_in_parts() -> None:
    drive = lasting(separation=24 * HOUR_MS)
    granted = drive.leased("r.1.1").granted_ms
    assert again(at(drive, HOUR_MS)).window_ms == 4 * HOUR_MS, "23 hours and more are left"
    told = again(at(drive, granted + 22 * HOUR_MS))
    assert (told.reason, told.window_ms) == ("separation", 2 * HOUR_MS)


def test_a_budget_of_a_day_is_free_again_with_the_next() -> None:
    drive = lasting(budgets={"trainings_per_day": 1})
    told = again(at(drive, HOUR_MS))
    assert (told.reason, told.window_ms) == ("budget", 4 * HOUR_MS), "23 hours are left"
    told = again(at(drive, DAY_MS - HOUR_MS))
    # then it comes as whoever arrives at midnight, when the round has waited for a day
    assert told.reason == "budget" and gathers(DAY_MS, told.window_ms - HOUR_MS, IDLE_MS)
    assert again(at(drive, DAY_MS)).reason == "reserved"


def test_a_budget_of_a_month_is_free_again_with_the_next() -> None:
    drive = lasting(budgets={"bytes_per_month": 19})  # 4 down and 8 up were spent, and 4 down and up are to come
    assert again(at(drive, DAY_MS)).window_ms == 4 * HOUR_MS
    told = again(at(drive, 30 * DAY_MS - HOUR_MS))
    assert told.reason == "budget" and HOUR_MS < told.window_ms <= HOUR_MS + IDLE_MS * LONG


def test_a_budget_below_one_training_is_never_free() -> None:
    one, now = np.array([0]), np.array([5])
    assert Spent().free_ms(Budgets(bytes_per_month=7), one, now, 4).tolist() == [NEVER_MS], "4 down and as many up"
    assert Spent().free_ms(Budgets(bytes_per_month=8), one, now, 4).tolist() == [5]
    drive = Drive()
    drive.begin(task(goal=1, over=1.0, budgets={"bytes_per_month": 7}), 1)
    told = again(drive)
    assert told.reason == "budget" and gathers(drive.now_ms, told.window_ms, IDLE_MS), "as though there were no run"


def test_who_took_part_as_often_as_it_may_is_told_what_an_idle_population_is() -> None:
    drive = lasting(fairness={"times_max": 1})
    for _ in range(3):
        told = again(drive)
        assert told.reason == "spent" and gathers(drive.now_ms, told.window_ms, IDLE_MS)
        drive.wait(100)


def test_who_did_its_part_comes_when_the_next_round_may_begin() -> None:
    drive = reporting(2, rounds=3)
    for _ in range(2):
        drive.wait(40_000)
        for lease in list(drive.state.live_lease.values()):
            drive.report(lease)
        drive.work()
        drive.check_in(0, 1)
        drive.wait(500)
        for device in (0, 1):
            drive.accept(drive.lease(device))
    last = drive.round(3)
    assert last.state == "REPORTING"
    took = [row.ended_ms - row.reporting_ms for row in (drive.round(1), drive.round(2))]
    drive.report(drive.state.live_lease[0])
    drive.wait(last.reporting_ms + 10_000 - drive.now_ms)
    told = again(drive)
    assert (told.reason, told.window_ms) == ("round-done", int(0.9 * min(took)) - 10_000)
    drive.wait(told.window_ms + 1)
    assert again(drive).window_ms < 10_000, "it may end now: as everybody"


def test_another_run_that_holds_something_else_against_it_wants_it_as_everybody() -> None:
    drive = lasting(fairness={"times_max": 1})
    drive.begin(task(goal=9, over=1.0, separation=60_000), run="other")
    assert again(drive).reason == "separation"
    drive.wait(50_000)
    told = again(drive)
    left = int(drive.state.fleet.participated_ms[0]) + 60_000 - drive.now_ms
    assert (told.reason, told.window_ms) == ("separation", left), "the other run's, since this one's is for ever"


def test_the_reasons_that_time_alone_ends() -> None:
    assert [name for name, rests in zip(REASONS, RESTS, strict=True) if rests] == [
        "separation",
        "round-done",
        "spent",
        "budget",
        "backoff",
    ]
