"""A crash in each state: the reloaded core is the folded rows, gives downtime back, and asks again what may be lost."""

import pytest
from msgspec.structs import replace

from podium.core.deadlines import NONE
from podium.core.effects import FinishRound, JudgeUpdate, PrepareRound
from podium.core.events import Booted
from podium.core.state import State
from podium.core.step import Core
from podium.wire.problems import Bug, DeviceFault
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS, rows_of, task

HOUR = 3_600_000


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, "stall": 1_000, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def test_downtime_is_given_back_before_any_timer_is_looked_at() -> None:
    drive = Drive()
    drive.begin(task(goal=2, form_deadline=1_000, deadline=5_000), 2)
    drive.wait(400)
    step = drive.reload(HOUR)
    assert [record.kind for record in step.records] == ["plane-booted"], "nothing fired"
    assert step.records[0].why == {"down_ms": HOUR}
    assert drive.round().form_deadline_ms == 1_000 + HOUR
    assert drive.run().deadline_ms == 5_000 + HOUR
    assert drive.wake_ms == 1_000 + HOUR
    drive.wait(599)
    assert drive.round().state == "FORMING"
    drive.wait(1)
    assert drive.round().reason == "cohort-short"


def test_downtime_is_not_charged_to_a_round_that_nobody_has_a_lease_of() -> None:
    drive = reporting(report_deadline=5_000)
    drive.wait(1_000)
    drive.reload(HOUR)
    assert drive.round().state == "REPORTING"
    drive.wait(3_999)
    assert drive.round().state == "REPORTING"
    drive.wait(1)
    assert drive.round().reason == "below-minimum"


def test_downtime_is_not_charged_to_a_round_with_leases() -> None:
    drive = reporting(report_deadline=5_000, minimum=1)
    drive.trained(0)
    begun = drive.round().reporting_ms
    drive.reload(HOUR)
    assert drive.round().reporting_ms == begun
    assert drive.round().report_deadline_ms == 5_001 + HOUR
    drive.wait(5_000)
    assert drive.round().state == "AGGREGATING"


def test_live_leases_get_a_fresh_stall() -> None:
    drive = reporting()
    held, offered = drive.lease(0), drive.lease(1)
    drive.accept(held)
    drive.wait(900)
    drive.reload(50)
    assert drive.state.lease_deadlines.of(held) == drive.now_ms + 1_000
    assert drive.state.lease_deadlines.of(offered) == drive.now_ms + LIMITS.offer_ms
    drive.wait(999)
    assert drive.leased(held).state == "HELD"
    drive.wait(1)
    assert (drive.leased(held).state, drive.leased(offered).state) == ("LAPSED", "OFFERED")


def test_a_lease_goes_on_in_its_old_session() -> None:
    drive = reporting()
    lease = drive.lease(0)
    drive.reload()
    assert drive.accept(lease).word == "go"
    assert drive.check_in(0)[0].reason == "epoch", "but its facts are unknown: it cannot check in"
    assert drive.open(0, epoch=drive.epochs[0]).code == "epoch-stale"
    assert drive.open(0).word == "done"
    (told,) = drive.check_in(0)
    assert told.offer is not None
    assert (told.offer.lease, told.offer.state) == (lease, "HELD")


def test_a_forming_round_asks_again_for_its_manifest_and_its_devices() -> None:
    drive = Drive()
    drive.bring()
    drive.fleet(2)
    drive.submit(task(goal=2))
    drive.check_in(0, 1)
    step = drive.reload()
    assert step.sends == (PrepareRound(run="r", round=1, base="sha256:base"),)
    drive.work()
    assert drive.reload().sends == (), "a prepared round needs nothing"
    drive.wait(5_000)
    assert drive.round().state == "FORMING", "who was nominated is forgotten"
    for device in (0, 1):
        drive.open(device)
    assert [told.reason for told in drive.check_in(0, 1)] == ["reserved", "reserved"]
    drive.wait(1)
    assert sorted(drive.state.open["r", 1].reserved) == [0, 1]


def test_a_round_that_forms_ahead_asks_for_nothing() -> None:
    drive = reporting(rounds=2)
    assert drive.reload().sends == ()
    assert drive.round(2).form_deadline_ms == -1


