"""How a round gets its devices and its updates: seats, over-selection, replacement, stall, quorum, overlap."""

import pytest
from msgspec.structs import replace

from podium.core.effects import EndLease, FinishRound, JudgeUpdate
from podium.core.rounds.adapting import leases_wanted, open_seats, quorum
from podium.wire.limits import Limits
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS, task


def seats(drive: Drive, number: int = 1) -> int:
    """The open seats of a round."""
    return open_seats(drive.state, drive.round(number))


def started(devices: int, reserve: bool = False, **terms: object) -> Drive:
    """A round that reports, over `devices` devices; nothing is reserved unless asked for."""
    drive = Drive()
    drive.begin(task(**{"stall": 60_000, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(300)
    assert drive.round().state == "REPORTING"
    if not reserve:
        drive.state.open["r", 1].reserved.clear()
    return drive


@pytest.mark.parametrize(
    ("over", "loss", "leases"),
    [
        ("auto", 0.0, 8),
        ("auto", 0.1, 10),  # 0.9 n - 7.5 >= 0.8416 sqrt(0.09 n): at 9 0.60 < 0.76, at 10 1.50 >= 0.80
        ("auto", 0.2, 11),  # 0.8 n - 7.5 >= 0.8416 sqrt(0.16 n): at 10 0.50 < 1.06, at 11 1.30 >= 1.12
        ("auto", 0.9, 16),  # over_max
        ("auto", 1.0, 16),
        (1.5, 0.9, 12),
        (0.5, 0.0, 8),  # over_min
        (7.0, 0.0, 16),
    ],
)
def test_over_selection(over: str | float, loss: float, leases: int) -> None:
    drive = Drive()
    drive.begin(task(goal=8, over=over))
    drive.state.put(replace(drive.run(), loss_rate=loss))
    assert leases_wanted(drive.state, drive.round(), 8) == leases


def test_seats_are_the_leases_that_meet_the_need_four_times_in_five() -> None:
    drive = started(12, goal=8)
    assert seats(drive) == 10
    drive.trained(0, 1)
    assert seats(drive) == 7  # 6 are missing: 0.9 n - 5.5 >= 0.8416 sqrt(0.09 n): at 6 -0.1 < 0.62, at 7 0.8 >= 0.67
    drive.lease(2)
    assert seats(drive) == 6


def test_a_refused_update_gives_its_seat_back() -> None:
    drive = started(5, goal=2, over=1.0)
    drive.trained(0, 1)
    assert seats(drive) == 0
    drive.judge("r.1.1", "not-finite")
    assert seats(drive) == 1
    assert drive.check_in(0)[0].reason == "round-done", "whoever was refused takes no second lease in the round"
    assert drive.lease(2) == "r.1.3"


def test_concurrency_bounds_leases_at_work_and_not_the_goal() -> None:
    drive = started(6, goal=4, over=1.0, concurrency=2)
    told = drive.check_in(0, 1, 2, 3)
    assert [each.reason for each in told] == ["offered", "offered", "full", "full"]
    for place in (0, 1):
        drive.accept(f"r.1.{place + 1}")
        drive.report(f"r.1.{place + 1}")
    assert seats(drive) == 2
    drive.trained(2, 3)
    drive.work()
    assert drive.round().state == "SEALED"
    assert drive.round().outcomes == {"ACCEPTED": 4}


def test_concurrency_beyond_the_need_gives_no_more_seats() -> None:
    drive = started(4, goal=2, over=1.0, concurrency=50)
    assert seats(drive) == 2


@pytest.mark.parametrize("way", ["decline", "lapse offer", "lapse work", "fail", "ban"])
def test_a_lost_lease_is_replaced(way: str) -> None:
    drive = started(4, goal=2, over=1.0, stall=1_000)
    lease = drive.lease(0)
    drive.accept(drive.lease(1))
    assert drive.check_in(2)[0].reason == "full"
    if way == "decline":
        drive.decline(lease)
    elif way == "fail":
        drive.fail(lease)
    elif way == "ban":
        drive.ban("id-d0")
    elif way == "lapse work":
        drive.accept(lease)
        drive.wait(1_000)
    else:
        for _ in range(31):
            drive.wait(999)
            drive.progress("r.1.2", done=drive.now_ms)
    assert drive.leased(lease).state == {"decline": "DECLINED", "fail": "FAILED", "ban": "REVOKED"}.get(way, "LAPSED")
    assert drive.leased(lease).reason == {"decline": "battery", "fail": "plan-raised", "ban": "device-banned"}.get(
        way, "offer" if way == "lapse offer" else "stall"
    )
    assert EndLease(lease=lease) in drive.sends
    assert drive.check_in(2)[0].reason == "offered"


def test_a_device_may_try_again_until_its_leases_are_used_up() -> None:
    drive = started(2, goal=2, minimum=1, over=1.0)
    for number in range(LIMITS.leases_per_device_max):
        lease = drive.lease(0)
        assert lease == f"r.1.{number + 1}"
        drive.decline(lease)
    assert drive.check_in(0)[0].reason == "round-done"
    drive.reload()
    drive.open(0)
    assert drive.check_in(0)[0].reason == "round-done", "a reload gives nobody more leases"


def test_an_incompatible_device_is_not_asked_again_in_the_round() -> None:
    drive = started(2, goal=2, minimum=1, over=1.0)
    drive.decline(drive.lease(0), "lacks a runtime", incompatible=True)
    assert drive.check_in(0)[0].reason == "round-done"
    assert drive.leased("r.1.1").reason == "lacks a runtime"


def test_progress_that_moves_keeps_a_lease_and_the_same_again_does_not() -> None:
    drive = started(2, goal=2, over=1.0, stall=1_000)
    lease = drive.lease(0)
    heard = drive.accept(lease)
    assert heard.remaining_ms == 1_000
    drive.wait(600)
    assert drive.progress(lease, done=1).remaining_ms == 1_000
    drive.wait(600)
    assert drive.progress(lease, done=1).remaining_ms == 400, "nothing moved"
    assert drive.progress(lease, done=0, moved=1).remaining_ms == 1_000, "bytes are progress too"
    drive.wait(900)
    assert drive.progress(lease, done=1, moved=1).remaining_ms == 100
    assert drive.wait(99).records == ()
    drive.wait(1)
    assert (drive.leased(lease).state, drive.leased(lease).reason) == ("LAPSED", "stall")
    heard = drive.progress(lease, done=9)
    assert (heard.word, heard.code, heard.remaining_ms) == ("stop", "lease-lapsed", 0)


def test_an_accepted_lease_accepted_again_starts_its_progress_anew() -> None:
    drive = started(2, goal=2, over=1.0, stall=1_000)
    lease = drive.lease(0)
    drive.accept(lease)
    drive.progress(lease, done=50)
    drive.wait(500)
    assert drive.accept(lease).remaining_ms == 500, "accepting again moves no deadline"
    assert drive.progress(lease, done=1).remaining_ms == 1_000, "a restarted device begins again"


def test_progress_is_forgotten_with_the_lease() -> None:
    drive = started(4, goal=4, minimum=1, over=1.0, stall=1_000)
    leases = [drive.lease(device) for device in range(4)]
    for lease in leases:
        drive.accept(lease)
        drive.progress(lease, done=1)
    assert len(drive.state.progress) == 4
    drive.report(leases[0])
    drive.fail(leases[1])
    drive.decline(leases[2])
    drive.wait(1_000)
    assert drive.state.progress == {}


def test_the_goal_counts_accepted_updates_and_closes_the_round() -> None:
    drive = started(4, goal=2, over=2.0)
    late = drive.lease(2)
    drive.accept(late)
    drive.trained(0, 1)
    assert drive.round().state == "REPORTING", "stored is not accepted"
    drive.judge("r.1.2")
    drive.judge("r.1.3")
    assert drive.round().state == "AGGREGATING"
    heard = drive.report(late)
    assert (heard.word, heard.code) == ("superseded", ""), "a late report after the round closed"
    assert drive.leased(late).reason == "round-closed"
    assert drive.leased(late).report == "", "and nothing of it is kept"


def test_a_closed_round_waits_for_every_stored_update() -> None:
    drive = started(4, goal=2, over=2.0)
    first, second = drive.lease(0), drive.lease(1)
    third = drive.lease(2)
    for lease in (first, second, third):
        drive.accept(lease)
        drive.report(lease)
    drive.judge(first)
    drive.judge(second)
    assert drive.round().state == "AGGREGATING"
    assert not drive.sent(FinishRound)
    drive.judge(third)
    assert drive.sent(FinishRound) == [FinishRound(run="r", round=1, leases=(first, second, third))]


def test_the_minimum_at_the_report_deadline() -> None:
    assert quorum(task(goal=5)) == 5
    assert quorum(task(goal=5, minimum=2)) == 2
    drive = started(3, goal=3, minimum=2, over=1.0, report_deadline=5_000)
    drive.trained(0, 1)
    drive.judge("r.1.1")
    drive.wait(4_699)
    assert drive.round().state == "REPORTING"
    drive.wake()
    assert drive.round().state == "AGGREGATING"
    assert drive.sent(JudgeUpdate)[-1] == JudgeUpdate(lease="r.1.2")
    drive.judge("r.1.2")
    drive.work()
    assert (drive.round().state, drive.round().outcomes) == ("SEALED", {"ACCEPTED": 2})


def test_one_below_the_minimum_is_abandoned() -> None:
    drive = started(3, goal=3, minimum=2, over=1.0, report_deadline=5_000)
    drive.trained(0)
    drive.judge("r.1.1")
    drive.wait(5_000)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")
    assert drive.leased("r.1.1").state == "ACCEPTED"
    assert drive.run().rounds_opened == 2


def test_a_refusal_after_closing_can_take_the_minimum_away() -> None:
    drive = started(3, goal=3, minimum=2, over=1.0, report_deadline=5_000)
    drive.trained(0, 1)
    drive.judge("r.1.1")
    drive.wait(5_000)
    assert drive.round().state == "AGGREGATING"
    drive.judge("r.1.2", "not-finite")
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")
    assert drive.round().outcomes == {"ACCEPTED": 1, "REFUSED:not-finite": 1}


def test_the_report_deadline_counts_from_the_first_lease() -> None:
    drive = started(2, goal=2, minimum=1, over=1.0, report_deadline=20_000)
    drive.wait(7_000)
    drive.lease(0)
    assert drive.round().report_deadline_ms == drive.now_ms + 20_000
    drive.wait(1_000)
    drive.lease(1)
    assert drive.round().report_deadline_ms == drive.now_ms - 1_000 + 20_000


def test_a_round_that_nobody_takes_a_lease_of_ends_too() -> None:
    drive = started(2, goal=2, report_deadline=20_000)
    drive.wait(19_699)
    assert drive.round().state == "REPORTING"
    drive.wait(400)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")


def test_a_round_starts_a_moment_after_its_goal_and_settles_after_its_minimum() -> None:
    drive = Drive()
    drive.begin(task(goal=3, minimum=2), 3)
    drive.check_in(0)
    assert drive.wake_ms == 60_000, "when the check-ins are counted; nothing of the round before that"
    drive.check_in(1)
    assert drive.wake_ms == drive.now_ms + LIMITS.form_settle_ms
    drive.wait(100)
    drive.check_in(2)
    assert drive.wake_ms == drive.now_ms + 1
    drive.wake()
    assert drive.round().state == "REPORTING"


def test_a_round_with_its_minimum_starts_when_it_has_settled() -> None:
    drive = Drive()
    drive.begin(task(goal=3, minimum=2), 2)
    drive.check_in(0, 1)
    drive.wait(LIMITS.form_settle_ms - 1)
    assert drive.round().state == "FORMING"
    drive.wait(1)
    assert drive.round().state == "REPORTING"


def test_the_minimum_is_reached_by_the_device_that_completes_it() -> None:
    drive = Drive()
    drive.begin(task(goal=4, minimum=2), 3)
    drive.check_in(0, 1, 2, at=[10, 15, 17])
    assert drive.wake_ms == 15 + LIMITS.form_settle_ms


def test_a_goal_reached_late_delays_no_round_that_has_settled() -> None:
    drive = Drive()
    drive.bring()
    drive.fleet(3)
    drive.submit(task(goal=3, minimum=2))
    drive.check_in(0, 1)
    drive.wait(1_000)
    drive.check_in(2)
    drive.work()
    assert (drive.round().state, drive.now_ms) == ("REPORTING", 1_000), "it waited for its manifest alone"


def test_a_device_that_comes_twice_is_nominated_once() -> None:
    drive = Drive()
    drive.begin(task(goal=2), 2)
    drive.check_in(0, 0, 0)
    drive.check_in(0)
    assert drive.state.open["r", 1].nominees == 1
    drive.wait(1_000)
    assert drive.round().state == "FORMING"


def test_the_next_round_forms_while_the_present_one_reports() -> None:
    drive = started(4, goal=2, over=1.0, rounds=2, reserve=True)
    assert drive.round(2).state == "FORMING"
    assert (drive.round(2).base, drive.round(2).form_deadline_ms) == ("", -1)
    drive.state.open["r", 1].reserved.clear()
    drive.trained(0, 1)
    assert [told.reason for told in drive.check_in(2, 3)] == ["reserved", "reserved"]
    drive.wait(1_000)
    assert drive.round(2).state == "FORMING", "it has no parent yet"
    drive.work()
    assert drive.round(2).base == "sha256:r.1"
    assert drive.round(2).form_deadline_ms == drive.now_ms + 600_000
    assert drive.round(2).state == "REPORTING", "its minimum was there before: it starts at once"
    assert drive.state.open["r", 2].reserved == {2, 3}
    assert drive.lease(2) == "r.2.1"


def test_a_round_without_a_successor_opens_none() -> None:
    drive = started(2, goal=2, rounds=1)
    assert ("r", 2) not in drive.state.rounds


def test_a_forming_round_takes_its_parent_after_an_abandoned_one_too() -> None:
    drive = started(4, goal=2, over=1.0, rounds=2, report_deadline=5_000)
    drive.wait(5_000)
    assert drive.round(1).state == "ABANDONED"
    assert drive.round(2).base == "sha256:base"
    assert drive.run().rounds_opened == 2


def test_reserved_seats_are_held_and_then_given_free() -> None:
    drive = Drive()
    drive.begin(task(goal=2, over=1.0), 5)
    drive.check_in(0, 1, 2, 3, 4)
    drive.wait(1)
    reserved = sorted(drive.state.open["r", 1].reserved)
    assert len(reserved) == 2
    (other, another, third) = (device for device in range(5) if device not in reserved)
    assert drive.check_in(other)[0].reason == "full"
    assert drive.check_in(reserved[0])[0].reason == "offered"
    assert drive.check_in(another)[0].reason == "full"
    drive.wait(LIMITS.reserve_ms - 1)
    assert drive.check_in(another)[0].reason == "full"
    drive.wait(1)
    assert drive.check_in(third)[0].reason == "offered"
    assert drive.check_in(another)[0].reason == "full"


def test_no_more_leases_live_than_the_plane_allows_whatever_the_runs() -> None:
    drive = Drive(Limits(leases_live_max=3))
    drive.begin(task(goal=2, over=1.0, priority=1), 8, run="a")
    drive.begin(task(goal=2, over=1.0), run="b")
    drive.check_in(0, 1)
    drive.wait(1)
    drive.check_in(2, 3)
    drive.wait(1)
    for run in ("a", "b"):
        drive.state.open[run, 1].reserved.clear()
    told = drive.check_in(*range(8))
    assert [each.offer.lease for each in told if each.offer] == ["a.1.1", "a.1.2", "b.1.1"]
    drive.decline("a.1.1")
    assert drive.check_in(7)[0].reason == "offered"
