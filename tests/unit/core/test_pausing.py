"""Pause and resume: when a run comes to rest, what goes on meanwhile, and that it goes on with the same round."""

import pytest

from podium.core.effects import FinishRound, PrepareRound
from podium.core.events import AggregateFailed
from tests.support.core_acts import pause, resume
from tests.support.core_made import IDLE_MS, SOON_MS, gathers, task
from tests.unit.core.pausing_made import HOUR, REPORT_MS, STALL_MS, forming, heard, reporting, states

# -- coming to rest ----------------------------------------------------------------------------------------------------


def test_a_run_with_nobody_at_work_rests_at_once() -> None:
    drive = forming()
    assert (pause(drive, why="maintenance").word, states(drive)) == ("done", ["PAUSED", "FORMING"])
    last = drive.records[-1]
    assert (last.kind, last.actor, last.tree, last.why) == (
        "run-paused",
        "person:administrator",
        "plane",
        {"reason": "maintenance"},
    )
    assert drive.run().paused_ms == drive.now_ms
    assert drive.wake_ms == -1, "nothing is due"


def test_a_run_at_work_rests_after_its_round() -> None:
    drive = reporting()
    drive.trained(0)
    pause(drive, why="moving")
    assert (drive.run().state, drive.run().paused_ms, drive.records[-1].kind) == ("PAUSING", -1, "run-pausing")
    drive.trained(1)
    drive.work()
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]
    assert drive.run().paused_ms == drive.now_ms
    rested = next(record for record in drive.records if record.kind == "run-paused")
    assert (rested.actor, rested.tree, rested.why) == ("plane", "default", {})
    assert drive.round(2).base == "sha256:r.1", "the next round has its parent and its manifest, and waits"
    assert drive.round(2).manifest == "m-r.2"


def test_a_run_that_aggregates_rests_after_its_round() -> None:
    drive = reporting()
    for lease in drive.trained(0, 1):
        drive.judge(lease)
    pause(drive)
    assert states(drive) == ["PAUSING", "AGGREGATING", "FORMING"]
    drive.work()
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]


def test_a_round_given_up_brings_the_run_to_rest_too() -> None:
    drive = reporting()
    pause(drive)
    drive.wait(REPORT_MS)
    assert states(drive) == ["PAUSED", "ABANDONED", "FORMING"]
    assert drive.round().reason == "below-minimum"
    assert drive.run().paused_ms == drive.now_ms


def test_a_run_does_not_rest_while_another_round_is_at_work() -> None:
    drive = reporting()
    pause(drive)
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=2, reason="key-erased"))
    assert states(drive) == ["PAUSING", "REPORTING", "ABANDONED"]
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["PAUSED", "SEALED", "ABANDONED", "FORMING"]


def test_the_last_round_ends_a_pausing_run() -> None:
    drive = reporting(rounds=1)
    pause(drive)
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["FINISHED", "SEALED"]
    assert "run-paused" not in drive.kinds()


def test_a_pausing_round_replaces_what_it_lost_and_the_next_one_forms_not() -> None:
    drive = reporting(4)
    reserved = sorted(drive.state.open["r", 1].reserved)
    pause(drive)
    lost, kept = (drive.lease(device) for device in reserved)
    drive.fail(lost)
    others = sorted(set(range(4)) - set(reserved))
    assert heard(drive, *others) == ["offered", "full"]
    assert drive.state.open["r", 2].nominees == 0
    assert drive.round(2).form_deadline_ms == -1
    drive.accept(kept)


@pytest.mark.parametrize("state", ["PAUSING", "PAUSED"])
def test_pausing_now_stops_a_round_at_work(state: str) -> None:
    drive = reporting()
    if state == "PAUSING":
        pause(drive)
    pause(drive, now=True)
    assert states(drive) == ["PAUSED", "REPORTING", "FORMING"]


