"""Credentials of services, and who is told of records: acts of people on who may do or hear what.

Decides: that a credential's verbs are verbs and its name is no living one's; that it ends no later than the one that
issued it, and with it; that an ended one stays ended; and that a webhook which a service set ends with its credential.
Never: whether a secret is right (the gateway compares hashes), who may issue (roles.py), nor how a record is delivered.
"""

from msgspec.structs import replace

from podium.core.access.roles import EVERY
from podium.core.effects import Answer
from podium.core.events import KeyRotated, ServiceIssued, ServiceRevoked, WebhookRemoved, WebhookSet
from podium.core.outbox import Outbox
from podium.core.rows import ServiceRow, WebhookRow
from podium.core.state import State

REVOKED, OVER = "credential-revoked", "credential-over"
"""Why a webhook ended: the credential that set it was revoked, or its time was over."""


def issue_service(state: State, out: Outbox, event: ServiceIssued) -> None:
    """Keep a service's credential; a known one, ended or not, changes nothing.

    usage (a verb that is none), name-taken, credential-invalid (the one that issues it ended meanwhile).
    """
    issuer = state.services.get(event.credential)
    code, detail = _refusal(state, event)
    if not code and event.token_hash not in state.services:
        row = ServiceRow(
            id=event.token_hash,
            name=event.name,
            verbs=tuple(sorted(event.verbs)),
            actor=event.actor,
            made_ms=state.now_ms,
            expires_ms=event.expires_ms if issuer is None else min(event.expires_ms, issuer.expires_ms),
            revoked=False,
            issuer=event.credential,
        )
        out.record("service-issued", event.name, row, actor=event.actor, verbs=",".join(row.verbs))
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, detail=detail))


def _refusal(state: State, event: ServiceIssued) -> tuple[str, str]:
    """(code, detail) of why a credential cannot be issued; empty if it can."""
    unknown = sorted(set(event.verbs) - EVERY)
    if unknown or not event.verbs:
        return "usage", f"verbs {', '.join(unknown)}" if unknown else "no verb"
    if not _stands(state, event.credential):
        return "credential-invalid", "the credential that issues another has ended"
    same = [row for row in state.services.values() if row.name == event.name and row.id != event.token_hash]
    if any(_stands(state, row.id) for row in same):
        return "name-taken", f"a living credential is called {event.name}"
    return "", ""


def _stands(state: State, credential: str) -> bool:
    """Whether a credential may still be used; "" is a person's, which the core knows nothing of."""
    row = state.services.get(credential)
    return not credential or (row is not None and not row.revoked and row.expires_ms > state.now_ms)


def lineage(state: State, credential: str) -> list[ServiceRow]:
    """That credential, what it issued, what those issued, and so on; each after the one that issued it."""
    found = [state.services[credential]]
    for row in found:
        issued = (each for each in state.services.values() if each.issuer == row.id)
        found.extend(sorted(issued, key=lambda each: (each.made_ms, each.id)))  # a reloaded core holds another order
    return found


def revoke_service(state: State, out: Outbox, event: ServiceRevoked) -> None:
    """End a service's credential, those that it issued, and the webhooks that they set; again changes nothing."""
    row = state.services.get(event.token_hash)
    if row is not None and not row.revoked:
        for each in lineage(state, row.id):
            if not each.revoked:
                why = {} if each is row else {"issuer": state.services[each.issuer].name}
                out.record("service-revoked", each.name, replace(each, revoked=True), actor=event.actor, **why)
                hooks = [hook for hook in state.hooks_until if state.webhooks[hook].credential == each.id]
                _end_webhooks(state, out, hooks, REVOKED, event.actor)
    code = "service-unknown" if row is None else ""
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code))


# -- webhooks ------------------------------------------------------------------------------------------------


def is_told(row: WebhookRow) -> bool:
    """Whether a webhook is told of records still."""
    return not (row.removed or row.ended)


def set_webhook(state: State, out: Outbox, event: WebhookSet) -> None:
    """Keep who is told of records; credential-invalid if the one that sets it ended meanwhile."""
    code = "" if _stands(state, event.credential) else "credential-invalid"
    if not code:
        row = WebhookRow(
            id=event.id,
            origin=event.origin,
            kinds=event.kinds,
            actor=event.actor,
            at_ms=state.now_ms,
            removed=False,
            credential=event.credential,
        )
        out.record("webhook-set", event.id, row, actor=event.actor, origin=event.origin)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", id=event.id, code=code))


def remove_webhook(state: State, out: Outbox, event: WebhookRemoved) -> None:
    """Tell nobody there any more; again changes nothing."""
    row = state.webhooks.get(event.id)
    if row is not None and not row.removed:
        out.record("webhook-removed", row.id, replace(row, removed=True), actor=event.actor)
    code = "webhook-unknown" if row is None else ""
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code))


def webhooks_due(state: State) -> int:
    """When the next webhook ends with the time of the credential that set it, in ms; very large if none does."""
    return min(state.hooks_until.values(), default=state.never)


def end_webhooks(state: State, out: Outbox) -> None:
    """End those whose credential's time is over."""
    over = [hook for hook, until_ms in state.hooks_until.items() if until_ms <= state.now_ms]
    _end_webhooks(state, out, over, OVER, "")


def _end_webhooks(state: State, out: Outbox, hooks: list[str], reason: str, actor: str) -> None:
    for hook in sorted(hooks):
        row = state.webhooks[hook]
        service = state.services[row.credential].name
        ended = replace(row, ended=reason)
        out.record("webhook-ended", hook, ended, actor=actor, tree="plane", reason=reason, service=service)


# -- keys ----------------------------------------------------------------------------------------------------


def rotate_key(state: State, out: Outbox, event: KeyRotated) -> None:
    """Record that the plane signs with another key; the root document that says so is made already."""
    out.record(
        "key-rotated", event.key_id, tree="plane", actor=event.actor, role=event.role, root_version=event.version
    )
    out.send(Answer(ticket=event.ticket, word="done", id=event.key_id))
