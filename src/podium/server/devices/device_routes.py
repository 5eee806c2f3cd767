"""Steps 1 to 4 and 6 of the device conversation: root, enrol, session, check-in, and words about a lease.

Decides: whether a message is well formed and authentic. Never: what it leads to (the core), nor anything of uploads,
blobs and reports (lease_routes.py). Limits: `facts_bytes_max`, `name_chars_max`, `traceback_bytes_max`.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from podium.core.events import EnrolAsked
from podium.core.said import LeaseAccepted, LeaseDeclined, LeaseFailed, LeaseProgressed
from podium.core.selection.reasons import REASONS
from podium.crypto.seal import seal_key, session_info
from podium.crypto.sign import open_signed, sign
from podium.server.aggregation.manifests import HeadOf
from podium.server.devices.device_words import (
    check_capabilities,
    check_name,
    check_telemetry,
    checked,
    lease_answer,
    offer_message,
    one_line,
)
from podium.server.devices.gateway import Door, decode
from podium.server.devices.sessions import Sessions
from podium.server.devices.transfers import Transfers
from podium.server.http import Request, Response, answer
from podium.server.loop.batches import session_opened
from podium.server.loop.loop import Loop, note_denied
from podium.server.plane_data import Parts
from podium.wire.canonical import b64, canonical, decode_canonical, unb64
from podium.wire.facts import COUNT_MAX
from podium.wire.messages import (
    Accept,
    Challenge,
    ChallengeAsk,
    CheckIn,
    CheckInAnswer,
    Decline,
    Enrol,
    Enrolled,
    EnrolStatement,
    Failure,
    Progress,
    SessionAsk,
    SessionGrant,
    SessionStatement,
)
from podium.wire.problems import KINDS, DeviceFault

log = logging.getLogger("podium.devices")

_ENROL = msgspec.json.Decoder(Enrol)
_CHALLENGE = msgspec.json.Decoder(ChallengeAsk)
_SESSION = msgspec.json.Decoder(SessionAsk)
_CHECKIN = msgspec.json.Decoder(CheckIn)
_ACCEPT = msgspec.json.Decoder(Accept)
_DECLINE = msgspec.json.Decoder(Decline)
_PROGRESS = msgspec.json.Decoder(Progress)
_FAILURE = msgspec.json.Decoder(Failure)


class Conversation:
    """The routes of a device that has no update to deliver yet."""

    def __init__(self, parts: Parts, door: Door, loop: Loop, sessions: Sessions, timed: Transfers) -> None:
        self._parts = parts
        self._door = door
        self._loop = loop
        self._sessions = sessions
        self._timed = timed
        self.head_of: HeadOf = lambda tree: None

    async def root(self, request: Request, name: str) -> Response:
        """GET /v1/root: the plane's newest root document."""
        return answer(self._parts.identity.root)

    async def enrol(self, request: Request, name: str) -> Response:
        """POST /v1/enrol: a new device key, proven by its own signature and a token's secret."""
        asked = decode(_ENROL, await self._door.body(request))
        payload = decode_canonical(unb64(asked.statement.payload), EnrolStatement)
        told = open_signed(unb64(payload.public_key), "enrol", asked.statement, EnrolStatement)
        if told.plane_id != self._parts.identity.plane_id:
            raise DeviceFault("token-invalid", why="the statement names another plane")
        if told.token_hash != hashlib.sha256(asked.secret.encode()).hexdigest():
            raise DeviceFault("token-invalid", why="the statement names another token")
        check_name("name", told.name, self._parts.limits.name_chars_max)
        device_id = "d" + self._parts.entropy.token(10).hex()
        said = checked(
            await self._loop.ask(
                lambda at, ticket: EnrolAsked(
                    at_ms=at,
                    ticket=ticket,
                    token_hash=told.token_hash,
                    device_id=device_id,
                    public_key=told.public_key,
                    population=told.population,
                    name=told.name,
                )
            )
        )
        log.info("device enrolled", extra={"device": said.id or device_id})
        root = self._parts.identity.root
        return answer(Enrolled(device_id=said.id or device_id, population=told.population, root=root))

    async def challenge(self, request: Request, name: str) -> Response:
        """POST /v1/session/challenge. It is answered for any device id: it tells nothing of who is enrolled."""
        decode(_CHALLENGE, await self._door.body(request))
        made = self._sessions.challenge(self._loop.now_ms())
        online, parts = self._parts.identity.online_id, self._parts
        return answer(Challenge(challenge=made, plane_key_id=online, expires_in_ms=parts.limits.challenge_ms))

    async def session(self, request: Request, name: str) -> Response:
        """POST /v1/session: the signed statement; answered by the signed grant, its key sealed to the device."""
        asked = decode(_SESSION, await self._door.body(request))
        state = self._loop.state
        payload = unb64(asked.statement.payload)
        number = state.device_number(decode_canonical(payload, SessionStatement).device_id)
        row = state.devices[number]
        told = open_signed(unb64(row.public_key), "session", asked.statement, SessionStatement)
        if row.state == "banned":
            raise DeviceFault("device-banned")
        if told.plane_key_id != self._parts.identity.online_id:
            raise DeviceFault("challenge-expired", why="the statement names another key of the plane")
        seed = self._parts.online_seed()  # of the key that the challenge named, though another may sign meanwhile
        self._sessions.check_challenge(told.challenge, self._loop.now_ms())
        with self._noting(row.id):
            check_capabilities(told.capabilities, self._parts.limits)
        if not 0 <= told.epoch <= COUNT_MAX:
            raise DeviceFault("body-malformed", why="an epoch is within [0, 2^53)")
        session, key = self._sessions.open(row.id, number, told.epoch, self._loop.now_ms())
        sealed = seal_key(unb64(told.ephemeral_key), key, session_info(session))
        checked(
            await self._loop.ask(lambda at, ticket: session_opened(at, ticket, number, told.epoch, told.capabilities))
        )
        grant = SessionGrant(
            session=session,
            sealed_key=b64(sealed),
            statement_hash=hashlib.sha256(payload).hexdigest(),
            expires_in_ms=self._parts.limits.session_ms,
            root_version=self._parts.identity.document.version,
            head=self.head_of(row.population),
        )
        return answer(sign(seed, "session-grant", canonical(grant)))

    @contextmanager
    def _noting(self, device: str) -> Iterator[None]:
        """What a device that proved itself tells and cannot be: the refusal goes to the journal too."""
        try:
            yield
        except DeviceFault as fault:
            note_denied(self._loop, device, fault.code)
            raise

    async def check_in(self, request: Request, name: str) -> Response:
        """POST /v1/checkin: momentary facts in; an offer or a reason, and two return windows, out."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        with self._noting(caller.row.id):
            told = decode(_CHECKIN, body)
            check_telemetry(told)
        outcome = await self._loop.check_in(caller.number, caller.epoch, told)
        offer = outcome.offer
        return answer(
            CheckInAnswer(
                offer=None if offer is None else offer_message(offer),
                reason=REASONS[outcome.reason],
                window_ok_ms=outcome.window_ok_ms,
                window_else_ms=outcome.window_else_ms,
                news=outcome.news,
            )
        )

    async def accept(self, request: Request, name: str) -> Response:
        """POST /v1/leases/ID/accept."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        decode(_ACCEPT, body)
        return lease_answer(
            await self._loop.tell_lease(
                lambda at, ticket: LeaseAccepted(
                    at_ms=at, ticket=ticket, device=caller.number, epoch=caller.epoch, lease=name
                )
            )
        )

    async def decline(self, request: Request, name: str) -> Response:
        """POST /v1/leases/ID/decline. With the reason `incompatible`, the detail is what the device lacks."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        told = decode(_DECLINE, body)
        incompatible = told.reason == "incompatible"
        reason = one_line(told.detail, self._parts.limits.name_chars_max) if incompatible else told.reason
        return lease_answer(
            await self._loop.tell_lease(
                lambda at, ticket: LeaseDeclined(
                    at_ms=at,
                    ticket=ticket,
                    device=caller.number,
                    epoch=caller.epoch,
                    lease=name,
                    reason=reason,
                    incompatible=incompatible,
                )
            )
        )

    async def progress(self, request: Request, name: str) -> Response:
        """POST /v1/leases/ID/progress."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        told = decode(_PROGRESS, body)
        if not all(0 <= count <= COUNT_MAX for count in (told.done, told.total, told.moved_bytes)):
            raise DeviceFault("body-malformed", why="progress counts are within [0, 2^53)")
        if self._loop.state.live_lease.get(caller.number) == name:
            self._timed.told(name, told.done, told.moved_bytes)
        return lease_answer(
            await self._loop.tell_lease(
                lambda at, ticket: LeaseProgressed(
                    at_ms=at,
                    ticket=ticket,
                    device=caller.number,
                    epoch=caller.epoch,
                    lease=name,
                    done=told.done,
                    total=told.total,
                    moved_bytes=told.moved_bytes,
                )
            )
        )

    async def fail(self, request: Request, name: str) -> Response:
        """POST /v1/leases/ID/fail: the plan raised; its traceback, cut to `traceback_bytes_max`."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        told = decode(_FAILURE, body)
        if told.code not in KINDS:
            raise DeviceFault("body-malformed", what="the failure's code is not known", why=told.code[:64])
        detail = told.detail[: self._parts.limits.traceback_bytes_max]
        return lease_answer(
            await self._loop.tell_lease(
                lambda at, ticket: LeaseFailed(
                    at_ms=at,
                    ticket=ticket,
                    device=caller.number,
                    epoch=caller.epoch,
                    lease=name,
                    code=told.code,
                    detail=detail,
                )
            )
        )
