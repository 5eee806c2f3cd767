"""What ends with a service's credential: what it issued, whatever they were told, and nobody else's."""

import pytest

from podium.core.check import check
from podium.core.events import Booted, ServiceIssued, ServiceRevoked, TimePassed, WebhookRemoved, WebhookSet
from tests.support.core_acts import ADMINISTRATOR, act
from tests.support.core_drive import Drive


def issued(drive: Drive, name: str, by: str = "", expires_ms: int = 1_000, known: str = "") -> str:
    """Issue a credential and give the code of its refusal; its hash is its name unless `known` says otherwise."""
    actor = f"service:{by}" if by else ADMINISTRATOR
    terms: dict[str, object] = {"name": name, "verbs": ("status.read",), "expires_ms": expires_ms}
    heard = act(drive, ServiceIssued, token_hash=known or name, credential=by, actor=actor, **terms)
    check(drive.state)
    return heard.code


def hooked(drive: Drive, name: str, by: str = "") -> str:
    """Set a webhook and give the code of its refusal."""
    actor = f"service:{by}" if by else ADMINISTRATOR
    origin = "https://example.org"
    heard = act(drive, WebhookSet, id=name, origin=origin, kinds=(), credential=by, actor=actor)
    check(drive.state)
    return heard.code


def told_of(drive: Drive, since: int) -> list[tuple[str, str]]:
    """(kind, subject) of the records since the first `since`."""
    return [(record.kind, record.subject) for record in drive.records[since:]]


def living(drive: Drive) -> set[str]:
    return {row.id for row in drive.state.services.values() if not row.revoked}


def test_a_child_ends_no_later_than_its_parent() -> None:
    drive = Drive()
    issued(drive, "parent", expires_ms=500)
    issued(drive, "child", by="parent", expires_ms=9_000)
    issued(drive, "short", by="parent", expires_ms=300)
    issued(drive, "grandchild", by="child", expires_ms=9_000)
    found = {row.id: (row.expires_ms, row.issuer) for row in drive.state.services.values()}
    assert found == {
        "parent": (500, ""),
        "child": (500, "parent"),
        "short": (300, "parent"),
        "grandchild": (500, "child"),
    }


def test_revoking_one_revokes_all_that_came_from_it_and_nothing_else() -> None:
    drive = Drive()
    for name, by in (("a", ""), ("other", ""), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "a"), ("f", "other")):
        assert issued(drive, name, by) == ""
    drive.reload()
    since = len(drive.records)
    act(drive, ServiceRevoked, token_hash="b")
    assert living(drive) == {"a", "other", "e", "f"}
    assert told_of(drive, since) == [("service-revoked", name) for name in ("b", "c", "d")]
    assert [record.why for record in drive.records[since:]] == [{}, {"issuer": "b"}, {"issuer": "c"}]
    assert {record.actor for record in drive.records[since:]} == {ADMINISTRATOR}
    act(drive, ServiceRevoked, token_hash="a")
    assert living(drive) == {"other", "f"}
    assert told_of(drive, since)[3:] == [("service-revoked", "a"), ("service-revoked", "e")], "each is revoked once"


@pytest.mark.parametrize("end", ["revoked", "over"])
def test_one_that_has_ended_issues_and_sets_nothing(end: str) -> None:
    drive = Drive()
    issued(drive, "parent", expires_ms=500)
    if end == "revoked":
        act(drive, ServiceRevoked, token_hash="parent")
    else:
        drive.wait(500)
    since = len(drive.records)
    assert issued(drive, "child", by="parent") == "credential-invalid"
    assert hooked(drive, "w", by="parent") == "credential-invalid"
    assert issued(drive, "orphan", by="nobody") == "credential-invalid"
    assert len(drive.records) == since


def test_a_name_is_one_living_credential_s() -> None:
    drive = Drive()
    issued(drive, "ci", expires_ms=500)
    assert issued(drive, "ci", known="another") == "name-taken"
    assert issued(drive, "ci") == "", "the same one again changes nothing"
    assert len(drive.records) == 1
    act(drive, ServiceRevoked, token_hash="ci")
    assert issued(drive, "ci", known="another", expires_ms=800) == "", "once it is revoked"
    drive.wait(800)
    assert issued(drive, "ci", known="third", expires_ms=2_000) == "", "or over"
    assert issued(drive, "ci", known="fourth", expires_ms=2_000) == "name-taken"


# -- webhooks ------------------------------------------------------------------------------------------------


def test_webhooks_end_when_the_credential_that_set_them_is_revoked() -> None:
    drive = Drive()
    for name, by in (("a", ""), ("b", "a"), ("other", "")):
        issued(drive, name, by)
    for hook, by in (("w1", "b"), ("w2", "a"), ("w3", ""), ("w4", "other"), ("w5", "b")):
        assert hooked(drive, hook, by) == ""
    act(drive, WebhookRemoved, id="w5")
    drive.reload()
    since = len(drive.records)
    act(drive, ServiceRevoked, token_hash="a")
    check(drive.state)
    assert told_of(drive, since) == [
        ("service-revoked", "a"),
        ("webhook-ended", "w2"),
        ("service-revoked", "b"),
        ("webhook-ended", "w1"),
    ]
    ended = {row.id: row.ended for row in drive.state.webhooks.values()}
    assert ended == {"w1": "credential-revoked", "w2": "credential-revoked", "w3": "", "w4": "", "w5": ""}
    last = drive.records[-1]
    assert (last.tree, last.actor) == ("plane", ADMINISTRATOR)
    assert last.why == {"reason": "credential-revoked", "service": "b"}
    act(drive, WebhookRemoved, id="w1")
    assert drive.state.webhooks["w1"].removed, "a person clears it away"


def test_webhooks_end_at_the_moment_that_their_credential_is_over() -> None:
    drive = Drive()
    issued(drive, "a", expires_ms=700)
    issued(drive, "b", expires_ms=900)
    for hook, by in (("w1", "b"), ("w2", "a"), ("w3", "a"), ("w4", "")):
        hooked(drive, hook, by)
    since = len(drive.records)
    step = drive.feed(TimePassed(at_ms=699))
    assert (step.records, step.wake_ms) == ((), 700)
    step = drive.feed(TimePassed(at_ms=800))
    check(drive.state)
    assert told_of(drive, since) == [("webhook-ended", "w2"), ("webhook-ended", "w3")]
    assert {(record.at_ms, record.tree, record.actor) for record in step.records} == {(700, "plane", "plane")}
    assert step.records[0].why == {"reason": "credential-over", "service": "a"} and step.wake_ms == 900
    drive.reload()
    drive.feed(Booted(at_ms=5_000, down_ms=1_000))
    check(drive.state)
    assert drive.state.webhooks["w1"].ended == "credential-over", "time went by while nothing served"
    assert not drive.state.webhooks["w4"].ended and drive.feed(TimePassed(at_ms=9_999)).wake_ms == -1