@pytest.mark.parametrize("now", [False, True])
def test_pausing_again_changes_nothing(now: bool) -> None:
    drive = reporting()
    pause(drive, now=now)
    before, since = len(drive.records), drive.run()
    drive.wait(5)
    assert pause(drive, now=now).word == "done"
    assert (len(drive.records), drive.run()) == (before, since)
    if now:
        assert pause(drive).word == "done", "a paused run is not woken by a milder word"
        assert drive.run() == since


def test_who_cannot_be_paused_or_resumed() -> None:
    drive = forming()
    refused = [pause(drive, "none"), resume(drive, "none"), resume(drive)]
    assert [(each.word, each.code, each.id) for each in refused] == [
        ("", "run-unknown", "none"),
        ("", "run-unknown", "none"),
        ("", "run-not-paused", "r"),
    ]
    drive.stop()
    assert (pause(drive).code, pause(drive, now=True).code) == ("run-over", "run-over")
    assert resume(drive).code == "run-not-paused"
    assert drive.run().paused_ms == -1


def test_a_pausing_run_that_is_resumed_loses_nothing() -> None:
    drive = reporting()
    before = (drive.run(), drive.round())
    pause(drive)
    drive.wait(1_000)
    assert resume(drive).word == "done"
    assert drive.records[-1].why == {"stood_ms": 0}
    assert (drive.run(), drive.round()) == before
    drive.trained(0, 1)
    drive.work()
    assert states(drive) == ["RUNNING", "SEALED", "FORMING"]


# -- while it stands still ---------------------------------------------------------------------------------------------


def test_nothing_of_a_paused_run_falls_due_but_its_leases() -> None:
    drive = reporting()
    held = drive.lease(0)
    drive.accept(held)
    pause(drive, now=True)
    assert drive.wake_ms == drive.now_ms + STALL_MS
    drive.wait(STALL_MS)
    assert (drive.leased(held).state, drive.leased(held).reason) == ("LAPSED", "stall")
    drive.wait(30 * 24 * HOUR)
    assert drive.wake_ms == -1
    assert states(drive) == ["PAUSED", "REPORTING", "FORMING"]


def test_a_lease_lives_by_progress_while_its_run_is_paused() -> None:
    drive = reporting()
    held = drive.lease(0)
    drive.accept(held)
    pause(drive, now=True)
    for done in range(1, 5):
        drive.wait(STALL_MS - 1)
        assert drive.progress(held, done=done).word == "extended"
    offered = drive.check_in(0)[0].offer
    assert offered is not None, "it hears of its lease again"
    assert offered.lease == held


def test_devices_of_a_paused_run_are_told_so_and_come_back_idle() -> None:
    drive = reporting(3)
    reserved = sorted(drive.state.open["r", 1].reserved)
    held = drive.lease(reserved[0])
    pause(drive, now=True)
    told = drive.check_in(*(set(range(3)) - {reserved[0]}))
    assert [each.reason for each in told] == ["paused", "paused"]
    assert all(gathers(drive.now_ms, each.window_ms, IDLE_MS) for each in told)
    answer = drive.accept(held)
    assert answer.word == "go", "an offer that is out may still be taken"
    assert gathers(drive.now_ms, answer.window_else_ms, IDLE_MS)
    assert gathers(drive.now_ms, drive.report(held).window_ok_ms, IDLE_MS)
    resume(drive)
    told = drive.check_in(*(set(range(3)) - {reserved[0]}))
    assert sorted(each.reason for each in told) == ["offered", "reserved"]
    assert all(gathers(drive.now_ms, each.window_ms, SOON_MS) for each in told)


def test_another_run_goes_on_while_one_is_paused() -> None:
    drive = forming(2)
    drive.submit(task(goal=2, rounds=1), "s")
    drive.work()
    pause(drive)
    assert heard(drive, 0, 1) == ["reserved", "reserved"]
    drive.wait(1)
    assert (drive.round(run="s").state, drive.run().state) == ("REPORTING", "PAUSED")
    pause(drive, "s", now=True)
    assert heard(drive, 0, 1) == ["paused", "paused"]
    resume(drive, "s")
    assert heard(drive, 0, 1) == ["offered", "offered"]


