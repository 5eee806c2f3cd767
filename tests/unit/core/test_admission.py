"""Why a device got a lease, a reserved seat or nothing: every reason, the order of runs, and what a person is told."""

import msgspec
import pytest
from msgspec.structs import replace

from podium.core.effects import CheckinAnswers
from podium.core.views import fleet, models
from podium.core.views import runs as views
from podium.wire.operator import Wait
from tests.support.core_drive import Drive
from tests.support.core_made import BASE, IDLE_MS, PLAN, SOON_MS, gathers, task
from tests.support.explain_cases import resting


def heard(drive: Drive, *devices: int, **facts: float) -> list[str]:
    """What `devices` hear."""
    return [told.reason for told in drive.check_in(*devices, facts=facts)]


def forming(devices: int = 0, **terms: object) -> Drive:
    """A run whose first round forms."""
    drive = Drive()
    drive.begin(task(**{"goal": 2, "over": 1.0, **terms}), devices)
    return drive


def test_no_run_no_task() -> None:
    drive = Drive()
    drive.fleet(1)
    assert heard(drive, 0) == ["no-task"]


def test_a_device_needs_the_plan_and_its_digest() -> None:
    drive = forming(plan_digests=["sha256:good"])
    drive.fleet(1, plans={PLAN: "sha256:good"})
    drive.fleet(1, plans={PLAN: "sha256:bad"})
    drive.fleet(1, plans={"other:plan": "sha256:good"})
    assert heard(drive, 0, 1, 2) == ["reserved", "kind", "kind"]


def test_a_device_needs_the_data() -> None:
    drive = forming(datasets=["hearts", "lungs"], examples_min=50)
    drive.fleet(1, datasets={"hearts": 50, "lungs": 0})
    drive.fleet(1, datasets={"hearts": 49, "lungs": 50})
    drive.fleet(1, datasets={"hearts": 50})
    assert heard(drive, 0, 1, 2) == ["reserved", "dataset", "dataset"], "a count of 0 is private, not none"


def test_rules_have_their_reasons() -> None:
    drive = forming(requires="device.cores >= 4", when="device.charging && device.battery > 0.5")
    drive.fleet(1, cores=4)
    drive.fleet(1, cores=2)
    drive.fleet(1)
    facts = {"charging": 1, "battery": 0.75}
    assert heard(drive, 0, 1, 2, **facts) == ["reserved", "requires", "unknown-fact"]
    assert heard(drive, 0, charging=0, battery=0.75) == ["when"]
    assert heard(drive, 0, charging=1) == ["unknown-fact"]
    why = views.run_view(drive.state, drive.run(), drive.now_ms).waiting
    assert why is not None
    assert why.why == {
        "unknown: device.battery > 0.5": 1,
        "false: device.cores >= 4": 1,
        "unknown: device.cores >= 4": 1,
    }


def test_separation_counts_from_the_last_lease() -> None:
    drive = forming(3, goal=1, rounds=3, separation=10_000)
    assert heard(drive, 0) == ["reserved"]
    drive.wait(1)
    drive.trained(0)
    began = drive.leased("r.1.1").granted_ms
    drive.work()
    assert heard(drive, 0) == ["separation"]
    drive.wait(began + 9_999 - drive.now_ms)
    assert heard(drive, 0) == ["separation"]
    drive.wait(1)
    assert heard(drive, 0) == ["reserved"]


def test_full_round_done_banned_epoch_and_again() -> None:
    drive = forming(4)
    assert heard(drive, 0, 1) == ["reserved", "reserved"]
    drive.wait(1)
    assert heard(drive, 2, 0, 3, 1, 2) == ["full", "offered", "full", "offered", "full"]
    drive.accept("r.1.1")
    assert heard(drive, 0) == ["offered"], "its own lease again"
    drive.report("r.1.1")
    assert heard(drive, 0) == ["round-done"]
    drive.ban("id-d2")
    drive.epochs[3] += 1
    assert heard(drive, 2, 3) == ["banned", "epoch"]


def test_one_example_is_a_count_and_not_a_secret() -> None:
    drive = forming(datasets=["hearts"], examples_min=2)
    drive.fleet(1, datasets={"hearts": 1})
    assert heard(drive, 0) == ["dataset"]


