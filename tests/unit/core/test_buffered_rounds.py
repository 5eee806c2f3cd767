"""Buffered rounds by hand: who stands in which window, when a window takes nobody, and what ends with what."""

import pytest

from podium.core.effects import EndRound, FinishRound
from podium.core.events import AggregateFailed
from podium.core.said import LeaseProgressed
from podium.core.views.runs import round_view
from tests.support.core_acts import freeze, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.support.explain_cases import of_run, window_preparing


def windows(devices: int, **terms: object) -> Drive:
    """A buffered run whose first window is open."""
    drive = Drive()
    given = {"mode": "buffered", "goal": 2, "concurrency": 3, "staleness_max": 2, "rounds": 4, "stall": 30_000}
    drive.begin(task(**{**given, **terms}), devices)
    return drive


def states(drive: Drive) -> list[str]:
    """The states of the run's rounds, oldest first."""
    return [row.state for key, row in sorted(drive.state.rounds.items())]


def test_so_many_are_at_work_at_all_times_and_a_lost_lease_is_replaced_by_the_next_who_comes() -> None:
    drive = windows(6)
    first = [drive.lease(device) for device in (0, 1, 2)]
    assert [told.reason for told in drive.check_in(3, 4)] == ["full", "full"]
    drive.decline(first[0])
    drive.accept(first[1])
    drive.fail(first[1])
    third, fourth = drive.lease(3), drive.lease(4)
    assert [told.reason for told in drive.check_in(5)] == ["full"]
    drive.wait(30_000)  # nobody took the offers
    assert {drive.leased(lease).state for lease in (first[2], third, fourth)} == {"LAPSED"}
    assert drive.check_in(5)[0].reason == "offered"


def test_no_lease_begins_once_the_goal_is_stored_because_it_would_be_stale_at_once() -> None:
    drive = windows(6)
    drive.trained(0, 1)
    assert [told.reason for told in drive.check_in(2)] == ["full"]
    drive.judge("r.1.1", "not-finite")
    assert drive.check_in(2)[0].reason == "offered", "one of them did not count"


def test_staleness_counts_the_versions_between_and_the_bound_is_exact() -> None:
    drive = windows(8)
    slow, slowest = drive.lease(0), drive.lease(1)
    drive.accept(slow)
    drive.accept(slowest)
    for pair in ((2, 3), (4, 5)):
        drive.trained(*pair)
        drive.work()
    assert drive.leased(slow).state == "HELD"
    assert drive.report(slow).word == "stored"
    assert (drive.leased(slow).round, drive.leased(slow).staleness) == (3, 2)
    drive.trained(6)
    drive.work()
    assert (drive.leased(slowest).state, drive.leased(slowest).reason) == ("SUPERSEDED", "stale")
    assert drive.leased(slowest).round == 3, "it ended with the window that closed"
    assert drive.report(slowest).word == "superseded"
    assert drive.sent(FinishRound)[-1].leases == (slow, "r.3.1")
    assert drive.round(3).outcomes == {"ACCEPTED": 2, "SUPERSEDED:stale": 1}
    assert [end.key_rounds for end in drive.sent(EndRound)] == [(), (2,), (1, 3)]


def test_with_no_staleness_a_window_is_a_synchronous_round() -> None:
    drive = windows(4, staleness_max=0)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1, 2)
    drive.work()
    assert drive.leased(slow).state == "SUPERSEDED"
    assert drive.sent(EndRound) == [EndRound(run="r", round=1, key_id="k-r.1", key_rounds=(1,))]


def test_reports_between_two_windows_count_in_the_next_which_may_be_full_when_it_starts() -> None:
    drive = windows(5)
    early = [drive.lease(device) for device in (0, 1)]
    for lease in early:
        drive.accept(lease)
    drive.trained(2)
    drive.work()
    drive.trained(3)
    drive.judge("r.1.4")
    assert states(drive) == ["AGGREGATING", "FORMING"]
    for lease in early:
        drive.report(lease)
        drive.judge(lease)
        assert drive.leased(lease).staleness == 1, "the version that is being made counts"
    assert [told.reason for told in drive.check_in(4)] == ["full"]
    drive.work()
    assert states(drive)[:2] == ["SEALED", "SEALED"]
    assert [send.leases for send in drive.sent(FinishRound)] == [("r.1.3", "r.1.4"), ("r.1.1", "r.1.2")]


def test_a_device_counts_once_in_a_window_and_again_in_the_next() -> None:
    drive = windows(3)
    drive.trained(0)
    assert drive.check_in(0)[0].reason == "round-done"
    drive.trained(1)
    drive.work()
    assert drive.lease(0) == "r.2.1"


