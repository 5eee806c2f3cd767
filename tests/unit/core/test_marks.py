"""Devices that a person cordons, bans or lets come again."""

import pytest

from podium.core.effects import EndLease
from tests.support.core_acts import ADMINISTRATOR, mark
from tests.support.core_drive import Drive
from tests.support.core_made import IDLE_MS, SOON_MS, gathers
from tests.unit.core.pausing_made import forming, heard, reporting

KINDS = {"active": "device-uncordoned", "cordoned": "device-cordoned", "banned": "device-banned"}
"""Mark -> the record of it, unless it lifts a ban."""


def at_work(devices: int = 2) -> tuple[Drive, str]:
    """Device 0 holds a lease."""
    drive = reporting(devices, goal=devices)
    held = drive.lease(0)
    drive.accept(held)
    return drive, held


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_every_mark_follows_every_other(before: str, after: str) -> None:
    drive = forming()
    if before != "active":
        assert mark(drive, ["id-d0"], before).word == "done"
    records = len(drive.records)
    assert mark(drive, ["id-d0"], after, why="because").word == "done"
    assert drive.state.devices[0].state == after
    assert (bool(drive.state.fleet.cordoned[0]), bool(drive.state.fleet.banned[0])) == (
        after == "cordoned",
        after == "banned",
    )
    told = [(record.kind, record.why, record.tree) for record in drive.records[records:]]
    kind = "device-unbanned" if before == "banned" else KINDS[after]
    assert told == ([] if before == after else [(kind, {"why": "because"}, "plane")])
    assert drive.state.devices[1].state == "active"


def test_a_cordoned_device_gets_no_lease_and_comes_back_idle() -> None:
    drive = forming()
    mark(drive, ["id-d0"], "cordoned")
    out, fit = drive.check_in(0, 1)
    assert (out.reason, fit.reason) == ("cordoned", "reserved")
    assert gathers(drive.now_ms, out.window_ms, IDLE_MS)
    assert gathers(drive.now_ms, fit.window_ms, SOON_MS)
    assert drive.state.open["r", 1].nominees == 1
    mark(drive, ["id-d0"], "active")
    assert heard(drive, 0) == ["reserved"]


def test_cordoning_leaves_the_lease() -> None:
    drive, held = at_work()
    mark(drive, ["id-d0"], "cordoned")
    assert heard(drive, 0) == ["offered"], "it hears of the lease that it holds"
    assert drive.report(held).word == "stored"
    drive.judge(held)
    assert drive.leased(held).state == "ACCEPTED"
    assert heard(drive, 0) == ["cordoned"]


@pytest.mark.parametrize(("state", "revoke"), [("cordoned", True), ("banned", False), ("banned", True)])
def test_revoking_ends_the_lease(state: str, revoke: bool) -> None:
    drive, held = at_work()
    mark(drive, ["id-d0"], state, revoke=revoke)
    assert (drive.leased(held).state, drive.leased(held).reason) == ("REVOKED", f"device-{state}")
    last = drive.records[-1]
    assert (last.kind, last.actor, last.tree) == ("lease-revoked", ADMINISTRATOR, "plane")
    assert drive.sent(EndLease) == [EndLease(lease=held)]
    assert heard(drive, 0) == [state]


def test_a_cordoned_device_is_drained_later() -> None:
    drive, held = at_work()
    mark(drive, ["id-d0"], "cordoned")
    records = len(drive.records)
    mark(drive, ["id-d0"], "cordoned", revoke=True)
    assert [record.kind for record in drive.records[records:]] == ["lease-revoked"]
    assert drive.leased(held).state == "REVOKED"
    mark(drive, ["id-d0"], "cordoned", revoke=True)
    assert len(drive.records) == records + 1, "nothing is left to revoke"


def test_what_is_stored_is_not_taken_back() -> None:
    drive, held = at_work()
    drive.report(held)
    mark(drive, ["id-d0"], "banned", revoke=True)
    assert drive.leased(held).state == "REPORTED"
    assert not drive.sent(EndLease)


def test_an_unbanned_device_opens_a_new_session() -> None:
    drive = forming()
    mark(drive, ["id-d0"], "banned")
    assert drive.open(0).code == "device-banned"
    (told,) = drive.check_in(0)
    assert told.reason == "banned"
    assert gathers(drive.now_ms, told.window_ms, IDLE_MS)
    mark(drive, ["id-d0"], "active")
    assert drive.open(0).word == "done"
    assert heard(drive, 0) == ["reserved"]


def test_marks_outlive_the_process() -> None:
    drive = forming(3)
    mark(drive, ["id-d0"], "cordoned")
    mark(drive, ["id-d1"], "banned")
    drive.reload()
    assert [row.state for row in drive.state.devices] == ["cordoned", "banned", "active"]
    drive.open(0)
    drive.open(2)
    assert heard(drive, 0, 2) == ["cordoned", "reserved"]
    assert drive.open(1).code == "device-banned"


def test_many_are_marked_or_none() -> None:
    drive = forming(3)
    records = len(drive.records)
    refused = mark(drive, ["id-d0", "id-none", "id-d1"], "cordoned")
    assert (refused.code, refused.detail) == ("device-unknown", "device id-none")
    assert len(drive.records) == records
    assert mark(drive, ["id-d2", "id-d0", "id-d2"], "cordoned").word == "done"
    assert [record.subject for record in drive.records[records:]] == ["id-d2", "id-d0"], "each once"
    assert mark(drive, [], "cordoned").word == "done"


def test_a_mark_changes_only_devices_in_the_states_it_names() -> None:
    """Who takes a cordon back may have looked before somebody banned the device."""
    drive = forming(3)
    mark(drive, ["id-d0", "id-d1"], "cordoned")
    mark(drive, ["id-d0"], "banned", why="stolen")
    records = len(drive.records)
    told = mark(drive, ["id-d0", "id-d1", "id-d2"], "active", of=("active", "cordoned"))
    assert (told.word, told.changed) == ("done", 1)
    assert [row.state for row in drive.state.devices] == ["banned", "active", "active"]
    assert [record.subject for record in drive.records[records:]] == ["id-d1"]


def test_a_mark_that_may_not_change_a_device_leaves_its_lease() -> None:
    drive, held = at_work()
    assert mark(drive, ["id-d0"], "banned", revoke=True, of=("cordoned",)).changed == 0
    assert drive.leased(held).state == "HELD"


def test_how_many_devices_a_mark_changed_is_told() -> None:
    drive, _ = at_work(3)
    assert mark(drive, ["id-d0", "id-d1", "id-d1"], "cordoned").changed == 2
    assert mark(drive, ["id-d0", "id-d1"], "cordoned").changed == 0
    assert mark(drive, ["id-d0", "id-d1"], "cordoned", revoke=True).changed == 1, "a lease of it ended"
    assert mark(drive, ["id-d0", "id-d2"], "banned").changed == 2
