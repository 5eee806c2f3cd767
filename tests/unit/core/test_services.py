"""Credentials of services, webhooks, keys: acts of people that the journal keeps."""

import pytest

from podium.core.events import KeyRotated, ServiceIssued, ServiceRevoked, WebhookRemoved, WebhookSet
from podium.core.rows import ServiceRow, WebhookRow
from tests.support.core_acts import ADMINISTRATOR, act
from tests.support.core_drive import Drive

SERVICE: dict[str, object] = {"token_hash": "ab", "name": "ci", "verbs": ("runs.submit", "runs.read"), "expires_ms": 99}
HOOK: dict[str, object] = {"id": "w", "origin": "https://example.org", "kinds": ("round-sealed",)}


def test_a_service_is_issued_and_ended() -> None:
    drive = Drive()
    drive.wait(5)
    assert act(drive, ServiceIssued, **SERVICE).word == "done"
    row = ServiceRow(
        id="ab",
        name="ci",
        verbs=("runs.read", "runs.submit"),
        actor=ADMINISTRATOR,
        made_ms=5,
        expires_ms=99,
        revoked=False,
    )
    assert drive.state.services == {"ab": row}
    record = drive.records[-1]
    assert (record.kind, record.subject, record.tree) == ("service-issued", "ci", "plane")
    assert record.why == {"verbs": "runs.read,runs.submit"}
    assert act(drive, ServiceRevoked, token_hash="ab").word == "done"
    assert drive.state.services["ab"].revoked
    assert (drive.records[-1].kind, drive.records[-1].subject) == ("service-revoked", "ci")


def test_an_ended_service_stays_ended() -> None:
    drive = Drive()
    act(drive, ServiceIssued, **SERVICE)
    act(drive, ServiceRevoked, token_hash="ab")
    records = len(drive.records)
    assert act(drive, ServiceRevoked, token_hash="ab").word == "done"
    assert act(drive, ServiceIssued, **SERVICE).word == "done"
    assert len(drive.records) == records
    assert drive.state.services["ab"].revoked
    assert act(drive, ServiceRevoked, token_hash="cd").code == "service-unknown"


@pytest.mark.parametrize(
    ("verbs", "detail"),
    [((), "no verb"), (("runs.read", "fly"), "verbs fly"), (("sing", "fly"), "verbs fly, sing")],
)
def test_a_service_has_verbs_that_are_verbs(verbs: tuple[str, ...], detail: str) -> None:
    drive = Drive()
    heard = act(drive, ServiceIssued, **SERVICE | {"verbs": verbs})
    assert (heard.word, heard.code, heard.detail) == ("", "usage", detail)
    assert not drive.state.services
    assert not drive.records


def test_a_webhook_is_set_changed_and_removed() -> None:
    drive = Drive()
    heard = act(drive, WebhookSet, **HOOK)
    assert (heard.word, heard.id) == ("done", "w")
    row = WebhookRow(
        id="w", origin="https://example.org", kinds=("round-sealed",), actor=ADMINISTRATOR, at_ms=0, removed=False
    )
    assert drive.state.webhooks == {"w": row}
    assert (drive.records[-1].kind, drive.records[-1].why) == ("webhook-set", {"origin": "https://example.org"})
    act(drive, WebhookSet, **HOOK | {"kinds": ()})
    assert drive.state.webhooks["w"].kinds == ()
    assert act(drive, WebhookRemoved, id="w").word == "done"
    assert drive.state.webhooks["w"].removed
    records = len(drive.records)
    assert drive.records[-1].kind == "webhook-removed"
    assert act(drive, WebhookRemoved, id="w").word == "done"
    assert len(drive.records) == records
    assert act(drive, WebhookRemoved, id="x").code == "webhook-unknown"


def test_a_new_key_is_told_to_the_plane_s_tree() -> None:
    drive = Drive()
    heard = act(drive, KeyRotated, role="online", key_id="k2", version=3)
    assert (heard.word, heard.id) == ("done", "k2")
    record = drive.records[-1]
    assert (record.kind, record.subject, record.tree, record.rows) == ("key-rotated", "k2", "plane", ())
    assert record.why == {"role": "online", "root_version": 3}


def test_what_people_set_outlives_the_process() -> None:
    drive = Drive()
    act(drive, ServiceIssued, **SERVICE)
    act(drive, WebhookSet, **HOOK)
    before = (dict(drive.state.services), dict(drive.state.webhooks))
    drive.reload()
    assert (drive.state.services, drive.state.webhooks) == before
