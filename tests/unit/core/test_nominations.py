"""Devices that a round counts on: who is kept out is counted on no more, whatever the round still lacks then."""

from collections.abc import Callable

import pytest

from podium.core.views.runs import run_view
from tests.support.core_acts import freeze, mark, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS, task
from tests.unit.core.pausing_made import FORM_MS, forming, heard, reporting, states

KEPT_OUT = [("cordoned", False), ("cordoned", True), ("banned", False)]


def nominees(drive: Drive, number: int = 1) -> int:
    """How many devices a round counts on."""
    return drive.state.open["r", number].nominees


@pytest.mark.parametrize(("state", "revoke"), KEPT_OUT)
def test_a_round_does_not_start_with_who_is_kept_out(state: str, revoke: bool) -> None:
    drive = forming(3, goal=3, minimum=2)
    assert heard(drive, 0, 1) == ["reserved", "reserved"]
    assert drive.wake_ms == drive.now_ms + LIMITS.form_settle_ms
    mark(drive, ["id-d0"], state, revoke=revoke)
    assert nominees(drive) == 1
    assert drive.wake_ms == drive.round().form_deadline_ms, "its minimum is not there any more"
    drive.wait(LIMITS.form_settle_ms)
    assert drive.round().state == "FORMING"
    assert heard(drive, 0, 2) == [state, "reserved"]
    drive.wait(LIMITS.form_settle_ms)
    assert drive.round().state == "REPORTING"
    assert drive.state.open["r", 1].reserved == {1, 2}


def test_a_round_that_has_its_minimum_without_it_starts_as_it_would() -> None:
    drive = forming(3, goal=3, minimum=2)
    heard(drive, 0, 1)
    drive.wait(100)
    drive.check_in(2)
    mark(drive, ["id-d0"], "banned")
    assert (drive.round().state, nominees(drive)) == ("FORMING", 2)
    drive.wait(1)
    assert drive.round().state == "REPORTING", "its goal was there for a moment"
    assert drive.state.open["r", 1].reserved == {1, 2}


def test_who_was_never_counted_on_takes_nobody_away() -> None:
    drive = forming(3, goal=3, minimum=2)
    heard(drive, 0, 1)
    mark(drive, ["id-d2"], "banned")
    mark(drive, ["id-d0"], "cordoned")
    mark(drive, ["id-d0"], "cordoned", revoke=True)
    assert nominees(drive) == 1
    waiting = run_view(drive.state, drive.run(), drive.now_ms).waiting
    assert waiting is not None and waiting.have == 1


def test_a_device_that_a_round_has_no_column_for_yet_is_kept_out_like_others() -> None:
    drive = forming(17)
    assert len(drive.state.open["r", 1].nominated) == 16, "nobody has checked in"
    assert mark(drive, ["id-d16", "id-d15"], "cordoned").changed == 2
    assert nominees(drive) == 0


def test_a_device_that_is_let_in_again_is_counted_on_again() -> None:
    drive = forming(2, goal=2)
    heard(drive, 0, 1)
    mark(drive, ["id-d0"], "cordoned")
    mark(drive, ["id-d0"], "active")
    assert nominees(drive) == 1, "it has to come and say so"
    assert heard(drive, 0) == ["reserved"]
    drive.wait(1)
    assert drive.state.open["r", 1].reserved == {0, 1}


@pytest.mark.parametrize(("state", "revoke"), KEPT_OUT)
def test_a_seat_that_is_kept_for_it_is_free_at_once(state: str, revoke: bool) -> None:
    drive = reporting(3, goal=2)
    first, second = sorted(drive.state.open["r", 1].reserved)
    (other,) = set(range(3)) - {first, second}
    mark(drive, [f"id-d{first}"], state, revoke=revoke)
    assert drive.state.open["r", 1].reserved == {second}
    assert heard(drive, other, second) == ["offered", "offered"]


def test_a_seat_is_taken_from_the_next_round_too_while_the_lease_of_this_one_stays() -> None:
    drive = reporting(2)
    held = drive.lease(0)
    drive.accept(held)
    drive.trained(1)
    assert heard(drive, 1) == ["reserved"]
    assert nominees(drive, 2) == 1
    mark(drive, ["id-d1"], "cordoned")
    mark(drive, ["id-d0"], "cordoned")
    assert nominees(drive, 2) == 0
    assert drive.report(held).word == "stored"


def test_every_round_that_counts_on_it_loses_it_whoever_does_not() -> None:
    drive = forming(2)
    pause(drive)
    for run in ("s", "t"):
        drive.submit(task(goal=2, form_deadline=FORM_MS), run)
        heard(drive, 0)
        pause(drive, run)
    assert [work.nominees for work in drive.state.open.values()] == [0, 1, 1]
    mark(drive, ["id-d0"], "cordoned")
    assert [work.nominees for work in drive.state.open.values()] == [0, 0, 0]


@pytest.mark.parametrize(("halt", "go_on"), [(pause, resume), (freeze, unfreeze)], ids=["paused", "frozen"])
def test_a_round_that_stands_still_loses_it_too(
    halt: Callable[[Drive], object], go_on: Callable[[Drive], object]
) -> None:
    drive = forming(2)
    heard(drive, 0, 1)
    halt(drive)
    mark(drive, ["id-d0"], "banned")
    go_on(drive)
    assert states(drive) == ["RUNNING", "FORMING"]
