"""What is kept of a lease, field by field, and what each record says: the journal's own words about leases."""

from podium.core.effects import Answer, EndLease
from podium.core.rows import LeaseRow
from podium.wire.limits import Limits
from tests.support.core_drive import Drive
from tests.support.core_made import BASE, SOON_MS, gathers, task

Told = tuple[str, str, str, dict[str, str | int]]


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices of site "east"."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, "stall": 1_000, **terms}))
    drive.fleet(devices, site="east")
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def last(drive: Drive) -> Told:
    """The last record: kind, subject, actor, why."""
    record = drive.records[-1]
    return record.kind, record.subject, record.actor, record.why


def test_a_granted_lease() -> None:
    drive = reporting()
    drive.wait(99)
    drive.lease(0)
    expected = LeaseRow(
        id="r.1.1",
        run="r",
        round=1,
        device="id-d0",
        site="east",
        base=BASE,
        state="OFFERED",
        reason="",
        generation=0,
        epoch=0,
        granted_ms=100,
        deadline_ms=100 + drive.limits.offer_ms,
        ended_ms=-1,
        report="",
        report_signature="",
        upload_bytes=0,
        weight=0.0,
        metrics={},
    )
    assert drive.leased("r.1.1") == expected
    assert last(drive) == ("lease-granted", "r.1.1", "plane", {})
    assert drive.records[-1].tree == "default"
    assert drive.round().leases_made == 1
    assert drive.state.devices[0].participated_ms == 100


def test_an_accepted_and_a_reported_lease() -> None:
    drive = reporting()
    lease = drive.lease(0)
    drive.wait(10)
    drive.accept(lease)
    held = drive.leased(lease)
    assert (held.state, held.deadline_ms, held.ended_ms, held.generation) == ("HELD", drive.now_ms + 1_000, -1, 1)
    assert last(drive) == ("lease-accepted", lease, "plane", {})
    drive.report(lease, "bytes", signature="sig", upload_bytes=77, weight=2.5, metrics={"a": [1.0, 2.0]})
    row = drive.leased(lease)
    assert (row.report, row.report_signature, row.upload_bytes, row.weight) == ("bytes", "sig", 77, 2.5)
    assert (row.metrics, row.ended_ms, row.generation) == ({"a": (1.0, 2.0)}, -1, 2)
    assert last(drive) == ("lease-reported", lease, "device:id-d0", {})


def test_a_judged_lease() -> None:
    drive = reporting()
    good, bad = drive.trained(0, 1)
    drive.wait(10)
    drive.judge(good)
    assert (drive.leased(good).ended_ms, drive.leased(good).reason) == (drive.now_ms, "")
    assert last(drive) == ("lease-passed", good, "plane", {})
    step = drive.judge(bad, "norm-bound")
    assert (drive.leased(bad).ended_ms, drive.leased(bad).reason) == (drive.now_ms, "norm-bound")
    assert last(drive) == ("lease-refused", bad, "plane", {"code": "norm-bound", "detail": "norm-bound"})
    assert step.sends == (EndLease(lease=bad),)
    device = drive.state.devices[1]
    assert (device.failure, device.failure_detail) == ("norm-bound", "norm-bound")


def test_a_failed_lease() -> None:
    drive = reporting()
    lease = drive.lease(0)
    drive.wait(10)
    drive.fail(lease, "trace")
    row = drive.leased(lease)
    assert (row.state, row.reason, row.ended_ms, row.generation) == ("FAILED", "plan-raised", drive.now_ms, 1)
    assert last(drive) == ("lease-failed", lease, "device:id-d0", {"code": "plan-raised"})
    assert drive.state.devices[0].failure_detail == "trace"
    assert EndLease(lease=lease) in drive.sends


def test_a_declined_and_a_lapsed_lease() -> None:
    drive = reporting()
    declined, lapsed = drive.lease(0), drive.lease(1)
    drive.wait(10)
    drive.decline(declined, "metered")
    assert drive.leased(declined).ended_ms == drive.now_ms
    assert last(drive) == ("lease-declined", declined, "plane", {"reason": "metered"})
    drive.accept(lapsed)
    drive.wait(1_000)
    assert drive.leased(lapsed).ended_ms == drive.now_ms
    assert last(drive) == ("lease-lapsed", lapsed, "plane", {"reason": "stall"})


def test_a_fault_says_what_was_attempted() -> None:
    drive = reporting()
    lease = drive.lease(0)
    assert drive.accept(lease, epoch=7).detail == f"epoch 7 of lease {lease}"
    assert drive.accept("r.1.9", device=0).detail == "lease r.1.9"
    assert drive.accept(lease, device=1).detail == f"lease {lease}"
    assert drive.decline(lease, "bored").detail == "decline reason 'bored'"
    assert drive.progress(lease, done=1).detail == f"lease {lease} was not accepted"
    assert drive.report(lease).detail == f"lease {lease} was not accepted"


def test_an_answer_has_both_windows_and_its_ticket() -> None:
    drive = reporting()
    lease = drive.lease(0)
    heard = drive.accept(lease)
    assert heard == Answer(
        ticket=heard.ticket,
        word="go",
        remaining_ms=1_000,
        window_ok_ms=heard.window_ok_ms,
        window_else_ms=heard.window_ok_ms,
    )
    assert gathers(drive.now_ms, heard.window_ok_ms, SOON_MS)


def test_the_windows_of_a_large_population_are_spread_about_its_mean() -> None:
    drive = Drive(Limits(rendezvous_devices_max=1, window_large_jitter=1e-9))
    drive.begin(task(goal=2, over=1.0), 12)
    drive.check_in(*range(12))
    drive.wait(1)
    (device, _) = sorted(drive.state.open["r", 1].reserved)
    # so few may come every 200 ms, or every 2,400 ms at most; two seats need no more than 95 % of that
    assert drive.accept(drive.lease(device)).window_ok_ms in (2_279, 2_280)
    assert {told.window_ms for told in drive.check_in(0, 1)} <= {2_279, 2_280}
    drive.stop()
    assert drive.progress("r.1.1", done=1).window_ok_ms in (2_399, 2_400), "idle"
