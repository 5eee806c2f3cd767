"""The machine of tokens and devices: who may enrol, and who is enrolled.

Decides: whether a token admits a device; a token is consumed in the step that makes the device, so a raced token makes
one. Enrolling the same key again gives the same device. Never: whether a signature holds (the gateway checked it).
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import EnrolAsked, SessionOpened, TokenIssued
from podium.core.fleet.columns import NEVER
from podium.core.fleet.facts import standing_facts
from podium.core.fleet.roster import UNKNOWN
from podium.core.outbox import POPULATION, Outbox
from podium.core.rows import DeviceRow, TokenRow
from podium.core.state import State


def issue_token(state: State, out: Outbox, event: TokenIssued) -> None:
    """Keep a new enrolment token; this release serves one population."""
    code = "" if event.population == POPULATION else "not-available"
    if not code:
        token = TokenRow(
            id=event.token_hash,
            population=event.population,
            site=event.site,
            name=event.name,
            labels=event.labels,
            uses_left=event.uses,
            expires_ms=event.expires_ms,
        )
        out.record("token-issued", event.token_hash, token, actor=event.actor, uses=event.uses)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code))


def enrol(state: State, out: Outbox, event: EnrolAsked) -> None:
    """Make the device that the token admits."""
    known = state.devices.by_key(event.public_key)
    if known != UNKNOWN:
        out.send(Answer(ticket=event.ticket, word="done", id=state.devices.id(known)))
        return
    token = state.tokens.get(event.token_hash)
    if (
        token is None
        or token.uses_left <= 0
        or token.expires_ms <= state.now_ms
        or token.population != event.population
    ):
        out.send(Answer(ticket=event.ticket, word="", code="token-invalid"))
        return
    device = DeviceRow(
        id=event.device_id,
        number=len(state.devices),
        name=token.name or event.name,
        population=token.population,
        site=token.site,
        labels=token.labels,
        public_key=event.public_key,
        enrolled_ms=state.now_ms,
        participated_ms=NEVER,
        state="active",
    )
    used = replace(token, uses_left=token.uses_left - 1)
    out.record("device-enrolled", device.id, device, used, actor=f"device:{device.id}", token=token.id)
    out.send(Answer(ticket=event.ticket, word="done", id=device.id))


def open_session(state: State, out: Outbox, event: SessionOpened) -> None:
    """Start a device's session; an epoch that is not newer than the last one is stale."""
    fleet, device = state.fleet, state.devices[event.device]
    code = ""
    if device.state == "banned":
        code = "device-banned"
    elif event.epoch <= fleet.epoch[event.device]:
        code = "epoch-stale"
    else:
        fleet.open_session(event.device, event.epoch, standing_facts(event.capabilities, device))
        fleet.seen_ms[event.device] = state.now_ms
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=device.id))
