"""What a freeze does to time: rounds at work go on, rounds that form stand still, and no run is charged with either."""

import pytest

from podium.core.events import AggregateFailed
from podium.core.rounds.pausing import stands_since
from podium.core.state import FREEZE
from podium.core.views.runs import run_view
from tests.support.core_acts import freeze, mark, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS, task
from tests.unit.core.pausing_made import FORM_MS, HOUR, REPORT_MS, RUN_MS, forming, heard, reporting, states

LONG: dict[str, object] = {"deadline": 100 * HOUR}


def left_ms(drive: Drive, number: int) -> int:
    """What a person is shown that the round, its run's oldest, has left."""
    view = run_view(drive.state, drive.run(), drive.now_ms).round
    assert view is not None and view.number == number
    return view.left_ms


def ticks(drive: Drive, left: int, number: int = 1) -> None:
    """The round's time runs, and it gives up in just so many ms."""
    assert stands_since(drive.state, drive.round(number)) == -1
    assert left_ms(drive, number) == left
    drive.wait(left - 1)
    assert drive.round(number).state == "FORMING"
    drive.wait(1)
    row = drive.round(number)
    assert (row.state, row.reason) == ("ABANDONED", "cohort-short")


# -- what forms stands still -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down_ms", [0, HOUR])
def test_a_round_that_forms_gets_back_the_time_that_the_plane_was_frozen(down_ms: int) -> None:
    drive = forming(2, **LONG)
    drive.wait(4_000)
    freeze(drive)
    assert drive.wake_ms == drive.run().deadline_ms, "nothing else is due"
    assert heard(drive, 0, 1) == ["frozen", "frozen"]
    drive.wait(7 * HOUR)
    if down_ms:
        drive.reload(down_ms)
    assert (states(drive), left_ms(drive, 1)) == (["RUNNING", "FORMING"], FORM_MS - 4_000)
    unfreeze(drive, why="over")
    last = drive.records[-1]
    assert (last.kind, last.why, [type(row).__name__ for row in last.rows]) == (
        "plane-unfrozen",
        {"reason": "over"},
        ["FreezeRow", "RoundRow"],
    )
    assert drive.run().deadline_ms == 100 * HOUR + down_ms, "the run's own deadline ran on"
    ticks(drive, FORM_MS - 4_000)
    assert (drive.run().abandoned_in_row, drive.round().frozen) == (1, False), "it has had all of its time"


def test_no_round_starts_in_a_frozen_plane_and_one_that_is_ready_starts_when_it_is_over() -> None:
    drive = forming(2)
    drive.check_in(0, 1)
    freeze(drive)
    drive.wait(FORM_MS)
    assert states(drive) == ["RUNNING", "FORMING"]
    unfreeze(drive)
    assert drive.round().state == "REPORTING", "it has had its devices before"
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["RUNNING", "SEALED", "FORMING"]


def test_a_round_opened_in_a_frozen_plane_has_all_its_time_from_its_end() -> None:
    drive = Drive()
    freeze(drive)
    drive.wait(HOUR)
    drive.begin(task(goal=2, form_deadline=FORM_MS, deadline=9 * HOUR))
    drive.wait(HOUR)
    assert left_ms(drive, 1) == FORM_MS
    drive.reload(HOUR)
    unfreeze(drive)
    ticks(drive, FORM_MS)


def test_a_round_parented_in_a_frozen_plane_has_all_its_time_from_its_end() -> None:
    drive = reporting(2, **LONG)
    leases = drive.trained(0, 1)
    freeze(drive)
    drive.wait(1_000)
    for lease in leases:
        drive.judge(lease)
    drive.work()
    drive.wait(HOUR)
    assert (states(drive), left_ms(drive, 2)) == (["RUNNING", "SEALED", "FORMING"], FORM_MS)
    unfreeze(drive)
    ticks(drive, FORM_MS, 2)


