"""A scripted device over real HTTP: says exactly what a test tells it to, also what no honest device would say.

It speaks the wire by the public structs and crypto alone and keeps no state but its session; urllib3 does the HTTP.
"""

import hashlib
import os
from dataclasses import dataclass, field

import msgspec
import numpy as np
import urllib3
from numpy.typing import NDArray

from podium.crypto.mac import COUNTER_HEADER, MAC_HEADER, SESSION_HEADER, request_mac
from podium.crypto.seal import open_key, seal_frames, seal_key, session_info, update_info, upload_keypair
from podium.crypto.sign import public_key, sign
from podium.wire import messages as m
from podium.wire.canonical import b64, canonical, decode_canonical, unb64
from podium.wire.problems import Problem
from podium.wire.tensors import write_arrays

CHUNK = 1024 * 1024
PLAN = "podium_examples.tests:train"


class Refused(Exception):
    """The plane answered with a problem."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{status} {problem.code}: {problem.detail} ({problem.why})")
        self.status = status
        self.code = problem.code
        self.problem = problem


@dataclass
class Session:
    """An open session."""

    id: str
    key: bytes
    epoch: int
    counter: int = 0


@dataclass
class Update:
    """A sealed update with its signed report."""

    sealed: bytes
    report: m.Signed


@dataclass
class ScriptedDevice:
    """One device; `seed` is its Ed25519 key."""

    url: str
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    name: str = "scripted"
    device_id: str = ""
    session: Session | None = None
    epoch: int = 0

    def __post_init__(self) -> None:
        self.pool = urllib3.PoolManager(retries=False, timeout=20.0)

    # -- plain HTTP --------------------------------------------------------------------------------------------

    def send(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request as it is."""
        return self.pool.request(method, self.url + target, body=body, headers=headers or {})

    def whole(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The body of a 2xx answer; `Refused` otherwise, whose problem must be a well-formed one."""
        if response.status < 300:
            return response.data
        assert response.headers["content-type"] == "application/problem+json"
        problem = msgspec.json.decode(response.data, type=Problem)
        assert problem.status == response.status
        raise Refused(response.status, problem)

    def post(self, path: str, message: msgspec.Struct) -> bytes:
        """An unauthenticated message."""
        return self.whole(self.send("POST", path, msgspec.json.encode(message)))

    # -- 1 enrol, 2 session ------------------------------------------------------------------------------------

    def enrol(self, token: str, **changed: str) -> m.Enrolled:
        """Enrol with a token as the operator API gives it; `changed` overrides fields of the statement."""
        held = msgspec.json.decode(unb64(token.removeprefix("pdm1.")), type=dict[str, str])
        told = {
            "token_hash": hashlib.sha256(held["secret"].encode()).hexdigest(),
            "plane_id": held["plane_id"],
            "population": held["population"],
            "public_key": b64(public_key(self.seed)),
            "name": self.name,
        } | changed
        statement = sign(self.seed, "enrol", canonical(m.EnrolStatement(**told)))
        answer = self.post("/v1/enrol", m.Enrol(secret=held["secret"], statement=statement))
        enrolled = msgspec.json.decode(answer, type=m.Enrolled)
        self.device_id = enrolled.device_id
        return enrolled

    def challenge(self) -> m.Challenge:
        """A fresh challenge."""
        answer = self.post("/v1/session/challenge", m.ChallengeAsk(device_id=self.device_id))
        return msgspec.json.decode(answer, type=m.Challenge)

    def open(self, capabilities: m.Capabilities | None = None, seed: bytes | None = None) -> m.SessionGrant:
        """Open a session with the next epoch; `seed`: sign with another key."""
        asked = self.challenge()
        self.epoch += 1
        private, public = upload_keypair(os.urandom(32))
        statement = m.SessionStatement(
            challenge=asked.challenge,
            plane_key_id=asked.plane_key_id,
            device_id=self.device_id,
            epoch=self.epoch,
            ephemeral_key=b64(public),
            capabilities=capabilities or m.Capabilities(os="linux", plans={PLAN: "sha256:" + "0" * 64}),
        )
        signed = sign(seed or self.seed, "session", canonical(statement))
        return self.open_with(signed, private)

    def open_with(self, signed: m.Signed, private: bytes) -> m.SessionGrant:
        """Open a session by a statement made before."""
        answer = self.post("/v1/session", m.SessionAsk(statement=signed))
        grant_signed = msgspec.json.decode(answer, type=m.Signed)
        grant = decode_canonical(unb64(grant_signed.payload), m.SessionGrant)
        key = open_key(private, unb64(grant.sealed_key), session_info(grant.session))
        self.session = Session(grant.session, key, self.epoch)
        return grant

    # -- every request after that ------------------------------------------------------------------------------

    def headers(self, method: str, target: str, body: bytes, counter: int | None = None) -> dict[str, str]:
        """The three session headers of a request; `counter` None is the next one."""
        assert self.session is not None
        if counter is None:
            self.session.counter += 1
            counter = self.session.counter
        path, _, query = target.partition("?")
        mac = request_mac(self.session.key, method, path, query, hashlib.sha256(body).digest(), counter)
        return {SESSION_HEADER: self.session.id, COUNTER_HEADER: str(counter), MAC_HEADER: mac}

    def ask(self, method: str, target: str, body: bytes = b"", **more: str) -> urllib3.BaseHTTPResponse:
        """One authenticated request; `more`: further headers, underscores for hyphens."""
        headers = self.headers(method, target, body) | {name.replace("_", "-"): text for name, text in more.items()}
        return self.send(method, target, body or None, headers)

    def say(self, path: str, message: msgspec.Struct) -> bytes:
        """One authenticated message; the body of the answer, or `Refused`."""
        return self.whole(self.ask("POST", path, msgspec.json.encode(message)))

    def check_in(self, **telemetry: float | bool) -> m.CheckInAnswer:
        """Step 3."""
        told = msgspec.convert(telemetry, m.CheckIn)
        return msgspec.json.decode(self.say("/v1/checkin", told), type=m.CheckInAnswer)

    def lease(self, lease: str, verb: str, message: msgspec.Struct) -> m.LeaseAnswer:
        """A word about a lease."""
        return msgspec.json.decode(self.say(f"/v1/leases/{lease}/{verb}", message), type=m.LeaseAnswer)

    def blob(self, digest: str, **headers: str) -> bytes:
        """Step 5."""
        return self.whole(self.ask("GET", f"/v1/blobs/{digest}", b"", **headers))

    def manifest(self, offer: m.OfferMessage) -> m.RoundManifest:
        """The offer's manifest (its signature is the business of other tests)."""
        signed = msgspec.json.decode(self.blob(offer.manifest), type=m.Signed)
        return decode_canonical(unb64(signed.payload), m.RoundManifest)

    # -- 7 upload, 8 report ------------------------------------------------------------------------------------

    def update(
        self,
        offer: m.OfferMessage,
        manifest: m.RoundManifest,
        arrays: dict[str, NDArray[np.float32]],
        seed: bytes | None = None,
        **changed: object,
    ) -> Update:
        """`arrays` sealed for the offer, and its report; `changed` overrides fields of the report."""
        content_key = os.urandom(32)
        sealed = b"".join(seal_frames(content_key, write_arrays(arrays)))
        info = update_info(offer.lease, offer.base)
        told: dict[str, object] = {
            "lease": offer.lease,
            "task_digest": manifest.task_digest,
            "base": offer.base,
            "encoding": m.ENCODING_F32,
            "sha256": hashlib.sha256(sealed).hexdigest(),
            "length": len(sealed),
            "sealed_key": b64(seal_key(unb64(manifest.upload.public_key), content_key, info)),
            "steps_done": 1,
            "weight": "1",
            "metrics": {"accuracy": {"numerator": "3", "denominator": "4"}},
        }
        report = msgspec.convert(told | changed, m.Report)
        return Update(sealed, sign(seed or self.seed, "report", canonical(report)))

    def put(self, lease: str, offset: int, chunk: bytes) -> int:
        """Step 7, one chunk."""
        response = self.ask("PUT", f"/v1/leases/{lease}/upload?offset={offset}", chunk)
        return msgspec.json.decode(self.whole(response), type=m.UploadAnswer).offset

    def upload(self, lease: str, sealed: bytes) -> None:
        """Step 7, all chunks."""
        for offset in range(0, len(sealed), CHUNK):
            self.put(lease, offset, sealed[offset : offset + CHUNK])

    def report(self, lease: str, report: m.Signed) -> m.LeaseAnswer:
        """Step 8."""
        return self.lease(lease, "report", m.ReportAsk(report=report))
