"""The machine of tokens and devices: who may enrol, and who is enrolled.

Decides: whether a token admits a device; a token is consumed in the step that makes the device, so a raced token makes
one. Enrolling the same key again gives the same device. Never: whether a signature holds (the gateway checked it).
"""

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.effects import Answer
from podium.core.events import EnrolAsked, SessionsOpened, TokenIssued
from podium.core.fleet.columns import NEVER, Fleet
from podium.core.fleet.facts import standing_facts
from podium.core.fleet.roster import UNKNOWN
from podium.core.fleet.sets import SLOTS
from podium.core.fleet.telemetry import ABSENT
from podium.core.outbox import POPULATION, Outbox
from podium.core.rows import DeviceRow, TokenRow
from podium.core.state import State

Devices = NDArray[np.int64]


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


def open_sessions(state: State, out: Outbox, event: SessionsOpened) -> None:
    """Start devices' sessions; an epoch that is not newer than the last one is stale. Who waits is answered.

    A device that comes twice in one batch is taken in the order of the rows.
    """
    start, count = 0, len(event.at)
    while start < count:
        end = start + state.fleet.first_again(event.device[start:])
        _open(state, out, event, slice(start, end))
        start = end


def _open(state: State, out: Outbox, event: SessionsOpened, rows: slice) -> None:
    fleet, devices, epochs = state.fleet, event.device[rows], event.epoch[rows]
    banned = fleet.banned[devices]
    stale = ~banned & (epochs <= fleet.epoch[devices])
    taken = np.flatnonzero(~banned & ~stale)
    mine = taken + rows.start
    fleet.open_sessions(devices[taken], epochs[taken], _sets(fleet, event, devices[taken], mine))
    fleet.hear_data(devices[taken], event.data, mine)
    fleet.seen_ms[devices[taken]] = fleet.session_ms[devices[taken]] = np.maximum(event.at[mine], state.now_ms)
    for place in np.flatnonzero(event.ticket[rows] >= 0):
        code = "device-banned" if banned[place] else "epoch-stale" if stale[place] else ""
        device = state.devices[int(devices[place])]
        ticket = int(event.ticket[rows][place])
        out.send(Answer(ticket=ticket, word="" if code else "done", code=code, id=device.id))


def _sets(fleet: Fleet, event: SessionsOpened, devices: Devices, rows: Devices) -> NDArray[np.int32]:
    """The numbers of the fact sets that `devices` hold by `rows` of the event, each held once more for each of them."""
    names = sorted(event.data.examples)
    has = [event.data.examples[name][rows] != ABSENT for name in names]
    code = event.kind[rows].astype(np.int64) * len(fleet.places) + fleet.place[devices]
    for there in has:
        if code.max(initial=0) >= 1 << 60:
            code = np.unique(code, return_inverse=True)[1]
        code = 2 * code + there
    _, firsts, which, holders = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.empty(len(firsts), np.int32)
    for place, first in enumerate(firsts):
        held = [name for name, there in zip(names, has, strict=True) if there[first]][:SLOTS]
        _, site, labels = fleet.places[fleet.place[devices[first]]]
        facts = standing_facts(event.capabilities[event.kind[rows[first]]], held, site, labels)
        numbers[place] = fleet.facts.hold(facts, int(holders[place]))
    sets: NDArray[np.int32] = numbers[which]
    return sets