def test_every_freeze_is_given_back_and_one_that_is_told_again_once() -> None:
    drive = forming(1, **LONG)
    for stood in (1, 10, 100):
        drive.wait(1_000)
        freeze(drive)
        drive.wait(stood)
        freeze(drive, revoke=True)
        drive.wait(stood)
        unfreeze(drive)
        unfreeze(drive)
    ticks(drive, FORM_MS - 3_000)


def test_a_plane_unfrozen_in_the_moment_of_its_freeze_leaves_rounds_as_they_were() -> None:
    drive = forming()
    before = drive.round()
    freeze(drive)
    unfreeze(drive)
    assert drive.round() == before
    assert len(drive.records[-1].rows) == 1


@pytest.mark.parametrize("first", ["freeze", "pause"])
@pytest.mark.parametrize("last", ["freeze", "pause"])
def test_time_that_a_round_stood_still_for_both_is_given_back_once(first: str, last: str) -> None:
    """Frozen and paused at different times, in every order of beginning and end."""
    drive = forming(2, **LONG)
    drive.wait(4_000)
    for what in sorted(("freeze", "pause"), key=lambda each: each != first):
        (freeze if what == "freeze" else pause)(drive)
        drive.wait(HOUR)
        assert left_ms(drive, 1) == FORM_MS - 4_000
    drive.reload(HOUR)
    for what in sorted(("freeze", "pause"), key=lambda each: each == last):
        assert left_ms(drive, 1) == FORM_MS - 4_000
        (unfreeze if what == "freeze" else resume)(drive)
        drive.wait(HOUR if what != last else 0)
    ticks(drive, FORM_MS - 4_000)


@pytest.mark.parametrize("formed", ["before", "within"])
def test_pauses_and_freezes_that_overlap_in_a_chain_are_given_back_as_one(formed: str) -> None:
    drive = forming(2, **LONG)
    if formed == "before":
        drive.wait(4_000)
    pause(drive)
    if formed == "within":
        drive.wait(HOUR)
        drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason="key-erased"))
        drive.work()
    number = 1 if formed == "before" else 2
    for act in (freeze, resume, pause, unfreeze, freeze, resume, unfreeze):
        drive.wait(HOUR)
        assert left_ms(drive, number) == (FORM_MS - 4_000 if formed == "before" else FORM_MS)
        act(drive)
    ticks(drive, FORM_MS - 4_000 if formed == "before" else FORM_MS, number)


def test_a_round_formed_between_the_pause_and_the_freeze_stood_since_it_formed() -> None:
    drive = forming(2, **LONG)
    freeze(drive)
    drive.wait(HOUR)
    pause(drive)
    drive.wait(HOUR)
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason="key-erased"))
    drive.work()
    drive.wait(HOUR)
    unfreeze(drive)
    assert drive.round(2).form_deadline_ms == drive.now_ms - HOUR + FORM_MS, "resuming gives it"
    drive.wait(HOUR)
    resume(drive)
    ticks(drive, FORM_MS, 2)


def test_a_round_ahead_whose_parent_is_at_work_gets_no_deadline_by_a_freeze() -> None:
    drive = reporting(2)
    freeze(drive)
    drive.wait(1_000)
    unfreeze(drive)
    assert (drive.round(2).state, drive.round(2).form_deadline_ms) == ("FORMING", -1)


# -- what works goes on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leased", [False, True])
def test_the_report_deadline_runs_on_and_over_a_restart_as_ever(leased: bool) -> None:
    drive = reporting(2)
    if leased:
        drive.accept(drive.lease(0))
    freeze(drive)
    drive.wait(1_000)
    drive.reload(HOUR)
    assert left_ms(drive, 1) == REPORT_MS - 1_000
    drive.wait(REPORT_MS - 1_000)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")


def test_a_freeze_of_any_length_takes_one_round_of_a_run_and_never_the_run() -> None:
    drive = reporting(2, abandoned_max=1, **LONG)
    freeze(drive, revoke=True)
    drive.wait(REPORT_MS)
    drive.work()
    assert states(drive) == ["RUNNING", "ABANDONED", "FORMING"]
    assert (drive.round().frozen, drive.run().abandoned_in_row) == (True, 0)
    told = next(record for record in drive.records if record.kind == "round-abandoned")
    assert told.why == {"reason": "below-minimum", "frozen": "yes"}
    drive.wait(48 * HOUR)
    assert states(drive) == ["RUNNING", "ABANDONED", "FORMING"]
    unfreeze(drive)
    assert heard(drive, 0, 1) == ["reserved", "reserved"]


