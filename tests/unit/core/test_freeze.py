"""The kill switch: no lease while the plane is frozen, running ones left or revoked. What it does to time is apart."""

import pytest

from podium.core.effects import EndLease
from podium.core.events import Frozen
from podium.core.state import FREEZE
from tests.support.core_acts import act, freeze, mark, pause, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import IDLE_MS, SOON_MS, gathers
from tests.unit.core.pausing_made import RUN_MS, STALL_MS, forming, heard, reporting, states


def at_work(revoke: bool = False) -> tuple[Drive, str, str, str]:
    """A round with one lease offered, one held and one stored, then frozen."""
    drive = reporting(3, goal=3)
    stored = drive.trained(0)[0]
    offered, held = drive.lease(1), drive.lease(2)
    drive.accept(held)
    assert freeze(drive, revoke=revoke, why="a poisoned plan").word == "done"
    return drive, offered, held, stored


def test_a_frozen_plane_grants_nothing_and_leaves_what_runs() -> None:
    drive, offered, held, stored = at_work()
    row = drive.state.freezes[FREEZE]
    assert (row.frozen, row.why, row.actor, row.at_ms) == (True, "a poisoned plan", "person:administrator", 1)
    record = drive.records[-1]
    assert (record.kind, record.tree, record.why) == (
        "plane-frozen",
        "plane",
        {"reason": "a poisoned plan", "revoke": 0},
    )
    assert drive.accept(offered).word == "go", "an offer that is out may still be taken"
    drive.report(offered)
    drive.report(held)
    drive.work()
    assert {drive.leased(lease).state for lease in (offered, held, stored)} == {"ACCEPTED"}
    assert states(drive) == ["RUNNING", "SEALED", "FORMING"]
    told = drive.check_in(0, 1, 2)
    assert [each.reason for each in told] == ["frozen"] * 3
    assert all(gathers(drive.now_ms, each.window_ms, IDLE_MS) for each in told)


def test_freezing_with_revoke_ends_every_live_lease() -> None:
    drive, offered, held, stored = at_work(revoke=True)
    ended = [(drive.leased(lease).state, drive.leased(lease).reason) for lease in (offered, held)]
    assert ended == [("REVOKED", "plane-frozen")] * 2
    assert drive.leased(stored).state == "REPORTED", "what is stored is not taken back"
    assert drive.sent(EndLease) == [EndLease(lease=offered), EndLease(lease=held)]
    revoked = [record for record in drive.records if record.kind == "lease-revoked"]
    assert [(each.actor, each.tree) for each in revoked] == [("person:administrator", "plane")] * 2
    assert (drive.report(held).word, drive.report(held).code) == ("stop", "lease-over")
    assert heard(drive, 2) == ["frozen"]


def test_freezing_again_changes_nothing_but_leases() -> None:
    drive, offered, held, _ = at_work()
    records = len(drive.records)
    assert freeze(drive, why="again").word == "done"
    assert len(drive.records) == records
    assert drive.state.freezes[FREEZE].why == "a poisoned plan"
    assert act(drive, Frozen, revoke=True, actor="service:revoker", why="a second look").word == "done"
    told, *leases = drive.records[records:]
    assert (told.kind, told.subject, told.actor, told.tree, told.why) == (
        "leases-revoked",
        FREEZE,
        "service:revoker",
        "plane",
        {"reason": "a second look", "leases": 2},
    )
    assert [(each.kind, each.subject) for each in leases] == [("lease-revoked", offered), ("lease-revoked", held)]
    assert drive.state.freezes[FREEZE].why == "a poisoned plan"
    assert {drive.leased(lease).state for lease in (offered, held)} == {"REVOKED"}
    records = len(drive.records)
    assert freeze(drive, revoke=True).word == "done"
    assert len(drive.records) == records, "nothing is left to revoke"


def test_leases_end_in_the_same_order_after_a_restart() -> None:
    drive = reporting(12, goal=12)
    leases = [drive.lease(device) for device in reversed(range(12))]
    drive.reload()
    freeze(drive, revoke=True)
    assert [send.lease for send in drive.sent(EndLease)] == sorted(leases)


def test_answers_of_a_frozen_plane_send_devices_home() -> None:
    drive, _, held, _ = at_work()
    assert gathers(drive.now_ms, drive.report(held).window_ok_ms, IDLE_MS)
    unfreeze(drive)
    assert gathers(drive.now_ms, drive.report(held).window_ok_ms, SOON_MS)


def test_the_run_deadline_runs_on_in_a_frozen_plane() -> None:
    drive = forming(2)
    freeze(drive)
    drive.wait(RUN_MS)
    assert (states(drive), drive.run().reason) == (["TIMED_OUT", "ABANDONED"], "run-deadline")


def test_a_lease_that_is_left_lapses_as_ever() -> None:
    drive, _, held, _ = at_work()
    drive.wait(STALL_MS)
    assert (drive.leased(held).state, drive.leased(held).reason) == ("LAPSED", "stall")


def test_unfreezing_lets_the_round_go_on() -> None:
    drive, _, _, _ = at_work(revoke=True)
    assert unfreeze(drive, why="found it").word == "done"
    row, record = drive.state.freezes[FREEZE], drive.records[-1]
    assert (row.frozen, row.why) == (False, "found it")
    assert (record.kind, record.actor, record.why) == (
        "plane-unfrozen",
        "person:administrator",
        {"reason": "found it"},
    )
    assert unfreeze(drive).word == "done"
    assert drive.records[-1] is record, "again changes nothing"
    drive.fleet(2)
    assert heard(drive, 3, 4) == ["offered", "offered"], "who was sent away takes part no more in this round"
    assert heard(drive, 1, 2) == ["reserved", "reserved"]


def test_an_unfrozen_plane_is_unfrozen_without_a_row() -> None:
    drive = Drive()
    assert unfreeze(drive).word == "done"
    assert not drive.state.freezes
    assert not drive.records


def test_a_plane_stays_frozen_over_a_restart() -> None:
    drive, _, held, _ = at_work()
    drive.reload(1_000)
    assert drive.state.frozen()
    for device in range(3):
        drive.open(device)
    assert heard(drive, 0, 2) == ["frozen", "offered"], "who holds a lease hears of it again"
    assert drive.leased(held).state == "HELD"


@pytest.mark.parametrize("first", ["frozen", "paused"])
def test_frozen_is_said_before_paused_and_cordoned_before_both(first: str) -> None:
    drive = forming()
    if first == "paused":
        pause(drive)
    freeze(drive)
    pause(drive)
    mark(drive, ["id-d1"], "cordoned")
    assert heard(drive, 0, 1) == ["frozen", "cordoned"]
    unfreeze(drive)
    assert heard(drive, 0, 1) == ["paused", "cordoned"]
