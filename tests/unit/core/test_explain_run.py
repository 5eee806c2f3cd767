"""Which of several causes binds a run, and that numbers, names and values are those of that very run."""

import pytest

from podium.core.views import holdups
from podium.wire.explained import Explanation
from podium.wire.limits import Limits
from tests.support.core_acts import freeze, mark, pause, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.support.explain_cases import abandoned, forming, of_run, preparing, reporting, resting, spent


def codes(told: Explanation) -> list[tuple[str, int]]:
    """Every cause with the devices it holds, the binding one first."""
    return [(each.code, each.devices) for each in told.causes]


def test_of_two_causes_that_would_each_do_the_larger_binds() -> None:
    drive = forming(2)
    drive.fleet(3, plans={})
    mark(drive, ["id-d1"], "cordoned")
    drive.check_in(0)
    assert codes(of_run(drive)) == [("plan-missing", 3), ("cordoned", 1)]


def test_a_smaller_cause_that_would_do_binds_before_a_larger_one_that_would_not() -> None:
    drive = forming(2, datasets=["hearts"])
    for device in (0, 1):
        drive.open(device, capabilities={"datasets": {"hearts": 9}})
    drive.fleet(3, plans={})  # and no dataset either: with the plan alone they would still not do
    mark(drive, ["id-d1"], "cordoned")
    drive.check_in(0)
    assert codes(of_run(drive)) == [("cordoned", 1), ("plan-missing", 3)]


def test_if_no_cause_alone_would_do_the_largest_binds() -> None:
    drive = forming(2, goal=9)
    drive.fleet(3, plans={})
    told = of_run(drive)
    assert codes(told) == [("too-few-enrolled", 4), ("plan-missing", 3), ("not-checked-in", 2)]
    assert told.next == [
        "podium device token --uses 4    # then, on each new device: podium device enroll TOKEN --state DIR, "
        "podium device run --state DIR",
        "or change the task: podium stop r, then podium run TASK.toml with a round.minimum of at most 2",
    ]


def test_devices_that_will_come_are_counted_as_if_they_had() -> None:
    drive = forming(3, goal=3)
    mark(drive, ["id-d2"], "cordoned")
    drive.check_in(0)
    told = of_run(drive)
    assert codes(told) == [("cordoned", 1), ("not-checked-in", 1)]
    assert told.next[0] == "podium device uncordon id-d2"
    mark(drive, ["id-d2"], "active")
    assert codes(of_run(drive)) == [("not-checked-in", 2)], "now it is only a matter of time"


def test_a_round_of_a_frozen_plane_that_has_its_devices_goes_on() -> None:
    drive = reporting(2)
    freeze(drive)
    assert codes(of_run(drive)) == [("waiting-for-reports", 2), ("frozen", 0)]
    drive.fail(drive.state.live_lease[0])
    assert [code for code, _ in codes(of_run(drive))] == ["frozen", "waiting-for-reports"]


def test_a_round_that_has_its_devices_does_not_start_in_a_frozen_plane_and_the_freeze_is_why() -> None:
    drive = forming(3)
    drive.check_in(0, 1)
    freeze(drive, why="an incident")
    told = of_run(drive)
    assert codes(told) == [("frozen", 0)], "neither does it start soon, nor is anything amiss with the devices"
    assert told.what == (
        "round r.1 cannot start: 2 of 2 devices that it needs are there; the plane was frozen 1 s ago by "
        "person:administrator (an incident): no lease is granted"
    )
    pause(drive)
    assert codes(of_run(drive)) == [("paused", 0), ("frozen", 0)]
    unfreeze(drive)
    assert codes(of_run(drive)) == [("paused", 0)]


def test_a_frozen_round_that_is_not_prepared_says_that_too() -> None:
    drive = preparing()
    freeze(drive)
    assert codes(of_run(drive)) == [("frozen", 0), ("preparing", 0)]


def test_a_run_that_ended_in_a_frozen_plane_says_so_then_and_later() -> None:
    drive = reporting(2, deadline=600_000, report_deadline=30_000, abandoned_max=1)
    freeze(drive, revoke=True)
    drive.wait(30_000)
    drive.wait(600_000)
    told = of_run(drive)
    assert codes(told)[:3] == [("run-timed-out", 0), ("frozen-meanwhile", 0), ("frozen", 0)], "a retry finds it frozen"
    assert "the plane was frozen while r.2, r.1 went on:" in told.causes[1].text
    drive.wait(1_000)
    unfreeze(drive)
    assert [code for code, _ in codes(of_run(drive))][:2] == ["run-timed-out", "frozen-meanwhile"]
    assert "frozen" not in {each.code for each in of_run(drive).causes}