@pytest.mark.parametrize("revoke", [False, True])
def test_a_round_whose_plane_was_frozen_for_a_while_does_not_count_either(revoke: bool) -> None:
    drive = reporting(2, abandoned_max=1)
    drive.lease(0)
    drive.wait(1)
    freeze(drive, revoke=revoke)
    drive.reload()
    unfreeze(drive)
    drive.wait(REPORT_MS)
    assert (states(drive), drive.round().frozen) == (["RUNNING", "ABANDONED", "FORMING"], True)
    assert drive.run().abandoned_in_row == 0


def test_a_round_that_began_to_work_after_the_freeze_counts() -> None:
    drive = forming(2, abandoned_max=2)
    drive.check_in(0, 1)
    freeze(drive)
    drive.wait(HOUR // 60)
    unfreeze(drive)
    assert drive.round().state == "REPORTING"
    drive.wait(REPORT_MS)
    assert (drive.round().state, drive.round().frozen, drive.run().abandoned_in_row) == ("ABANDONED", False, 1)


def test_leases_that_a_freeze_took_in_the_very_ms_of_the_start_excuse_the_round() -> None:
    drive = reporting(2, abandoned_max=1)
    drive.lease(0)
    freeze(drive, revoke=True)
    unfreeze(drive)
    assert drive.state.freezes[FREEZE].at_ms == drive.round().reporting_ms
    drive.wait(REPORT_MS)
    assert (drive.run().state, drive.round().frozen) == ("RUNNING", True)


def test_leases_lost_for_other_reasons_after_an_old_freeze_excuse_nothing() -> None:
    drive = Drive()
    freeze(drive)
    unfreeze(drive)
    drive.begin(task(goal=2, over=1.0, report_deadline=REPORT_MS, abandoned_max=1), 2)
    drive.check_in(0, 1)
    drive.wait(1)
    drive.decline(drive.lease(0))
    drive.lease(1)
    drive.wait(REPORT_MS)
    assert (drive.run().state, drive.round().frozen) == ("ABANDONED", False)


def test_a_round_below_its_minimum_without_a_freeze_counts_and_one_in_it_leaves_the_count() -> None:
    drive = reporting(2, abandoned_max=2)
    drive.wait(REPORT_MS)
    assert drive.run().abandoned_in_row == 1
    drive.work()
    drive.check_in(0, 1)
    drive.wait(LIMITS.form_settle_ms)
    freeze(drive)
    drive.wait(REPORT_MS)
    assert (states(drive)[2], drive.run().abandoned_in_row) == ("ABANDONED", 1)
    unfreeze(drive)
    drive.work()
    drive.wait(FORM_MS)
    assert (drive.run().state, drive.run().reason, drive.run().abandoned_in_row) == (
        "ABANDONED",
        "rounds-abandoned",
        2,
    )


def test_what_devices_lose_in_a_frozen_plane_is_their_loss_all_the_same() -> None:
    drive = reporting(2)
    drive.decline(drive.lease(0))
    freeze(drive)
    drive.wait(REPORT_MS)
    assert drive.round().frozen
    assert drive.run().loss_rate > 0.1


def test_a_round_at_work_may_be_sealed_in_a_frozen_plane_and_the_next_waits() -> None:
    drive = reporting(3, goal=2)
    first, second = sorted(drive.state.open["r", 1].reserved)
    leases = [drive.lease(first), drive.lease(second)]
    freeze(drive)
    mark(drive, ["id-d0"], "cordoned")
    for lease in leases:
        drive.accept(lease)
        drive.report(lease)
    drive.work()
    drive.wait(RUN_MS // 2)
    assert states(drive) == ["RUNNING", "SEALED", "FORMING"]
    assert not drive.round().frozen
