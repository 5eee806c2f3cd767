"""A session: the device's proof of who it is, the plane's proof of who answers, and the key under every later request.

Decides: when a session is over and what each request carries. Never: which requests are made (agent.py).
A session begins lazily and again whenever the plane no longer knows it; each begins a new, durable epoch.
Source: steps 1 and 2 of docs/reference/device-protocol.md.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from podium.crypto.mac import COUNTER_HEADER, MAC_HEADER, SESSION_HEADER, request_mac
from podium.crypto.root import open_root
from podium.crypto.seal import upload_keypair
from podium.crypto.sign import public_key, sign
from podium.device.link import Headers, Link, PlaneRefusal, Reply, decoded
from podium.device.state import Identity, State
from podium.device.trust import follow_head, follow_root, open_grant, untrue
from podium.wire.canonical import b64, canonical, decode_canonical, unb64
from podium.wire.messages import (
    Capabilities,
    Challenge,
    ChallengeAsk,
    Enrol,
    Enrolled,
    EnrolStatement,
    RootDocument,
    SessionAsk,
    SessionStatement,
    Signed,
    SignedRoot,
)
from podium.wire.problems import DeviceFault, OperatorFault

T = TypeVar("T")

_JSON = {"content-type": "application/json"}
SESSION_OVER = frozenset(
    {"session-unknown", "mac-invalid", "counter-replayed", "epoch-stale", "challenge-expired", "http-401", "http-409"}
)
"""Codes that a new session mends; the last two are what a HEAD answer, which has no body, can say of the others."""
_EMPTY_DIGEST = hashlib.sha256(b"").digest()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What an enrolment token holds: `pdm1.` and the base64url of this, canonical. `ca`: see device/link.py."""

    plane_id: str
    secret: str
    population: str
    ca: str


def read_token(text: str) -> Token:
    """The content of an enrolment token; `OperatorFault(token-invalid)` if it is none."""
    kind, _, body = text.strip().partition(".")
    try:
        if kind == "pdm1":
            return decode_canonical(unb64(body), Token)
        why = "it does not start with pdm1."
    except DeviceFault as error:
        why = error.why
    raise OperatorFault("token-invalid", what="read the enrolment token", why=why)


def new_identity(token: Token, name: str) -> Identity:
    """A new identity with a key from the operating system's generator; not enrolled yet."""
    return Identity(
        seed=b64(secrets.token_bytes(32)),
        plane_id=token.plane_id,
        population=token.population,
        name=name,
        ca=token.ca,
    )


def enrol(link: Link, state: State, identity: Identity, token: Token) -> Identity:
    """Enrol the kept `identity` with `token`; the identity with its device id, durable together with the plane's root.

    Asking again with the same key and token after a crash is the same enrolment. Raises what the link raises, and
    `DeviceFault(manifest-invalid)` if the root is not of the token's plane.
    """
    seed = unb64(identity.seed)
    statement = EnrolStatement(
        token_hash=hashlib.sha256(token.secret.encode()).hexdigest(),
        plane_id=identity.plane_id,
        population=identity.population,
        public_key=b64(public_key(seed)),
        name=identity.name,
    )
    ask = Enrol(secret=token.secret, statement=sign(seed, "enrol", canonical(statement)))
    answer = decoded(link.send("POST", "/v1/enrol", msgspec.json.encode(ask), _JSON)[0], Enrolled)
    if answer.population != identity.population:
        raise untrue("enrol", f"the plane enrolled this device in {answer.population}, not {identity.population}")
    follow_root(state.memory, answer.root, identity.plane_id)
    state.keep_memory()
    enrolled = msgspec.structs.replace(identity, device_id=answer.device_id)
    state.keep_identity(enrolled)
    return enrolled


