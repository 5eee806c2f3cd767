"""A small plane over real HTTP on a loopback port: the whole device conversation, checked strictly, and misbehaving
on demand. It holds no core: what it offers is a list, what it does wrong is a script.

Every fault that it finds with a device (a MAC, a counter, an epoch, a chunk that differs, a second report) is kept in
`faults`, so that a test can assert that there was none.
"""

import hashlib
import ssl
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.crypto.mac import check_mac
from podium.crypto.root import make_root
from podium.crypto.seal import open_frames, open_key, seal_key, session_info, update_info, upload_keypair
from podium.crypto.sign import key_id, open_signed, public_key, sign
from podium.tasks.digest import task_bytes, task_digest
from podium.tasks.task import Task
from podium.wire import messages as m
from podium.wire.canonical import b64, canonical, decode_canonical, sha256_digest, unb64
from podium.wire.problems import DeviceFault, problem
from podium.wire.tensors import read_arrays, specs_of, write_arrays
from tests.support.loopback import Answer, Loopback

T = TypeVar("T")
Arrays = dict[str, NDArray[np.generic]]
CHUNK = 1024 * 1024
WINDOW_OK, WINDOW_ELSE = 20, 30


class Misdeed(msgspec.Struct):
    """What to do instead, `times` times, of a request whose "METHOD path" holds `match`.

    `instead` answers without serving; `after` gets the true answer and may change it.
    """

    match: str
    times: int = 1
    instead: Callable[[], Answer] | None = None
    after: Callable[[Answer], Answer] | None = None


class Lease(msgspec.Struct):
    """One lease, and what became of it."""

    id: str
    offer: m.OfferMessage
    manifest: m.RoundManifest
    state: str = "OFFERED"
    chunks: dict[int, bytes] = {}
    report: m.Signed | None = None
    told: list[msgspec.Struct] = []

    def length(self) -> int:
        """Durable length of the upload."""
        return sum(len(chunk) for chunk in self.chunks.values())


class Script:
    """What a scripted plane holds: keys, blobs, leases on offer, misdeeds, and what it has seen."""

    def __init__(self, plane_id: str = "plane-a", seed: int = 1) -> None:
        self.plane_id = plane_id
        self.root_seed, self.online_seed = (hashlib.sha256(f"{plane_id}{seed}{n}".encode()).digest() for n in "ro")
        self.root = self.make_root(1, [self.online_seed])
        self.upload_private, self.upload_public = upload_keypair(hashlib.sha256(b"upload").digest())
        self.blobs: dict[str, bytes] = {}
        self.queue: list[Lease] = []
        self.leases: dict[str, Lease] = {}
        self.devices: dict[str, str] = {}  # device id -> public key
        self.epochs: dict[str, list[int]] = {}
        self.sessions: dict[str, tuple[bytes, str, int]] = {}
        self.check_ins: list[m.CheckIn] = []
        self.capabilities: list[m.Capabilities] = []
        self.misdeeds: list[Misdeed] = []
        self.log: list[tuple[str, int]] = []
        self.faults: list[str] = []
        self.head: m.Signed | None = None
        self.word: dict[str, m.LeaseAnswer] = {}  # verb -> scripted answer
        self.session_ms = 3_600_000
        self.lock = threading.RLock()
        self.tls: ssl.SSLContext | None = None
        self._server: Loopback | None = None
        self.port = 0

    def make_root(self, version: int, online: list[bytes]) -> m.SignedRoot:
        """A root document with these online keys."""
        publics = [public_key(seed) for seed in (self.root_seed, *online)]
        ids = [key_id(public) for public in publics]
        document = m.RootDocument(
            version=version,
            plane_id=self.plane_id,
            keys={key_id(public): b64(public) for public in publics},
            roles={
                "root": m.RootRole(threshold=1, key_ids=(ids[0],)),
                "online": m.RootRole(threshold=1, key_ids=tuple(ids[1:])),
            },
        )
        return make_root(document, [self.root_seed])

    def put(self, data: bytes) -> str:
        """Keep a blob."""
        digest = sha256_digest(data)
        self.blobs[digest] = data
        return digest

    def manifest(self, task: Task, arrays: Arrays, number: int, run: str = "run1") -> m.RoundManifest:
        """The true manifest of a round."""
        data = write_arrays(arrays)
        base = self.put(data)
        return m.RoundManifest(
            plane_id=self.plane_id,
            population="default",
            run=run,
            round=number,
            task=msgspec.Raw(task_bytes(task)),
            task_digest=task_digest(task),
            base=base,
            variants=(m.VariantEntry(digest=base, size=len(data)),),
            tensors=specs_of(data),
            upload=m.UploadRules(
                key_id="upload/1",
                public_key=b64(self.upload_public),
                encoding=m.ENCODING_F32,
                chunk_bytes=CHUNK,
                bytes_max=64 * CHUNK,
            ),
            approvals=(),
            site_policies=(),
            budgets={},
            attestation="",
            head=self.head,
        )

    def offer(
        self, manifest: m.RoundManifest, *, seed: bytes = b"", purpose: str = "round-manifest", stall_ms: int = 60_000
    ) -> Lease:
        """Queue a lease on `manifest`, signed by `seed` (the online key unless given) for `purpose`."""
        signed = sign(seed or self.online_seed, purpose, canonical(manifest))
        name = f"{manifest.run}.{manifest.round}.{len(self.leases) + 1}"
        message = m.OfferMessage(
            lease=name,
            state="OFFERED",
            manifest=self.put(msgspec.json.encode(signed)),
            base=manifest.base,
            variant=manifest.base,
            remaining_ms=30_000,
            stall_ms=stall_ms,
        )
        lease = Lease(id=name, offer=message, manifest=manifest)
        self.leases[name] = lease
        self.queue.append(lease)
        return lease

    def sign_head(self, size: int, root: str, tree: str = "default") -> m.Signed:
        """A signed journal head."""
        head = m.Head(tree=tree, size=size, root=root, at_ms=0)
        return sign(self.online_seed, "journal-head", canonical(head))

    def update(self, lease: Lease) -> Arrays:
        """The opened update of a reported lease."""
        assert lease.report is not None
        report = decode_canonical(unb64(lease.report.payload), m.Report)
        content = open_key(self.upload_private, unb64(report.sealed_key), update_info(lease.id, report.base))
        frames = [lease.chunks[offset] for offset in sorted(lease.chunks)]
        return read_arrays(b"".join(open_frames(content, frames)))

    def requests(self, part: str) -> int:
        """How many requests so far hold `part` in "METHOD path"."""
        return sum(part in line for line, _ in self.log)


