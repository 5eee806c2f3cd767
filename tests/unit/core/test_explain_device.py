"""Why one device does or does not work: what holds whatever runs there are, then run by run."""

from podium.wire.explained import Explanation
from tests.support.core_acts import freeze, mark, pause
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.support.explain_cases import forming, full, of_device, of_run, reporting, resting, spent, with_other


def texts(told: Explanation) -> list[str]:
    """What is said of each cause."""
    return [each.text for each in told.causes]


def test_every_run_that_is_not_over_says_why_and_the_one_that_would_take_it_goes_first() -> None:
    drive = forming(1, requires="device.cores >= 4")
    drive.now_ms += 1
    drive.begin(task(goal=2), run="s")
    drive.now_ms += 1
    drive.begin(task(goal=2), run="t")
    pause(drive, run="t")
    drive.begin(task(goal=2), run="u")
    drive.stop("u")
    told = of_device(drive)
    assert [each.code for each in told.causes] == ["not-checked-in", "requires-unknown", "paused"]
    assert told.what == "device d0: run s may take it: it is connected, and due to check in for round s.1 within 1 s"
    assert texts(told)[1:] == [
        "run r requires `device.cores >= 4`; it does not tell what that names (it has cores none)",
        "run t is paused: it grants no lease",
    ]


def test_all_that_a_run_lacks_of_a_device_comes_one_at_a_time() -> None:
    told = of_device(with_other("digest", plan_digests=["sha256:new"]))
    assert texts(told) == ["run r wants tests.plan:train as sha256:new; it has sha256:old"]
    assert told.next == ["install the build sha256:new of tests.plan:train on d0, then start the agent again"]


def test_a_device_at_work_says_on_what_and_for_how_long() -> None:
    drive = reporting()
    drive.wait(40_000)
    told = of_device(drive)
    assert texts(told) == ["it works: lease r.1.1 has been HELD for 40 s, and lapses in 20 s unless it moves"]
    assert told.next == ["podium explain r"]


def test_an_offer_that_nobody_answers_counts_from_when_it_was_made() -> None:
    drive = forming()
    drive.check_in(0, 1)
    drive.wait(500)
    drive.lease(0)
    drive.wait(10_000)
    assert texts(of_device(drive))[0].startswith("it works: lease r.1.1 has been OFFERED for 10 s, and lapses in")


def test_marks_connection_and_the_frozen_plane_go_before_any_run() -> None:
    drive = forming()
    freeze(drive)
    mark(drive, ["id-d0"], "cordoned")
    drive.wait(31_000)
    told = of_device(drive)
    assert [each.code for each in told.causes] == ["not-connected", "cordoned", "frozen"]
    assert told.what == "device d0: it is not connected: last heard 31 s ago"
    mark(drive, ["id-d0"], "banned")
    told = of_device(drive)
    assert (told.cause, told.state) == ("banned", "banned")
    assert told.next == ["podium device unban id-d0    # if they were banned by mistake"]


def test_a_device_that_was_never_heard_says_so() -> None:
    drive = forming()
    drive.reload()
    assert texts(of_device(drive)) == ["it is not connected: never heard since the plane started"]


def test_a_device_that_did_its_part_is_explained_by_the_round_that_forms() -> None:
    drive = reporting(2, rounds=9)
    drive.report(drive.state.live_lease[0])
    assert texts(of_device(drive)) == [
        "run r may take it: it is connected, and due to check in for round r.2 within 1 s"
    ]
    drive = reporting(2, rounds=1)
    drive.report(drive.state.live_lease[0])
    assert of_device(drive).cause == "contributed"


def test_when_a_device_may_train_again() -> None:
    drive = resting()
    drive.wait(600_000)
    told = of_device(drive, 1)
    assert texts(told)[-1] == ("run r wants 1 h between two trainings (select.separation): it is free in 50 min")


def test_a_failure_is_told_last_and_where_to_read_it() -> None:
    told = of_device(spent())
    assert told.causes[-1].code == "failed-last"
    assert told.causes[-1].text == "its last failure: plan-raised"


def test_a_seat_that_is_kept_for_another_is_taken() -> None:
    drive = forming(rounds=1)
    drive.check_in(0, 1)
    drive.wait(500)
    drive.check_in(2)
    assert of_device(drive, 2).cause == "seats-taken"
    assert of_device(drive, 0).cause == "returning", "the seat is its own"
    drive.wait(11_000)
    assert of_device(drive, 2).cause == "returning", "kept no longer"


def test_what_is_said_of_a_device_agrees_with_what_is_said_of_the_run() -> None:
    drive: Drive = full()
    assert of_run(drive).cause == "waiting-for-reports"
    assert [of_device(drive, number).cause for number in range(3)] == ["seats-taken", "at-work", "at-work"]
