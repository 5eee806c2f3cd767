"""Who may come: tokens, enrolment, sessions and epochs, bans; and each refusal that a lease message can get."""

import pytest

from podium.core.fleet.columns import NEVER, Fleet
from podium.core.fleet.facts import momentary_facts
from podium.core.fleet.sets import FactSets
from podium.core.views.fleet import device_detail
from tests.support.core_drive import Drive
from tests.support.core_made import PLAN, task, telemetry


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def test_a_raced_token_makes_one_device() -> None:
    drive = Drive()
    drive.issue("t", uses=1)
    assert drive.enrol("a", "t").id == "id-a"
    assert drive.enrol("b", "t").code == "token-invalid"
    assert [row.name for row in drive.state.devices] == ["a"]
    assert drive.state.tokens["t"].uses_left == 0


def test_the_same_key_again_is_the_same_device() -> None:
    drive = Drive()
    drive.issue("t", uses=1)
    drive.enrol("a", "t", key="k")
    heard = drive.enrol("b", "t", key="k")
    assert (heard.word, heard.id) == ("done", "id-a")
    assert len(drive.state.devices) == 1


def test_tokens_hold_for_their_time_and_population() -> None:
    drive = Drive()
    assert drive.enrol("a", "none").code == "token-invalid"
    assert drive.issue("t", population="other").code == "not-available"
    assert drive.enrol("a", "t").code == "token-invalid"
    drive.issue("t", expires_ms=1_000)
    assert drive.enrol("a", "t", population="other").code == "token-invalid"
    drive.wait(999)
    assert drive.enrol("a", "t").word == "done"
    drive.wait(1)
    assert drive.enrol("b", "t").code == "token-invalid"


def test_what_a_token_says_of_its_device() -> None:
    drive = Drive()
    drive.issue("t", site="east", name="scanner", labels={"ward": "3"})
    drive.enrol("a", "t")
    row = drive.state.devices[0]
    assert (row.site, row.name, row.labels, row.state, row.participated_ms) == (
        "east",
        "scanner",
        {"ward": "3"},
        "active",
        -1,
    )
    assert drive.records[-1].actor == "device:id-a"


def test_an_epoch_only_grows() -> None:
    drive = Drive()
    drive.fleet(1)
    assert drive.open(0, epoch=0).code == "epoch-stale"
    assert drive.open(0, epoch=7).word == "done"
    assert drive.open(0, epoch=6).code == "epoch-stale"
    assert drive.state.fleet.epoch[0] == 7


def test_a_check_in_of_an_older_session_is_told_so() -> None:
    drive = reporting(1)
    old = drive.epochs[0]
    drive.open(0)
    drive.epochs[0] = old
    seen = int(drive.state.fleet.seen_ms[0])
    drive.wait(5)
    assert drive.check_in(0)[0].reason == "epoch"
    assert drive.state.fleet.seen_ms[0] == seen, "and is not seen by it"


def test_a_ban_revokes_and_stays() -> None:
    drive = reporting(2)
    lease = drive.lease(0)
    assert drive.ban("id-d0").word == "done"
    assert (drive.leased(lease).state, drive.leased(lease).reason) == ("REVOKED", "device-banned")
    records = len(drive.records)
    assert drive.ban("id-d0").word == "done"
    assert len(drive.records) == records
    assert drive.ban("nobody").code == "device-unknown"
    assert drive.check_in(0)[0].reason == "banned"
    assert drive.open(0).code == "device-banned"
    heard = drive.accept(lease)
    assert (heard.word, heard.code) == ("stop", "lease-over")
    drive.reload()
    assert drive.open(0).code == "device-banned"
    banned = next(record for record in drive.records if record.kind == "device-banned")
    assert (banned.actor, banned.why, banned.tree) == ("person:administrator", {"why": "forged"}, "plane")


def test_a_ban_lets_a_stored_update_stand() -> None:
    drive = reporting(2)
    lease = drive.trained(0)[0]
    drive.ban("id-d0")
    assert drive.leased(lease).state == "REPORTED"
    drive.work()
    assert drive.leased(lease).state == "ACCEPTED"


def test_each_refusal_of_a_lease_message() -> None:
    drive = reporting(2)
    lease = drive.lease(0)
    drive.lease(1)
    before = drive.leased(lease)
    assert drive.accept(lease, epoch=drive.epochs[0] + 1).code == "epoch-stale"
    assert drive.accept(lease, epoch=drive.epochs[0] - 1).code == "epoch-stale"
    assert drive.accept("r.1.9", device=0).code == "lease-unknown"
    assert drive.accept(lease, device=1).code == "lease-unknown", "a lease of another device"
    assert drive.decline(lease, "bored").code == "body-malformed"
    assert drive.progress(lease, done=1).code == "lease-over"
    assert drive.report(lease).code == "lease-over"
    assert drive.leased(lease) == before
    drive.accept(lease)
    drive.report(lease, "one")
    assert drive.report(lease, "one").word == "stored"
    heard = drive.report(lease, "two")
    assert (heard.word, heard.code) == ("", "conflicting-repeat")
    assert heard.detail == f"report of lease {lease}"
    assert drive.leased(lease).report == "one"
    drive.judge(lease, "not-finite")
    assert drive.report(lease, "two").code == "conflicting-repeat"
    assert drive.report(lease, "one").code == "not-finite"


@pytest.mark.parametrize("reason", ["battery", "metered", "thermal", "schedule", "busy", "private"])
def test_the_reasons_to_decline(reason: str) -> None:
    drive = reporting(1)
    assert drive.decline(drive.lease(0), reason).word == "declined"