def test_a_window_whose_time_is_over_hands_its_leases_on_and_loses_what_is_stored() -> None:
    drive = windows(4, report_deadline=40_000, abandoned_max=2)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1)
    drive.work()
    for done in (1, 2):
        drive.wait(20_000)
        drive.say(LeaseProgressed, slow, done=done, total=9, moved_bytes=0)
    drive.work()
    assert (drive.round(1).state, drive.round(1).reason) == ("ABANDONED", "below-minimum")
    assert drive.round(1).outcomes == {"ACCEPTED": 1}
    assert (drive.run().abandoned_in_row, drive.leased(slow).state) == (1, "HELD")
    assert drive.round(2).state == "REPORTING"
    drive.report(slow)
    assert (drive.leased(slow).round, drive.leased(slow).staleness) == (2, 0), "no version came between"
    drive.trained(1)
    drive.work()
    assert (drive.run().rounds_sealed, drive.run().abandoned_in_row) == (1, 0)


def test_windows_that_come_to_nothing_end_the_run_and_every_lease() -> None:
    drive = windows(4, report_deadline=30_000, abandoned_max=1, stall=30_000)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.wait(20_000)
    drive.say(LeaseProgressed, slow, done=1, total=9, moved_bytes=0)
    drive.wait(10_000)
    assert (drive.run().state, drive.run().reason) == ("ABANDONED", "rounds-abandoned")
    assert (drive.leased(slow).state, drive.leased(slow).reason) == ("REVOKED", "run-abandoned")
    assert states(drive) == ["ABANDONED", "ABANDONED"]
    assert sorted(number for end in drive.sent(EndRound) for number in end.key_rounds) == [1, 2]


def test_a_key_that_is_gone_ends_every_lease_of_the_window_that_needs_it() -> None:
    drive = windows(5)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1, 2)
    drive.work()
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=2, reason="key-erased"))
    drive.work()
    assert (drive.leased(slow).state, drive.leased(slow).reason) == ("REVOKED", "key-erased")
    assert states(drive) == ["SEALED", "ABANDONED", "REPORTING"]
    assert drive.sent(EndRound)[-1].key_rounds == (1, 2)


def test_a_paused_run_keeps_what_is_stored_and_grants_nothing_until_it_goes_on() -> None:
    drive = windows(6)
    slow = drive.lease(0)
    drive.accept(slow)
    pause(drive)
    assert drive.run().state == "PAUSING"
    drive.trained(1, 2)
    drive.work()
    assert (drive.run().state, states(drive)) == ("PAUSED", ["SEALED", "FORMING"])
    assert drive.report(slow).word == "stored"
    drive.work()
    assert drive.check_in(3)[0].reason == "paused"
    resume(drive, "r")
    assert states(drive) == ["SEALED", "REPORTING"]
    drive.trained(3)
    drive.work()
    assert drive.run().rounds_sealed == 2


def test_a_freeze_that_revokes_ends_the_stream_and_no_window_starts_meanwhile() -> None:
    drive = windows(5)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1, 2)
    freeze(drive, revoke=True)
    drive.work()
    assert (drive.leased(slow).state, states(drive)) == ("REVOKED", ["SEALED", "FORMING"])
    assert of_run(drive).cause == "frozen"
    unfreeze(drive)
    assert states(drive) == ["SEALED", "REPORTING"]
    assert drive.check_in(3)[0].reason == "offered"


def test_a_reload_puts_everybody_where_they_stood() -> None:
    drive = windows(6)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1, 2)
    drive.judge("r.1.2")
    drive.judge("r.1.3")
    before = {key: dict(work.leases) for key, work in drive.state.open.items()}
    drive.reload(500)
    assert {key: dict(work.leases) for key, work in drive.state.open.items()} == before
    assert set(before["r", 2]) == {slow}


def test_what_a_person_sees_of_a_window_counts_all_who_stand_in_it() -> None:
    drive = windows(6)
    drive.accept(drive.lease(0))
    drive.trained(1, 2)
    drive.work()
    drive.trained(3)
    shown = round_view(drive.state, drive.round(2), drive.now_ms)
    assert {name: shown.leases[name] for name in ("granted", "training", "reported", "accepted")} == {
        "granted": 2,
        "training": 1,
        "reported": 1,
        "accepted": 0,
    }
    ended = round_view(drive.state, drive.round(1), drive.now_ms)
    assert (ended.leases["granted"], ended.leases["accepted"]) == (2, 2)


def test_a_window_that_is_prepared_says_so() -> None:
    told = of_run(window_preparing())
    assert told.cause == "window-preparing"
    assert told.waiting is not None and told.waiting.what == "round r.2 is being prepared"


@pytest.mark.parametrize("reason", ["update-lost", "base-lost"])
def test_a_window_that_cannot_be_summed_leaves_the_next_as_it_is(reason: str) -> None:
    drive = windows(6)
    slow = drive.lease(0)
    drive.accept(slow)
    drive.trained(1, 2)
    drive.judge("r.1.2")
    drive.judge("r.1.3")
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason=reason))
    drive.work()
    assert states(drive) == ["ABANDONED", "REPORTING"]
    assert drive.leased(slow).state == "HELD"