def test_a_later_clause_is_named_by_its_own_text() -> None:
    drive = forming(requires="device.cores > 1 && device.ram_mb > 99 && device.os == 'linux'")
    drive.fleet(1, cores=2, ram_mb=100, os="plan9")
    drive.fleet(1, cores=2)
    assert heard(drive, 0, 1) == ["requires", "unknown-fact"]
    assert waiting(drive).why == {"false: device.os == 'linux'": 1, "unknown: device.ram_mb > 99": 1}


def test_free_seats_and_reserved_ones_within_one_batch() -> None:
    drive = forming(8, goal=4)
    drive.check_in(*range(8))
    drive.wait(1)
    reserved = drive.state.open["r", 1].reserved
    assert len(reserved) == 4
    keeps = max(reserved)
    others = [device for device in range(8) if device != keeps]
    reserved.intersection_update({keeps})
    assert heard(drive, *others[:5], keeps, others[5]) == [*["offered"] * 3, "full", "full", "offered", "full"]


def test_reservations_give_no_seat_that_is_not_there() -> None:
    drive = Drive()
    drive.begin(task(goal=3, over=2.0), 6)
    drive.check_in(*range(6))
    drive.wait(1)
    assert len(drive.state.open["r", 1].reserved) == 6
    terms = drive.state.tasks["sha256:task-of-r"]
    drive.state.put(replace(terms, task=task(goal=3, over=1.0)))
    assert heard(drive, *range(6)) == [*["offered"] * 3, *["full"] * 3]


def test_runs_are_served_by_priority() -> None:
    drive = Drive()
    drive.begin(task(goal=1, over=1.0, priority=1), 4, run="late-by-name-z")
    drive.wait(5)
    drive.begin(task(goal=1, over=1.0), run="a")
    assert heard(drive, 0) == ["reserved"]
    assert drive.state.open["late-by-name-z", 1].nominees == 1
    assert drive.state.open["a", 1].nominees == 0
    drive.wait(1)
    assert heard(drive, 1) == ["reserved"], "the first run's seat is reserved, so the second run takes it"
    drive.wait(1)
    offers = drive.check_in(0, 1, 2)
    assert [told.offer.run if told.offer else "" for told in offers] == ["late-by-name-z", "a", ""]


def test_a_device_that_fits_no_rule_of_one_run_serves_another() -> None:
    drive = Drive()
    drive.begin(task(goal=1, over=1.0, requires="device.cores > 8"), 1, run="a")
    drive.begin(task(goal=1, over=1.0), run="b")
    assert heard(drive, 0) == ["reserved"]
    assert drive.state.open["b", 1].nominees == 1


def test_who_waits_long_with_a_round_that_is_short_asks_less_often() -> None:
    drive = Drive()
    drive.begin(task(goal=3, minimum=3), 2)
    # a sixteenth of the wait, rounded down by doublings of 200 ms, at most 16 of them
    for waited, every in ((0, 200), (16_000, 800), (16_000, 1_600), (60_000, 3_200), (200_000, 3_200)):
        drive.wait(waited)
        assert gathers(drive.now_ms, drive.check_in(0)[0].window_ms, every)


def test_windows_are_short_while_a_run_is_open_and_long_when_idle() -> None:
    drive = Drive()
    drive.fleet(1)
    assert gathers(drive.now_ms, drive.check_in(0)[0].window_ms, IDLE_MS)
    drive.begin(task(goal=1))
    assert gathers(drive.now_ms, drive.check_in(0)[0].window_ms, SOON_MS)
    drive.wait(1)
    lease = drive.lease(0)
    drive.accept(lease)
    heard_once = drive.report(lease)
    assert gathers(drive.now_ms, heard_once.window_ok_ms, SOON_MS)
    drive.work()
    assert gathers(drive.now_ms, drive.report(lease).window_ok_ms, IDLE_MS), "its run is over"


# -- what a person is told --------------------------------------------------------------------------------------------


def waiting(drive: Drive) -> Wait:
    """What the run waits for."""
    view = views.run_view(drive.state, drive.run(), drive.now_ms).waiting
    assert view is not None
    return view


def test_a_shortfall_is_named_with_have_need_and_why() -> None:
    drive = forming(3, goal=3, minimum=2, form_deadline=60_000, when="device.charging")
    drive.wait(40_000)
    wait = waiting(drive)
    assert wait.what == "round r.1 needs devices to start"
    assert (wait.have, wait.need, wait.since_ms, wait.left_ms, wait.why) == (0, 2, 40_000, 20_000, {"not connected": 3})
    drive.check_in(0, facts={"charging": 1})
    drive.check_in(1, facts={"charging": 0})
    wait = waiting(drive)
    assert (wait.have, wait.need) == (1, 2)
    assert wait.why == {"not connected": 1, "false: device.charging": 1}