def test_repeats_get_the_answer_again_and_change_nothing() -> None:
    drive = reporting(3, goal=3, minimum=1)
    first, second = drive.lease(0), drive.lease(1)
    for say in (drive.accept, drive.accept, drive.report, drive.report, drive.accept):
        say(first)
    assert drive.progress(first, done=1).word == "stored", "whatever comes after the report hears of it"
    drive.decline(second, "busy")
    heard = drive.decline(second, "battery")
    assert (heard.word, drive.leased(second).reason) == ("declined", "busy")
    assert [kind for kind in drive.kinds() if kind.startswith("lease-")] == [
        "lease-granted",
        "lease-granted",
        "lease-accepted",
        "lease-reported",
        "lease-declined",
    ]


def test_the_failure_of_a_plan_is_kept_bounded() -> None:
    drive = reporting(1)
    drive.fail(drive.lease(0), "x" * 40_000)
    row = drive.state.devices[0]
    assert (row.failure, len(row.failure_detail)) == ("plan-raised", drive.limits.traceback_bytes_max)


def test_a_refused_device_hears_of_it_once() -> None:
    drive = reporting(2)
    drive.judge(drive.trained(0)[0], "norm-bound")
    assert [told.news for told in drive.check_in(0, 1)] == ["norm-bound", ""]
    assert drive.check_in(0)[0].news == ""


def test_a_device_that_asks_again_hears_of_its_lease() -> None:
    drive = reporting(1)
    lease = drive.lease(0)
    drive.wait(100)
    for state, left in (("OFFERED", drive.limits.offer_ms - 100), ("HELD", 60_000)):
        (told,) = drive.check_in(0)
        assert told.offer is not None
        assert (told.offer.lease, told.offer.state, told.offer.remaining_ms) == (lease, state, left)
        assert (told.offer.base, told.offer.manifest, told.offer.stall_ms) == ("sha256:base", "m-r.1", 60_000)
        drive.accept(lease)
    drive.report(lease)
    assert drive.check_in(0)[0].reason == "round-done"


def test_facts_have_the_names_that_rules_use() -> None:
    drive = Drive()
    drive.issue("t", site="east", labels={"ward": "3"})
    drive.enrol("a", "t")
    told = {"os": "linux", "ram_mb": 2048, "plans": {PLAN: "d"}, "runtimes": {"numpy": "2"}, "datasets": {"x": 0}}
    assert drive.state.fleet.facts_of(0) == {}, "nothing is known before its first session"
    drive.open(0, capabilities=told | {"label_coverage": "0.5"})
    assert drive.state.fleet.facts_of(0) == {
        "device.os": "linux",
        "device.ram_mb": 2048,
        "device.plans": {PLAN: "d"},
        "device.runtimes": {"numpy": "2"},
        "device.datasets": {"x": 0},
        "device.site": "east",
        "device.labels": {"ward": "3"},
        "device.label_coverage": 0.5,
    }
    assert momentary_facts(telemetry(2, {}), 1) == {}
    held = telemetry(1, {"battery": 0.5, "charging": 0, "metered": 1, "ram_free_mb": 3.0, "thermal_c": 40.0})
    assert momentary_facts(held, 0) == {
        "device.battery": 0.5,
        "device.charging": False,
        "device.metered": True,
        "device.ram_free_mb": 3.0,
        "device.thermal_c": 40.0,
    }


def test_a_number_of_examples_that_was_not_told_is_none() -> None:
    drive = Drive()
    drive.begin(task(), 1)
    drive.open(0, capabilities={"datasets": {"x": 0, "y": 7}})
    detail = device_detail(drive.state, drive.state.devices[0], [], drive.now_ms)
    assert detail.facts["device.datasets"] == "x=not told, y=7"


def test_a_dataset_has_its_slot_in_every_set_also_in_those_that_come_later() -> None:
    sets = FactSets()
    first = sets.hold({"device.datasets": {"x": 0, "y": 0}})
    table = sets.slot("y")
    assert table[first] == 1
    for number in range(1, 100):  # each device tells of another memory, and some of another dataset too
        names = {"y": 0} if number % 2 else {f"z{number}": 0, "y": 0}
        held = sets.hold({"device.ram_mb": number, "device.datasets": names})
        assert (sets.slot("y")[held], sets.slot("x")[held]) == (0 if number % 2 else 1, -1)
        assert sets.slot(f"z{number}")[held] == (-1 if number % 2 else 0)
    assert (sets.slot("y")[first], sets.slot("x")[first], sets.slot("none")[first]) == (1, 0, -1)


def test_equal_facts_are_kept_once_and_let_go() -> None:
    sets = FactSets()
    assert [sets.hold({"device.os": "linux"}), sets.hold({"device.os": "linux"}), sets.hold({})] == [0, 0, 1]
    sets.release(0)
    assert sets.of(0) == {"device.os": "linux"}
    sets.release(0)
    assert sets.hold({"device.os": "linux"}) == 2, "numbers are never used twice"
    with pytest.raises(KeyError):
        sets.of(0)
    sets.release(NEVER)
    assert sets.of(NEVER) == {}


def test_columns_grow_with_the_fleet() -> None:
    drive = Drive()
    drive.issue("t", uses=70)
    for number in range(70):
        drive.enrol(f"n{number}", "t")
    fleet: Fleet = drive.state.fleet
    assert fleet.size == 70
    assert len(fleet.epoch) == len(fleet.live) == 128
    assert fleet.epoch[69] == fleet.seen_ms[69] == fleet.facts_id[69] == NEVER
    assert not fleet.live.any()
