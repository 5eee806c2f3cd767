"""A paused run loses no time: deadlines get back exactly what it stood still, over restarts, and are shown so."""

import pytest

from podium.core.events import AggregateFailed
from podium.core.views import runs as views
from tests.support.core_acts import pause, resume
from tests.unit.core.pausing_made import FORM_MS, HOUR, REPORT_MS, RUN_MS, STALL_MS, forming, heard, reporting, states

# -- deadlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down_ms", [0, HOUR])
@pytest.mark.parametrize("stood_ms", [1, 7 * HOUR])
def test_the_run_and_form_deadlines_stand_still(stood_ms: int, down_ms: int) -> None:
    drive = forming(1)
    drive.wait(4_000)
    pause(drive)
    drive.wait(stood_ms)
    if down_ms:
        drive.reload(down_ms)
        assert drive.run().state == "PAUSED"
    resume(drive)
    assert drive.run().deadline_ms == RUN_MS + stood_ms + down_ms
    assert drive.round().form_deadline_ms == FORM_MS + stood_ms + down_ms
    assert drive.records[-1].why == {"stood_ms": stood_ms + down_ms}
    drive.wait(FORM_MS - 4_000 - 1)
    assert drive.round().state == "FORMING"
    drive.wait(1)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "cohort-short")


@pytest.mark.parametrize("down_ms", [0, HOUR])
@pytest.mark.parametrize("leased", [False, True])
def test_the_report_deadline_stands_still(leased: bool, down_ms: int) -> None:
    drive = reporting()
    began = drive.now_ms
    if leased:
        drive.trained(0)
    drive.wait(1_000)
    pause(drive, now=True)
    drive.wait(10 * HOUR)
    if down_ms:
        drive.reload(down_ms)
    resume(drive)
    assert (drive.round().report_deadline_ms >= 0) == leased
    stood = 10 * HOUR + down_ms
    assert drive.round().reporting_ms == began + (0 if leased else stood), "who took how long is not rewritten"
    drive.wait(REPORT_MS - 1_000 - 1)
    assert drive.round().state == "REPORTING"
    drive.wait(1)
    assert drive.round().reason == "below-minimum"


def test_time_that_the_plane_was_down_is_given_once_whichever_way() -> None:
    """Running, pausing, paused, running again, with the plane down once in each."""
    drive = reporting()
    drive.reload(100)
    pause(drive)
    drive.reload(1_000)
    assert (drive.run().state, drive.run().deadline_ms) == ("PAUSING", RUN_MS + 1_100)
    pause(drive, now=True)
    drive.reload(10_000)
    assert (drive.run().state, drive.run().deadline_ms) == ("PAUSED", RUN_MS + 1_100), "resuming gives it"
    resume(drive)
    drive.reload(100_000)
    assert drive.run().deadline_ms == RUN_MS + 111_100
    assert drive.wake_ms == drive.now_ms + REPORT_MS
    drive.wait(REPORT_MS)
    assert states(drive) == ["RUNNING", "ABANDONED", "FORMING"]


def test_a_round_parented_while_paused_has_all_its_time_from_then() -> None:
    drive = reporting()
    leases = drive.trained(0, 1)
    pause(drive, now=True)
    drive.wait(HOUR)
    for lease in leases:
        drive.judge(lease)
    drive.work()
    parented = drive.now_ms
    assert drive.round(2).form_deadline_ms == parented + FORM_MS
    drive.wait(2 * HOUR)
    drive.reload(HOUR)
    resume(drive)
    assert drive.round(2).form_deadline_ms == drive.now_ms + FORM_MS
    assert drive.run().deadline_ms == RUN_MS + 4 * HOUR
    drive.wait(FORM_MS)
    assert drive.round(2).reason == "cohort-short"


def test_a_round_opened_while_paused_has_all_its_time_from_then() -> None:
    drive = forming()
    pause(drive)
    drive.wait(HOUR)
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason="key-erased"))
    assert states(drive) == ["PAUSED", "ABANDONED", "FORMING"]
    drive.wait(HOUR)
    resume(drive)
    assert drive.round(2).form_deadline_ms == drive.now_ms + FORM_MS