def test_a_fleet_that_is_too_small_or_not_heard_yet_is_named() -> None:
    drive = forming(1, goal=3)
    assert waiting(drive).why == {"not enrolled": 2, "not checked in yet": 1}
    drive.check_in(0)
    assert waiting(drive).why == {"not enrolled": 2}, "it has a seat"
    drive.stop()
    drive.begin(task(goal=3, over=1.0, name="next"), 0, run="s")
    wait = views.run_view(drive.state, drive.run("s"), drive.now_ms).waiting
    assert wait is not None
    assert wait.why == {"not enrolled": 2, "not checked in yet": 1}


def test_a_reporting_round_says_who_is_at_work() -> None:
    drive = forming(3, goal=2, over=1.5, report_deadline=60_000)
    drive.check_in(0, 1, 2)
    drive.wait(1)
    drive.lease(0)
    drive.trained(1)
    wait = waiting(drive)
    assert wait.what == "round r.1 needs reports"
    assert (wait.have, wait.need, wait.left_ms) == (0, 2, 60_000)
    assert wait.why == {"at work": 1, "being checked": 1}


def test_an_aggregating_round_waits_without_a_deadline() -> None:
    drive = forming(2, goal=2, rounds=2)
    drive.check_in(0, 1)
    drive.wait(1)
    for lease in drive.trained(0, 1):
        drive.judge(lease)
    wait = waiting(drive)
    assert (wait.what, wait.have, wait.need, wait.left_ms) == ("round r.1 is being aggregated", 2, 2, -1)


def test_the_view_of_a_run_and_its_round() -> None:
    drive = forming(4, goal=2, over=2.0, rounds=2, name="digits")
    drive.check_in(0, 1, 2, 3)
    drive.wait(1)
    drive.decline(drive.lease(0))
    drive.accept(drive.lease(1))
    drive.judge(drive.trained(2, metrics={"accuracy": (3.0, 4.0)})[0])
    view = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert (view.task, view.state, view.rounds, view.rounds_sealed, view.version_number) == (
        "digits",
        "RUNNING",
        2,
        0,
        0,
    )
    assert (view.elapsed_ms, view.left_ms) == (drive.now_ms, 86_400_000 - drive.now_ms)
    assert view.round is not None
    assert (view.round.number, view.round.state, view.round.goal, view.round.minimum) == (1, "REPORTING", 2, 2)
    assert view.round.leases == {"granted": 3, "training": 1, "reported": 1, "accepted": 1}
    assert view.round.lost == {"DECLINED:battery": 1}
    assert view.bytes_up == 8
    drive.judge(drive.trained(3, metrics={"accuracy": (4.0, 4.0)})[0])
    drive.work()
    view = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert (view.rounds_sealed, view.version_number, view.history) == (1, 1, {"accuracy": [7 / 8]})
    sealed = views.round_view(drive.state, drive.round(1), drive.now_ms + 500)
    assert (sealed.state, sealed.left_ms, sealed.metrics, sealed.lost) == (
        "SEALED",
        -1,
        {"accuracy": 7 / 8},
        {"DECLINED:battery": 1, "SUPERSEDED:round-closed": 1},
    )
    assert sealed.took_ms == drive.round(1).ended_ms - drive.round(1).opened_ms
    assert sealed.leases == {"granted": 4, "training": 0, "reported": 2, "accepted": 2}


def test_a_run_that_is_over_waits_for_nothing_and_stops_its_clock() -> None:
    drive = forming(1)
    drive.wait(100)
    drive.stop()
    drive.wait(5_000)
    view = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert (view.waiting, view.elapsed_ms, view.state) == (None, 100, "STOPPED")
    assert view.round is not None
    assert (view.round.state, view.round.reason, view.round.left_ms) == ("ABANDONED", "run-stopped", -1)


def test_a_run_that_is_over_shows_the_round_in_which_somebody_worked() -> None:
    drive = forming(1, goal=2, minimum=1, rounds=3)
    drive.check_in(0)
    drive.wait(1_000)
    drive.trained(0)
    assert drive.run().rounds_opened == 2, "the next round forms already"
    drive.stop()
    view = views.run_view(drive.state, drive.run(), drive.now_ms)
    assert view.round is not None
    assert (view.round.number, view.round.leases["granted"]) == (1, 1)