def test_a_run_that_lacked_devices_names_the_round_that_counted_and_the_freeze_beside() -> None:
    drive = forming(2, abandoned_max=1, form_deadline=20_000, report_deadline=5_000)
    drive.check_in(0, 1)
    drive.wait(500)
    freeze(drive)
    drive.wait(5_000)
    drive.work()
    unfreeze(drive)
    drive.wait(20_000)
    told = of_run(drive)
    assert [code for code, _ in codes(told)][:2] == ["run-abandoned", "frozen-meanwhile"]
    assert "1 rounds in a row were, the last one (r.2) could not start" in told.what
    assert "while r.1 went on" in told.causes[1].text


def test_who_is_banned_or_cordoned_after_it_was_counted_on_is_named() -> None:
    drive = forming(3, goal=3)
    drive.check_in(0, 1, 2)
    mark(drive, ["id-d0"], "banned")
    mark(drive, ["id-d1"], "cordoned")
    told = of_run(drive)
    assert codes(told) == [("banned", 1), ("cordoned", 1)]
    assert told.what == "round r.1 cannot start: 1 of 3 devices that it needs are there; 1 device banned (d0)"
    assert told.waiting is not None
    assert (told.waiting.have, told.waiting.why) == (1, {"banned": 1, "cordoned": 1})


def test_a_paused_run_waits_for_its_person_whatever_else_there_is() -> None:
    drive = reporting(2)
    freeze(drive)
    pause(drive, now=True)
    assert [code for code, _ in codes(of_run(drive))] == ["paused", "frozen", "waiting-for-reports"]


def test_as_many_as_may_work_at_once_are_enough() -> None:
    drive = reporting(3, goal=3, minimum=2, concurrency=2)
    told = of_run(drive)
    assert codes(told) == [("waiting-for-reports", 2), ("not-checked-in", 1)]
    assert told.next[0] == "wait: round r.1 closes with the report that makes 3, or in 5 min with at least 2"


def test_a_round_that_reports_and_lacks_devices_says_how_far_it_is() -> None:
    drive = reporting(3, goal=3, minimum=2)
    mark(drive, ["id-d2"], "cordoned")
    drive.report(drive.state.live_lease[0])
    told = of_run(drive)
    assert told.what == "round r.1 has 1 of 3 reports, 1 at work; 1 device cordoned (d2)"
    assert codes(told) == [("cordoned", 1), ("waiting-for-reports", 1), ("being-checked", 1)]
    assert told.next[1].endswith("with a round.goal of at most 2"), "its minimum is there already"
    assert told.waiting is not None and (told.waiting.need, told.waiting.left_ms) == (3, 300_000)


def test_when_the_separation_is_over_is_said() -> None:
    drive = resting()
    drive.wait(600_000)
    told = of_run(drive)
    assert told.causes[0].text == (
        "2 devices that took part less than 1 h ago (select.separation): the first is free in 50 min, enough "
        "are in 50 min"
    )
    assert "a shorter select.separation" in told.next[1]


def test_how_tries_were_spent_and_whose_plan_failed_is_said() -> None:
    told = of_run(spent())
    assert told.causes[0].text == "1 device out of tries in round r.1: failed plan-raised 3, lapsed stall 1"
    assert told.next[0] == "podium device logs id-d0    # what failed there"


def test_why_a_run_was_abandoned_and_what_a_retry_would_find_is_said() -> None:
    drive = abandoned()
    mark(drive, ["id-d0"], "cordoned")
    told = of_run(drive)
    assert told.what == (
        "run r was abandoned 1 s ago: 2 rounds in a row were, the last one (r.2) could not start: fewer devices "
        "than its minimum of 2 might take part; 0 of 9 rounds sealed, its version is v0 (sha256:base); a retry would "
        "find 0 of the 2 devices that it needs"
    )
    assert codes(told) == [("run-abandoned", 0), ("cordoned", 1), ("too-few-enrolled", 1)]
    assert told.causes[2].text == "1 device missing: 1 enrolled, round r.2 needs 2"
    assert told.next[0] == "mend what holds devices back, listed below, until 2 may take part; now 0 may"