def test_a_round_without_a_deadline_gets_none_by_a_pause() -> None:
    drive = reporting()
    pause(drive, now=True)
    drive.wait(HOUR)
    resume(drive)
    first, second = drive.round(1), drive.round(2)
    assert (first.state, first.report_deadline_ms) == ("REPORTING", -1), "no device has a lease of it yet"
    assert (second.state, second.form_deadline_ms) == ("FORMING", -1), "it has no parent yet"


def test_every_pause_is_given_back() -> None:
    drive = forming(1)
    for stood in (1, 10, 100):
        drive.wait(1_000)
        pause(drive)
        drive.wait(stood)
        resume(drive)
    assert (drive.run().deadline_ms, drive.round().form_deadline_ms) == (RUN_MS + 111, FORM_MS + 111)


def test_a_run_resumed_in_the_moment_of_its_pause_is_as_it_was() -> None:
    drive = reporting()
    before = (drive.run(), drive.round(), drive.round(2))
    pause(drive, now=True)
    resume(drive)
    assert (drive.run(), drive.round(), drive.round(2)) == before


def test_a_round_that_is_ready_starts_when_its_run_is_resumed() -> None:
    drive = forming()
    drive.check_in(0, 1)
    pause(drive)
    drive.wait(HOUR)
    assert drive.round().state == "FORMING"
    resume(drive)
    assert drive.round().state == "REPORTING", "it has had its devices before"
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["RUNNING", "SEALED", "FORMING"]


# -- a restart ---------------------------------------------------------------------------------------------------------


def test_a_paused_run_goes_on_after_a_crash_in_each_state_of_its_round() -> None:
    drive = reporting()
    first, second = drive.lease(0), drive.lease(1)
    drive.accept(first)
    drive.accept(second)
    pause(drive, now=True)
    drive.report(first)
    drive.reload(HOUR)
    assert drive.state.lease_deadlines.of(second) == drive.now_ms + STALL_MS, "a live lease gets a fresh stall"
    drive.work()
    drive.report(second)
    drive.judge(second)
    assert drive.round().state == "AGGREGATING"
    drive.reload(HOUR)
    drive.work()
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]
    drive.reload(HOUR)
    drive.work()
    for device in (0, 1):
        drive.open(device)
    assert heard(drive, 0, 1) == ["paused", "paused"]
    resume(drive)
    assert heard(drive, 0, 1) == ["reserved", "reserved"]
    drive.wait(1)
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["RUNNING", "SEALED", "SEALED", "FORMING"]


def test_a_pausing_run_rests_after_a_crash() -> None:
    drive = reporting()
    drive.trained(0, 1)
    pause(drive)
    drive.reload(HOUR)
    drive.work()
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]


# -- what a person is shown --------------------------------------------------------------------------------------------


def test_what_is_left_stands_still_on_the_screen() -> None:
    drive = reporting()
    drive.trained(0)
    drive.wait(1_000)
    before = views.run_view(drive.state, drive.run(), drive.now_ms)
    pause(drive, now=True)
    drive.wait(HOUR)
    shown = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert (before.paused_ms, shown.state, shown.paused_ms) == (-1, "PAUSED", HOUR)
    assert shown.left_ms == before.left_ms > 0
    assert shown.round is not None
    assert before.round is not None
    assert shown.round.left_ms == before.round.left_ms > 0
    drive.stop()
    ended = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert (ended.state, ended.paused_ms) == ("STOPPED", -1)


def test_a_round_that_forms_while_paused_is_shown_with_all_its_time() -> None:
    drive = reporting()
    leases = drive.trained(0, 1)
    pause(drive, now=True)
    drive.wait(HOUR)
    for lease in leases:
        drive.judge(lease)
    drive.work()
    drive.wait(HOUR)
    row = views.run_view(drive.state, drive.run(), drive.now_ms).round
    assert row is not None
    assert (row.number, row.left_ms) == (2, FORM_MS)
