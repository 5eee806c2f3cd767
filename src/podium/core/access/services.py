"""Credentials of services, and who is told of records: acts of people on who may do or hear what.

Decides: that a credential's verbs are verbs, and that an ended one stays ended. Never: whether a secret is right (the
gateway compares hashes) nor how a record is delivered.
"""

from msgspec.structs import replace

from podium.core.access.roles import EVERY
from podium.core.effects import Answer
from podium.core.events import KeyRotated, ServiceIssued, ServiceRevoked, WebhookRemoved, WebhookSet
from podium.core.outbox import Outbox
from podium.core.rows import ServiceRow, WebhookRow
from podium.core.state import State


def issue_service(state: State, out: Outbox, event: ServiceIssued) -> None:
    """Keep a service's credential; `usage` for a verb that is none. A known one, ended or not, changes nothing."""
    unknown = sorted(set(event.verbs) - EVERY)
    code = "usage" if unknown or not event.verbs else ""
    detail = f"verbs {', '.join(unknown)}" if unknown else "no verb"
    if not code and event.token_hash not in state.services:
        row = ServiceRow(
            id=event.token_hash,
            name=event.name,
            verbs=tuple(sorted(event.verbs)),
            actor=event.actor,
            made_ms=state.now_ms,
            expires_ms=event.expires_ms,
            revoked=False,
        )
        out.record("service-issued", event.name, row, actor=event.actor, verbs=",".join(row.verbs))
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, detail=detail if code else ""))


def revoke_service(state: State, out: Outbox, event: ServiceRevoked) -> None:
    """End a service's credential; again changes nothing."""
    row = state.services.get(event.token_hash)
    if row is not None and not row.revoked:
        out.record("service-revoked", row.name, replace(row, revoked=True), actor=event.actor)
    code = "service-unknown" if row is None else ""
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code))


def set_webhook(state: State, out: Outbox, event: WebhookSet) -> None:
    """Keep who is told of records."""
    row = WebhookRow(
        id=event.id, url=event.url, kinds=event.kinds, actor=event.actor, at_ms=state.now_ms, removed=False
    )
    out.record("webhook-set", event.id, row, actor=event.actor, url=event.url)
    out.send(Answer(ticket=event.ticket, word="done", id=event.id))


def remove_webhook(state: State, out: Outbox, event: WebhookRemoved) -> None:
    """Tell nobody there any more; again changes nothing."""
    row = state.webhooks.get(event.id)
    if row is not None and not row.removed:
        out.record("webhook-removed", row.id, replace(row, removed=True), actor=event.actor)
    code = "webhook-unknown" if row is None else ""
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code))


def rotate_key(state: State, out: Outbox, event: KeyRotated) -> None:
    """Record that the plane signs with another key; the root document that says so is made already."""
    out.record(
        "key-rotated", event.key_id, tree="plane", actor=event.actor, role=event.role, root_version=event.version
    )
    out.send(Answer(ticket=event.ticket, word="done", id=event.key_id))