def test_reports_are_stored_and_judged_while_paused_and_the_goal_seals_the_round() -> None:
    drive = reporting()
    first, second = drive.lease(0), drive.lease(1)
    for lease in (first, second):
        drive.accept(lease)
    pause(drive, now=True)
    assert drive.report(first).word == "stored"
    drive.judge(first)
    assert (drive.leased(first).state, drive.round().state) == ("ACCEPTED", "REPORTING")
    drive.report(second)
    drive.work()
    assert drive.sent(FinishRound) == [FinishRound(run="r", round=1, leases=(first, second))]
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]
    assert (drive.run().base, drive.run().rounds_sealed) == ("sha256:r.1", 1)
    assert drive.sent(PrepareRound)[-1] == PrepareRound(run="r", round=2, base="sha256:r.1")
    drive.wait(HOUR)
    assert states(drive) == ["PAUSED", "SEALED", "FORMING"]


def test_the_last_round_sealed_while_paused_finishes_the_run() -> None:
    drive = reporting(rounds=1)
    leases = [drive.lease(device) for device in (0, 1)]
    for lease in leases:
        drive.accept(lease)
    pause(drive, now=True)
    for lease in leases:
        drive.report(lease)
    drive.work()
    run = drive.run()
    assert (run.state, run.reason, run.paused_ms) == ("FINISHED", "rounds-done", -1)
    assert resume(drive).code == "run-not-paused"


def test_an_evaluation_may_end_while_paused() -> None:
    drive = reporting(rounds=1, kind="evaluate")
    leases = drive.trained(0, 1)
    pause(drive, now=True)
    for lease in leases:
        drive.judge(lease)
    assert states(drive) == ["FINISHED", "SEALED"]


def test_a_refusal_while_paused_leaves_the_round_open_until_it_is_resumed() -> None:
    drive = reporting()
    first, second = drive.trained(0, 1)
    pause(drive, now=True)
    drive.judge(first, "not-finite")
    drive.judge(second)
    assert (drive.leased(first).state, states(drive)) == ("REFUSED", ["PAUSED", "REPORTING", "FORMING"])
    drive.wait(HOUR)
    resume(drive)
    drive.wait(REPORT_MS)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")


def test_a_round_closed_before_the_pause_may_fall_below_its_minimum_while_paused() -> None:
    drive = reporting(2, minimum=1)
    (stored,) = drive.trained(0)
    drive.wait(REPORT_MS)
    assert drive.round().state == "AGGREGATING"
    pause(drive, now=True)
    drive.judge(stored, "not-finite")
    assert states(drive) == ["PAUSED", "ABANDONED", "FORMING"]
    assert drive.round(2).base == "sha256:base"


def test_a_paused_run_is_abandoned_when_its_rounds_cannot_be_summed() -> None:
    drive = reporting(abandoned_max=1)
    pause(drive, now=True)
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason="key-erased"))
    assert (drive.run().state, drive.run().reason, drive.run().paused_ms) == ("ABANDONED", "rounds-abandoned", -1)


@pytest.mark.parametrize("now", [False, True])
def test_a_run_is_stopped_while_it_pauses(now: bool) -> None:
    drive = reporting()
    held = drive.lease(0)
    pause(drive, now=now)
    assert drive.stop(why="enough").word == "done"
    assert states(drive) == ["STOPPED", "ABANDONED", "ABANDONED"]
    assert (drive.run().paused_ms, drive.leased(held).state) == (-1, "REVOKED")


def test_a_pausing_run_times_out() -> None:
    drive = reporting(deadline=10_000)
    pause(drive)
    drive.wait(10_000)
    assert (drive.run().state, drive.run().reason, drive.run().paused_ms) == ("TIMED_OUT", "run-deadline", -1)