def test_the_views_of_devices_and_versions() -> None:
    drive = forming(2, goal=1, rounds=1, name="digits")
    drive.check_in(0)
    drive.wait(1)
    lease = drive.lease(0)
    first = fleet.device_view(drive.state, drive.state.devices[0], drive.now_ms)
    assert (first.online, first.seen_ms, first.lease, first.state) == (True, 0, lease, "active")
    later = fleet.device_view(drive.state, drive.state.devices[1], drive.now_ms + views.ONLINE_MS + 1)
    assert (later.online, later.seen_ms) == (False, views.ONLINE_MS + 2)
    drive.fail(lease, "trace")
    drive.trained(0)
    drive.work()
    assert fleet.device_view(drive.state, drive.state.devices[0], drive.now_ms).failure_detail == "trace"
    made = models.version_view(drive.state, drive.state.versions["sha256:r.1"], drive.now_ms)
    assert (made.number, made.parent, made.task, made.aliases) == (1, BASE, "digits", ["digits@latest"])
    assert models.version_view(drive.state, drive.state.versions[BASE], drive.now_ms).aliases == []
    drive.reload()
    forgotten = fleet.device_view(drive.state, drive.state.devices[1], drive.now_ms)
    assert (forgotten.online, forgotten.seen_ms) == (False, -1)


def windows(drive: Drive, *devices: int) -> list[tuple[int, int]]:
    """The two return windows that each device hears at a check-in."""
    drive.check_in(*devices)
    told = drive.sent(CheckinAnswers)
    heard = [
        pair for each in told for pair in zip(each.window_ok_ms.tolist(), each.window_else_ms.tolist(), strict=True)
    ]
    return heard[-len(devices) :]


def test_a_device_that_takes_part_returns_once_its_separation_is_over() -> None:
    drive = forming(3, goal=1, rounds=3, over=1.0, separation=10_000)
    drive.check_in(0)
    drive.wait(1)
    served, unserved = windows(drive, 0, 1)
    assert served[0] == 10_000 and served[1] < 1_000, "back when it is wanted again, or soon if this fails"
    assert unserved[0] == unserved[1] < 1_000, "nothing was offered"


def test_another_run_may_want_a_device_before_its_separation_is_over() -> None:
    drive = forming(3, goal=1, rounds=3, over=1.0, separation=10_000)
    drive.check_in(0)
    drive.wait(1)
    drive.begin(task(goal=1, name="u"), run="s")
    ((ok, otherwise),) = windows(drive, 0)
    assert ok == otherwise < 1_000


def test_a_view_is_plain_numbers_whenever_it_is_asked_for() -> None:
    drive = Drive()
    drive.bring()
    drive.submit(task())
    view = views.run_view(drive.state, drive.run(), drive.now_ms - 10)
    assert view.round is not None and type(view.round.left_ms) is int
    assert msgspec.json.encode(view)


def test_who_rests_is_told_to_come_back_when_that_is_over_unless_another_run_may_want_it() -> None:
    drive = resting(separation=3_600_000)
    drive.wait(600_000)
    assert [(told.reason, told.window_ms) for told in drive.check_in(0)] == [("separation", 3_000_000)]
    drive.begin(task(goal=9, over=1.0, requires="device.site == 'north'"), run="other")
    (told,) = drive.check_in(0)
    assert told.reason in ("separation", "requires") and told.window_ms < 60_000


@pytest.mark.parametrize(
    ("fact", "value"), [("battery", 0.7), ("battery", 0.3), ("battery", 0.9), ("battery", 0.01), ("thermal_c", 39.9)]
)
def test_what_a_device_tells_at_the_bound_of_a_rule_satisfies_it(fact: str, value: float) -> None:
    for sign in (">=", "<=", "=="):
        drive = Drive()
        drive.begin(task(when=f"device.{fact} {sign} {value}"), 1)
        assert drive.check_in(0, facts={fact: value})[0].reason == "reserved", sign
    for sign in (">", "<", "!="):
        drive = Drive()
        drive.begin(task(when=f"device.{fact} {sign} {value}"), 1)
        assert drive.check_in(0, facts={fact: value})[0].reason == "when", sign
