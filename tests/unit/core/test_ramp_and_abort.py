"""Rounds that grow, and runs that one kind of failure ends: in the task file, and in the core."""

import pytest

from podium.core.pacing.adapt import cohort_now, should_abort
from podium.core.rounds.adapting import goal_of, leases_wanted, minimum_of
from podium.tasks.check import task_faults
from podium.tasks.task import Abort, Ramp
from tests.support.core_drive import Drive
from tests.support.core_made import task


def test_rounds_grow_with_what_was_sealed_when_they_opened() -> None:
    drive = Drive()
    growing = task(goal=4, over=1.0, rounds=4, ramp={"base": 1, "factor": 2.0, "after": 1})
    drive.begin(growing, 4)
    goals = []
    while drive.run().state == "RUNNING":
        drive.check_in(0, 1, 2, 3)
        drive.wait(400)
        row = drive.round(drive.run().rounds_sealed + 1)
        goals.append((goal_of(row, growing), minimum_of(row, growing), row.state))
        for told in drive.check_in(0, 1, 2, 3):
            if told.offer is not None and told.offer.round == row.number:
                drive.accept(told.offer.lease)
                drive.report(told.offer.lease)
        drive.work()
    # the second round opened while the first reported, so it counts none, the third one, the fourth two
    assert goals == [(1, 1, "REPORTING"), (1, 1, "REPORTING"), (2, 2, "REPORTING"), (4, 4, "REPORTING")]


def test_a_factor_beyond_all_numbers_grows_to_the_goal() -> None:
    steep = Ramp(base=2, factor=1e308)
    assert [cohort_now(steep, 5, sealed) for sealed in (0, 1, 2, 10**9)] == [2, 5, 5, 5]


@pytest.mark.parametrize(("share", "lost", "ended"), [(0.07, 7, 100), (0.14, 7, 50), (0.28, 7, 25), (0.56, 14, 25)])
def test_a_share_is_reached_by_just_so_many(share: float, lost: int, ended: int) -> None:
    criteria = (Abort(kind="failed", share=share, min=1),)
    assert should_abort(criteria, {"failed": lost, "accepted": ended - lost}) == "failed"
    assert should_abort(criteria, {"failed": lost - 1, "accepted": ended - lost + 1}) == ""


@pytest.mark.parametrize(("over", "goal", "asked"), [(1.1, 100, 110), (1.1, 10, 11), (1.15, 100, 115), (1.01, 10, 11)])
def test_a_factor_asks_for_no_device_more_than_it_says(over: float, goal: int, asked: int) -> None:
    drive = Drive()
    drive.begin(task(goal=goal, over=over))
    assert leases_wanted(drive.state, drive.round(), goal) == asked


def test_a_run_ends_when_a_kind_has_its_share_and_not_before() -> None:
    drive = Drive()
    drive.begin(task(goal=2, over=1.0, rounds=9, abort=[{"kind": "failed", "share": 0.5, "min": 3}]), 4)
    drive.check_in(0, 1, 2, 3)
    drive.wait(400)
    drive.state.open["r", 1].reserved.clear()
    drive.fail(drive.lease(0))
    drive.fail(drive.lease(1))
    assert drive.run().state == "RUNNING", "two leases are too few to tell"
    drive.decline(drive.lease(2))
    assert (drive.run().state, drive.run().reason) == ("ABANDONED", "abort:failed")
    assert drive.round().reason == "run-abandoned"


@pytest.mark.parametrize(
    ("terms", "key"),
    [
        ({"ramp": Ramp(base=0)}, "round.ramp.base = 0"),
        ({"ramp": Ramp(base=9)}, "round.ramp.base = 9"),
        ({"ramp": Ramp(base=2, factor=0.5)}, "round.ramp.factor = 0.5"),
        ({"ramp": Ramp(base=2, after=0)}, "round.ramp.after = 0"),
        ({"abort": [{"kind": "failed", "share": 1.5, "min": 1}]}, "round.abort[0].share = 1.5"),
        ({"abort": [{"kind": "failed", "share": 0.5, "min": 0}]}, "round.abort[0].min = 0"),
        (
            {"abort": [Abort(kind="lapsed", share=0.5, min=1), Abort(kind="lapsed", share=0.1, min=9)]},
            'round.abort[1].kind = "lapsed"',
        ),
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, object], key: str) -> None:
    (fault,) = task_faults(task(goal=8, **terms))
    assert fault.what == key