class ScriptedPlane(Script):
    """The plane. `log`: ("METHOD path", status) of every request in order."""

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> "ScriptedPlane":
        """Listen; again on the same port after `stop`."""
        self._server = Loopback(self.serve, self.port, self.tls)
        self.port = self._server.port
        return self

    def stop(self) -> None:
        """Stop listening; open connections die at their next request, sessions are forgotten."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.sessions.clear()

    def __enter__(self) -> "ScriptedPlane":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def token(self, secret: str = "secret", ca: str = "") -> str:
        """An enrolment token."""
        body = {"plane_id": self.plane_id, "secret": secret, "population": "default", "ca": ca}
        return "pdm1." + b64(canonical(body))

    # -- serving ---------------------------------------------------------------------------------------------

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request, honestly unless a misdeed matches."""
        line = f"{method} {target}"
        with self.lock:
            misdeed = next((each for each in self.misdeeds if each.times > 0 and each.match in line), None)
            if misdeed is not None:
                misdeed.times -= 1
            if misdeed is not None and misdeed.instead is not None:
                answer = misdeed.instead()
            else:
                answer = self._honest(method, target, headers, body)
            if misdeed is not None and misdeed.after is not None:
                answer = misdeed.after(answer)
            self.log.append((line, 0 if answer.drop else answer.status))
            return answer

    def _honest(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        try:
            match path:
                case "/v1/root":
                    return _json(self.root)
                case "/v1/enrol":
                    return _json(self._enrol(_read(body, m.Enrol)))
                case "/v1/session/challenge":
                    ask = _read(body, m.ChallengeAsk)
                    name = key_id(public_key(self.online_seed))
                    return _json(m.Challenge(challenge=f"c-{ask.device_id}", plane_key_id=name, expires_in_ms=60_000))
                case "/v1/session":
                    return _json(self._session(_read(body, m.SessionAsk)))
            device = self._caller(method, path, query, headers, body)
            if path == "/v1/checkin":
                return _json(self._check_in(device, _read(body, m.CheckIn)))
            if path.startswith("/v1/blobs/"):
                return self._blob(path.removeprefix("/v1/blobs/"), headers.get("range", ""))
            _, _, _, name, verb = path.split("/")
            return self._lease(device, self.leases[name], f"{method} {verb}", query, body)
        except DeviceFault as fault:
            if fault.code not in ("session-unknown", "lease-over", "offset-wrong", "range-invalid"):
                self.faults.append(f"{method} {target}: {fault}")
            return Answer(fault.kind.status, msgspec.json.encode(problem(fault)))

    def _enrol(self, ask: m.Enrol) -> m.Enrolled:
        told = decode_canonical(unb64(ask.statement.payload), m.EnrolStatement)
        open_signed(unb64(told.public_key), "enrol", ask.statement, m.EnrolStatement)
        if ask.secret != "secret" or told.token_hash != hashlib.sha256(b"secret").hexdigest():
            raise DeviceFault("token-invalid")
        known = [name for name, public in self.devices.items() if public == told.public_key]
        name = known[0] if known else f"d{len(self.devices)}"
        self.devices[name] = told.public_key
        return m.Enrolled(device_id=name, population="default", root=self.root)

    def _session(self, ask: m.SessionAsk) -> m.Signed:
        payload = unb64(ask.statement.payload)
        device = decode_canonical(payload, m.SessionStatement).device_id
        told = open_signed(unb64(self.devices[device]), "session", ask.statement, m.SessionStatement)
        if told.challenge != f"c-{device}":
            raise DeviceFault("challenge-expired")
        if told.epoch <= max(self.epochs.get(device, [0])):
            raise DeviceFault("epoch-stale")
        self.epochs.setdefault(device, []).append(told.epoch)
        self.capabilities.append(told.capabilities)
        session = f"s-{device}-{told.epoch}"
        key = hashlib.sha256(session.encode()).digest()
        self.sessions[session] = (key, device, 0)
        root = decode_canonical(unb64(self.root.signatures[0].payload), m.RootDocument)
        grant = m.SessionGrant(
            session=session,
            sealed_key=b64(seal_key(unb64(told.ephemeral_key), key, session_info(session))),
            statement_hash=hashlib.sha256(payload).hexdigest(),
            expires_in_ms=self.session_ms,
            root_version=root.version,
            head=self.head,
        )
        return sign(self.online_seed, "session-grant", canonical(grant))

    def _caller(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> str:
        session = headers.get("podium-session", "")
        if session not in self.sessions:
            raise DeviceFault("session-unknown")
        key, device, highest = self.sessions[session]
        counter = int(headers["podium-counter"])
        digest = hashlib.sha256(body).digest()
        check_mac(key, method, path, query, digest, counter, given=headers["podium-mac"])
        if counter <= highest:
            raise DeviceFault("counter-replayed")
        self.sessions[session] = (key, device, counter)
        return device

    def _check_in(self, device: str, told: m.CheckIn) -> m.CheckInAnswer:
        self.check_ins.append(told)
        lease = next((each for each in self.queue if each.state in ("OFFERED", "HELD")), None)
        offer = None if lease is None else msgspec.structs.replace(lease.offer, state=lease.state)
        reason = "no-task" if offer is None else "offered"
        return m.CheckInAnswer(offer=offer, reason=reason, window_ok_ms=WINDOW_OK, window_else_ms=WINDOW_ELSE)

    def _blob(self, digest: str, span: str) -> Answer:
        data = self.blobs[digest]
        if not span:
            return Answer(200, data)
        start = int(span.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            raise DeviceFault("range-invalid")
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return Answer(206, data[start:], {"Content-Range": where})

    def _lease(self, device: str, lease: Lease, call: str, query: str, body: bytes) -> Answer:
        verb = call.partition(" ")[2]
        if verb in self.word and call.startswith("POST"):
            if self.word[verb].word in ("superseded", "stop"):
                lease.state = "SUPERSEDED"
            return _json(self.word[verb])
        match call:
            case "POST accept":
                lease.state = "HELD" if lease.state == "OFFERED" else lease.state
                return _json(_word("go"))
            case "POST progress":
                lease.told.append(_read(body, m.Progress))
                return _json(_word("extended"))
            case "POST decline":
                lease.told.append(_read(body, m.Decline))
                lease.state = "DECLINED"
                return _json(_word("declined"))
            case "POST fail":
                lease.told.append(_read(body, m.Failure))
                lease.state = "FAILED"
                return _json(_word("failed"))
            case "PUT upload" | "HEAD upload":
                return self._upload(lease, call, query, body)
        return _json(self._report(device, lease, _read(body, m.ReportAsk)))

    def _upload(self, lease: Lease, call: str, query: str, body: bytes) -> Answer:
        if lease.state != "HELD":
            raise DeviceFault("lease-over")
        if call.startswith("HEAD"):
            return Answer(200, b"", {"Podium-Offset": str(lease.length())})
        offset = int(query.removeprefix("offset="))
        if lease.chunks.get(offset, body) != body or len(body) > CHUNK:
            raise DeviceFault("conflicting-repeat", what=f"chunk at {offset}")
        if offset not in lease.chunks and offset != lease.length():
            raise DeviceFault("offset-wrong")
        lease.chunks = {**lease.chunks, offset: body}
        return _json(m.UploadAnswer(offset=lease.length()))

    def _report(self, device: str, lease: Lease, ask: m.ReportAsk) -> m.LeaseAnswer:
        report = open_signed(unb64(self.devices[device]), "report", ask.report, m.Report)
        if lease.report is not None and lease.report != ask.report:
            raise DeviceFault("conflicting-repeat", what="another report")
        if lease.state not in ("HELD", "REPORTED"):
            return _word("superseded") if lease.state == "SUPERSEDED" else _word("stop", "lease-over")
        data = b"".join(lease.chunks[offset] for offset in sorted(lease.chunks))
        if report.length != len(data):
            raise DeviceFault("size-mismatch")
        if report.sha256 != hashlib.sha256(data).hexdigest():
            raise DeviceFault("digest-mismatch")
        if (report.lease, report.base, report.task_digest) != (lease.id, lease.offer.base, lease.manifest.task_digest):
            raise DeviceFault("base-mismatch")
        lease.report, lease.state = ask.report, "REPORTED"
        return _word("stored")


def _word(word: str, code: str = "") -> m.LeaseAnswer:
    return m.LeaseAnswer(word=word, code=code, window_ok_ms=WINDOW_OK, window_else_ms=WINDOW_ELSE)


def _json(value: msgspec.Struct) -> Answer:
    return Answer(200, msgspec.json.encode(value))


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise DeviceFault("body-malformed", why=str(error)) from error