def test_a_reporting_round_has_its_updates_judged_again() -> None:
    drive = reporting(3)
    first, second = drive.trained(0, 1)
    drive.judge(first)
    assert set(drive.reload().sends) == {JudgeUpdate(lease=first), JudgeUpdate(lease=second)}
    drive.work()
    drive.open(2)
    drive.trained(2)
    drive.work()
    assert drive.round().outcomes == {"ACCEPTED": 3}


def test_an_aggregating_round_is_summed_again_once_everything_is_judged() -> None:
    drive = reporting(2)
    first, second = drive.trained(0, 1)
    drive.judge(first)
    drive.judge(second)
    sends = drive.reload().sends
    assert sends == (
        JudgeUpdate(lease=first),
        JudgeUpdate(lease=second),
        FinishRound(run="r", round=1, leases=(first, second)),
    )
    drive.work()
    assert drive.round().state == "SEALED"


def test_an_aggregating_round_with_unjudged_updates_waits_for_them() -> None:
    drive = reporting(3, minimum=1, goal=2)
    drive.state.open["r", 1].reserved.clear()
    leases = [told.offer.lease for told in drive.check_in(0, 1) if told.offer]
    for lease in leases:
        drive.accept(lease)
        drive.report(lease)
    drive.wait(300_000)
    assert drive.round().state == "AGGREGATING"
    sends = drive.reload().sends
    assert sends == tuple(JudgeUpdate(lease=lease) for lease in leases)
    drive.work()
    assert drive.round().state == "SEALED"


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_nothing_is_asked_for_when_the_run_is_over(kind: str) -> None:
    drive = reporting(1, kind=kind)
    drive.trained(0)
    drive.work()
    assert drive.run().state == "FINISHED"
    step = drive.reload(HOUR)
    assert (step.sends, step.wake_ms) == ((), -1)


def test_news_and_counts_are_volatile_and_leases_are_not() -> None:
    drive = reporting()
    drive.judge(drive.trained(0)[0], "not-finite")
    assert drive.state.news == {0: "not-finite"}
    drive.reload()
    assert drive.state.news == {}
    assert drive.state.devices[0].failure == "not-finite"


def test_attempts_counts_and_barred_devices_come_back() -> None:
    drive = reporting(4, goal=4, minimum=1)
    drive.decline(drive.lease(0))
    drive.trained(1)
    drive.fail(drive.lease(2))
    drive.lease(3)
    before = drive.state.open["r", 1]
    attempts, count = before.attempts[:4].tolist(), {key: n for key, n in before.count.items() if n}
    drive.reload()
    after = drive.state.open["r", 1]
    assert after.attempts[:4].tolist() == attempts == [1, 255, 1, 1]
    assert after.count == count
    assert drive.state.live_lease == {3: "r.1.4"}


def test_rows_may_be_loaded_in_any_order() -> None:
    drive = reporting(3)
    drive.trained(0, 1)
    drive.lease(2)
    rows = list(drive.folded.values())
    for order in (rows, rows[::-1], rows[3:] + rows[:3]):
        assert rows_of(State(order, LIMITS)) == drive.folded


def test_impossible_rows_are_a_bug() -> None:
    drive = reporting(2)
    drive.lease(0)
    device = drive.state.devices[0]
    gap = replace(device, id="x", number=7)
    with pytest.raises(Bug, match="device x has number 7 of 2"):
        State([*drive.folded.values(), gap], LIMITS)
    with pytest.raises(Bug, match="device x has number 1, which is another's"):
        drive.state.put(replace(gap, number=1))
    twin = replace(drive.leased("r.1.1"), id="r.1.2")
    with pytest.raises(Bug, match=r"device id-d0 holds r\.1\.1 and r\.1\.2"):
        State([*drive.folded.values(), twin], LIMITS)


def test_unknown_ids_are_the_devices_fault() -> None:
    state = Drive().state
    with pytest.raises(DeviceFault, match="device-unknown"):
        state.device_number("x")
    with pytest.raises(DeviceFault, match="lease-unknown"):
        state.lease("x")
    assert state.lease_deadlines.earliest() == NONE


def test_a_fresh_plane_boots_too() -> None:
    core = Core((), step=41, at_ms=5, limits=LIMITS)
    step = core.step(Booted(at_ms=9, down_ms=0))
    assert (step.number, step.at_ms, step.wake_ms, step.sends) == (42, 9, -1, ())
