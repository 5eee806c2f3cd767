"""Cases that simulations found, kept small: each failed before the core or the simulator was mended."""

import pytest

from podium.core.effects import FinishRound, JudgeUpdate
from podium.core.events import TimePassed
from podium.sim.beginning import Setting
from podium.sim.world import World
from tests.support.core_drive import Drive
from tests.support.core_made import task


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def test_timers_do_not_fire_before_downtime_is_given_back() -> None:
    drive = reporting(report_deadline=5_000, deadline=60_000)
    drive.accept(drive.lease(0))
    drive.reload(3_600_000)
    assert [record.kind for record in drive.steps[-1].records] == ["plane-booted"]
    assert (drive.run().state, drive.round().state, drive.leased("r.1.1").state) == ("RUNNING", "REPORTING", "HELD")


def test_a_device_without_known_facts_opens_a_new_session() -> None:
    drive = reporting()
    drive.lease(0)
    drive.reload()
    assert drive.check_in(0)[0].reason == "epoch", "its epoch is known from its lease, its facts are not"
    drive.open(0)
    assert drive.check_in(0)[0].reason == "offered"


def test_check_in_times_never_fall() -> None:
    drive = reporting()
    drive.wait(1_000)
    now = drive.now_ms
    (told,) = drive.check_in(0, at=[now - 900])
    assert told.offer is not None
    lease = drive.leased(told.offer.lease)
    assert (lease.granted_ms, lease.deadline_ms) == (now, now + drive.limits.offer_ms)
    assert [record.at_ms for record in drive.records] == sorted(record.at_ms for record in drive.records)


def test_what_is_asked_after_a_reload_is_asked_in_order() -> None:
    drive = reporting(3, minimum=1, report_deadline=5_000)
    for lease in drive.trained(0, 1):
        drive.judge(lease)
    drive.wait(5_000)
    kinds = [type(send) for send in drive.reload().sends]
    assert kinds == [JudgeUpdate, JudgeUpdate, FinishRound], "the sum is asked for after everything it needs"


@pytest.mark.parametrize("down_ms", [0, 7_200_000])
def test_a_reporting_round_that_nobody_has_a_lease_of_survives_downtime(down_ms: int) -> None:
    drive = reporting(report_deadline=5_000)
    drive.reload(down_ms)
    assert drive.round().state == "REPORTING"
    assert drive.run().abandoned_in_row == 0


def test_a_fault_of_the_store_strikes_the_commit_it_was_drawn_for() -> None:
    world = World(task(goal=1), Setting(devices=1, seed=1, faults=frozenset({"lost-ack"})))
    world.begin()
    for _ in range(2_000):
        world.commit()
    assert world.faults.struck["lost-ack"] == 0, "with nothing to commit nothing can fail"
    world.feed(TimePassed(at_ms=1))
    world.commit()
    world.ledger.reloaded(world.store.load().rows)
