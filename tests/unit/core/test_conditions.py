"""The conditions of a device: what holds, why not, and since when."""

from podium.core.rows import DeviceRow
from podium.core.views.conditions import conditions_of
from podium.core.views.fleet import device_detail
from podium.wire.operator import Condition
from tests.support.core_acts import mark
from tests.support.core_drive import Drive
from tests.support.core_made import task


def told(drive: Drive, device: int = 0, later_ms: int = 0) -> dict[str, Condition]:
    """Conditions by name; there is one round at most."""
    return {each.name: each for each in conditions_of(drive.state, row(drive, device), drive.now_ms + later_ms)}


def row(drive: Drive, device: int = 0) -> DeviceRow:
    return drive.state.devices[device]


def said(condition: Condition) -> tuple[bool, str, int]:
    return condition.holds, condition.reason, condition.since_age_ms


def test_a_device_that_never_came() -> None:
    drive = Drive()
    drive.issue()
    drive.enrol("d0")
    drive.wait(70)
    found = told(drive)
    assert said(found["enabled"]) == (True, "active", 70), "since it was enrolled"
    assert said(found["session"]) == (False, "none", -1)
    assert said(found["online"]) == (False, "never-heard", -1)
    assert said(found["at-work"]) == (False, "no-lease", -1)
    assert said(found["claims-hold"]) == (True, "not-contradicted", -1)
    assert "eligible" not in found


def test_a_session_and_silence() -> None:
    drive = Drive()
    drive.fleet(1)
    opened = drive.now_ms
    drive.wait(500)
    drive.check_in(0)
    found = told(drive, later_ms=1_000)
    assert said(found["session"]) == (True, "open", drive.now_ms + 1_000 - opened)
    assert found["session"].about == "epoch 0"
    assert said(found["online"]) == (True, "heard", drive.now_ms + 1_000 - opened)
    assert said(told(drive, later_ms=30_001)["online"]) == (False, "silent", 30_001)


def test_who_was_marked_since_when_and_why_also_after_a_reload() -> None:
    drive = Drive()
    drive.fleet(1)
    drive.wait(1_000)
    mark(drive, ["id-d0"], "cordoned")
    since = drive.now_ms
    drive.wait(2_000)
    assert said(told(drive)["enabled"]) == (False, "cordoned", drive.now_ms - since)
    drive.reload(10)
    assert said(told(drive)["enabled"]) == (False, "cordoned", drive.now_ms - since)
    assert told(drive)["enabled"].about == row(drive).marked_why
    drive.wait(5)
    mark(drive, ["id-d0"], "active")
    assert said(told(drive, later_ms=7)["enabled"]) == (True, "active", 7)


def test_at_work_and_eligible_as_of_the_last_check_in() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=1, requires="device.cores > 2", when="device.charging"), devices=0)
    drive.fleet(3, cores=4)
    drive.check_in(0, facts={"charging": 1.0})
    drive.check_in(1, facts={"charging": 0.0})
    drive.check_in(2)
    fit = told(drive, later_ms=40)["eligible"]
    assert (*said(fit), fit.about) == (True, "reserved", 40, "round r.1")
    unfit = told(drive, 1, later_ms=40)["eligible"]
    assert (*said(unfit), unfit.about) == (False, "when", 40, "round r.1: device.charging")
    assert told(drive, 2)["eligible"].reason == "unknown-fact"
    drive.wake()
    lease = drive.lease(0, charging=1.0)
    assert said(told(drive, later_ms=3)["at-work"]) == (True, "offered", 3)
    drive.accept(lease)
    work = told(drive, later_ms=5)["at-work"]
    assert (*said(work), work.about) == (True, "held", 5, lease)


def test_claims_that_contradict_and_what_was_measured_are_told() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=2), devices=2)
    drive.check_in(0)
    drive.wake()
    lease = drive.lease(0)
    drive.wait(300)
    drive.accept(lease)
    drive.report(lease, downloaded={"bytes": 8_000_000, "ms": 2_000})
    drive.check_in(0, facts={"download_mb_s": 500.0, "latency_ms": 60.0})
    doubt = told(drive, later_ms=9)["claims-hold"]
    assert (*said(doubt), doubt.about) == (
        False,
        "claim-contradicted",
        9,
        "download_mb_s counts as 16 (measured 4)",
    )
    detail = device_detail(drive.state, row(drive), [], drive.now_ms)
    assert detail.measured["download_mb_s"] == "4" and detail.measured["answer_ms"] == "300"
    assert float(detail.measured["download_mb_s of its class"]) > 0
    assert "upload_mb_s" not in detail.measured
    like = device_detail(drive.state, row(drive, 1), [], drive.now_ms).measured
    assert set(like) == {"download_mb_s of its class"}, "nothing was measured of device 1 itself"