def test_what_holds_nobody_back_is_not_said_to_stand_below() -> None:
    drive = abandoned()
    drive.fleet(1)
    told = of_run(drive)
    assert codes(told) == [("run-abandoned", 0)]
    assert told.next == ["podium retry r    # goes on from v0 (sha256:base), as a new run"]


def test_plans_that_every_installation_brings_are_no_answer() -> None:
    drive = forming(2)
    drive.fleet(1, plans={"podium_examples.hospital:train": "sha256:a"})
    drive.fleet(1, plans={"podium_examples.hospital:train": "sha256:a", "theirs:train": "sha256:b"})
    told = next(each for each in of_run(drive).causes if each.code == "plan-missing")
    assert told.text.endswith("(they offer only the examples of Podium (1), theirs:train (1))")


def test_outcomes_of_the_last_round_of_an_abandoned_run_are_told() -> None:
    drive = reporting(2, abandoned_max=1, report_deadline=5_000)
    drive.decline(drive.state.live_lease[0])
    drive.wait(5_000)
    assert "(r.1) ended with fewer updates than its minimum of 2 (DECLINED:battery 1, " in of_run(drive).what


def test_values_that_devices_told_are_counted_and_made_harmless() -> None:
    drive = forming(0, goal=9, requires="device.os == 'linux' && device.labels['zone'] == 'a'")
    for told_os, count in (("one\x1b[2J", 4), ("two", 3), ("three", 2), ("four", 1)):
        drive.fleet(count, os=told_os)
    told = of_run(drive)
    assert told.causes[0].text == (
        "10 devices with `device.os == 'linux'` false (they have os one?[2J (4), os two (3), os three (2))"
    )
    assert told.next[0].startswith("make `device.os == 'linux'` true on d0, d1, d2 and 7 more, then start the agent")


def test_what_comes_with_enrolment_is_not_asked_of_the_agent() -> None:
    drive = forming(3, requires="device.site == 'north'")
    assert of_run(drive).next[0] == (
        "podium device token --site SITE --label NAME=VALUE    # for other devices: site and labels are the token's, "
        "whatever an agent tells"
    )


def test_many_momentary_values_are_told_in_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    drive = forming(6, goal=6, when="device.battery > 0.5")
    for device in range(6):
        drive.check_in(device, facts={"battery": 0.25 if device % 2 else 0.125})
    assert of_run(drive).causes[0].text.endswith("(they tell battery 0.125 (3), battery 0.25 (3))")
    monkeypatch.setattr(holdups, "TOLD_MAX", 4)
    assert of_run(drive).causes[0].text.endswith("(they tell battery 0.125 (50%), battery 0.25 (50%))")


def test_data_is_judged_device_by_device_though_the_devices_share_a_fact_set() -> None:
    drive = forming(0, datasets=["hearts"], examples_min=10, requires="device.label_coverage >= 0.5")
    for examples, coverage in ((9, "1"), (10, "0.5"), (0, "0.4"), (50, None)):
        covers: dict[str, object] = {} if coverage is None else {"label_coverage": coverage}
        drive.fleet(1, site="", datasets={"hearts": examples, "lungs": 3}, **covers)
    assert len(set(drive.state.fleet.facts_id[:4].tolist())) == 1, "numbers are no part of a fact set"
    told = of_run(drive)
    counts = [("dataset", 1), ("requires-false", 1), ("requires-unknown", 1), ("not-checked-in", 1)]
    assert sorted(codes(told)) == sorted(counts)
    assert next(cause for cause in told.causes if cause.code == "dataset").text.endswith("(they tell hearts 9 (1))")


def test_a_fleet_that_has_told_nothing_since_the_plane_started() -> None:
    drive = forming(3)
    drive.reload()
    told = of_run(drive)
    assert codes(told) == [("not-connected", 3)]
    assert told.causes[0].text == "3 devices not heard within 30 s (d0, d1, d2)"


def test_a_large_fleet_is_given_the_time_of_its_window() -> None:
    apart = {"window_rendezvous_ms": 100_000, "window_floor_ms": 100_000, "window_ceiling_ms": 200_000}
    drive = Drive(Limits(rendezvous_devices_max=1, **apart))
    drive.begin(task(goal=2), 2)
    drive.wait(100_000)
    assert codes(of_run(drive)) == [("not-checked-in", 2)], "they were told to come within some minutes"
    drive.wait(400_000)
    assert codes(of_run(drive)) == [("not-connected", 2)]