class Session:
    """Authenticated requests of one enrolled device, over as many sessions as that takes."""

    def __init__(self, link: Link, state: State, identity: Identity, capabilities: Callable[[], Capabilities]) -> None:
        """`identity` is enrolled. `capabilities` is asked at the beginning of each session."""
        if state.memory.root is None:
            raise OperatorFault(
                "file-unreadable", what="open a session", why="the device's memory holds no root document"
            )
        self._link = link
        self._state = state
        self._identity = identity
        self._capabilities = capabilities
        self.root: RootDocument = open_root(state.memory.root, None)
        self._id = ""
        self._key = b""
        self._counter = 0
        self._until_s = 0.0

    def ask(self, method: str, path: str, message: msgspec.Struct | bytes | None, query: str = "") -> Reply:
        """One authenticated request with a JSON message, raw bytes or no body; body and headers of the answer.

        If the plane does not know the session, a new one is opened and the request made once more.
        """
        body = msgspec.json.encode(message) if isinstance(message, msgspec.Struct) else message
        target = f"{path}?{query}" if query else path
        return self._once_more(lambda: self._link.send(method, target, body, self._headers(method, path, query, body)))

    def end(self) -> None:
        """The next request opens a new session."""
        self._until_s = 0.0

    def say(self, path: str, message: msgspec.Struct, kind: type[T]) -> T:
        """POST `message`; the answer as a `kind`."""
        return decoded(self.ask("POST", path, message)[0], kind)

    def stream(self, path: str, start: int) -> tuple[int, Iterator[bytes]]:
        """GET `path` from byte `start` on; the byte at which the pieces begin (0 if the plane sent all), and them."""

        def call() -> tuple[int, Iterator[bytes]]:
            headers = self._headers("GET", path, "", None)
            if start:
                headers["range"] = f"bytes={start}-"
            return self._link.stream(path, headers)

        status, pieces = self._once_more(call)
        return (start if status == 206 else 0), pieces

    def root_with(self, key: str) -> RootDocument:
        """The root document; fetched anew, and followed if it holds, when its online role does not know `key`."""
        role = self.root.roles.get("online")
        if role is None or key not in role.key_ids:
            self._refresh_root()
        return self.root

    def _once_more(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except PlaneRefusal as error:
            if error.code not in SESSION_OVER:
                raise
        self.end()
        return call()

    def _headers(self, method: str, path: str, query: str, body: bytes | None) -> Headers:
        if time.monotonic() >= self._until_s:
            self._open()
        self._counter += 1
        digest = hashlib.sha256(body).digest() if body else _EMPTY_DIGEST
        headers = {
            SESSION_HEADER: self._id,
            COUNTER_HEADER: str(self._counter),
            MAC_HEADER: request_mac(self._key, method, path, query, digest, self._counter),
        }
        if body:
            headers["content-type"] = "application/json" if method == "POST" else "application/octet-stream"
        return headers

    def _open(self) -> None:
        """Open a session with a new epoch."""
        memory = self._state.memory
        # Wall time lifts the epoch over any that a lost or restored state directory forgot.
        memory.epoch = max(memory.epoch + 1, time.time_ns() // 1_000_000)
        self._state.keep_memory()
        ask = ChallengeAsk(device_id=self._identity.device_id)
        challenge = self._post("/v1/session/challenge", ask, Challenge)
        private, public = upload_keypair(secrets.token_bytes(32))
        statement = canonical(
            SessionStatement(
                challenge=challenge.challenge,
                plane_key_id=challenge.plane_key_id,
                device_id=self._identity.device_id,
                epoch=memory.epoch,
                ephemeral_key=b64(public),
                capabilities=self._capabilities(),
            )
        )
        signed = sign(unb64(self._identity.seed), "session", statement)
        started_s = time.monotonic()
        answer = self._post("/v1/session", SessionAsk(statement=signed), Signed)
        if answer.key_id != challenge.plane_key_id:
            raise untrue("verify the session grant", "another key signed it than the challenge names")
        grant, key = open_grant(self.root_with(answer.key_id), answer, statement, private)
        if grant.root_version > self.root.version:
            self._refresh_root()
        if follow_head(self.root, memory, grant.head):
            self._state.keep_memory()
        self._id, self._key, self._counter = grant.session, key, 0
        self._until_s = started_s + grant.expires_in_ms * 0.95 / 1000

    def _refresh_root(self) -> None:
        """Fetch the newest root and follow it."""
        signed = decoded(self._link.send("GET", "/v1/root", None, {})[0], SignedRoot)
        if follow_root(self._state.memory, signed, self._identity.plane_id):
            self._state.keep_memory()
        self.root = open_root(signed, None)

    def _post(self, path: str, message: msgspec.Struct, kind: type[T]) -> T:
        return decoded(self._link.send("POST", path, msgspec.json.encode(message), _JSON)[0], kind)
