"""One lease from its offer to its end: verify, accept, fetch, train, upload, report.

Decides: the order of the conversation, what is declined or failed and with which word, and how often progress is told.
Never: when the device comes back (agent.py), nor what verifies (trust.py). A finished update is durable before its
first byte leaves, so that whatever dies, the same bytes and the same report are sent until the plane has stored them.
Limits: progress at most about every quarter of the lease's stall time, not below a second, not above a third of it.
Source: steps 4 to 8 of docs/reference/device-protocol.md.
"""

import datetime
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from podium.device.link import PlaneAway, PlaneRefusal, decoded, persistently
from podium.device.plan import Datasets, Progress, Result
from podium.device.probes import OwnLimits, Probes
from podium.device.session import Session
from podium.device.state import Identity, Pending, State
from podium.device.training import Arrays, PlanRaised, Supervised, finished, open_base, run_plan
from podium.device.trust import Work, accept_terms, follow_manifest, open_manifest, read_manifest, untrue
from podium.wire.canonical import unb64
from podium.wire.limits import Limits
from podium.wire.messages import (
    OFFSET_HEADER,
    OFFSET_QUERY,
    Accept,
    Decline,
    Failure,
    LeaseAnswer,
    OfferMessage,
    ReportAsk,
    UploadAnswer,
)
from podium.wire.messages import Progress as ProgressMessage
from podium.wire.problems import DeviceFault, OperatorFault, StoreFault

T = TypeVar("T")
log = logging.getLogger("podium.device")

_CHUNK_BYTES = 1024 * 1024
_TIMED_BYTES_MIN = 1024 * 1024
"""A smaller download tells a plane nothing of the line."""


class LeaseOver(Exception):
    """The lease ended before it was reported: `word` and `code` as the plane or the device said, and the answer."""

    def __init__(self, word: str, code: str, answer: LeaseAnswer | None = None) -> None:
        super().__init__(f"{word} {code}".strip())
        self.word = word
        self.code = code
        self.answer = answer


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a device works with."""

    state: State
    identity: Identity
    session: Session
    data: Datasets
    probes: Probes
    own: OwnLimits
    limits: Limits
    stopping: threading.Event


class Asked(msgspec.Struct, frozen=True):
    """The check-in that led to an offer: when it was made (wall clock, ms) and its accepted return window (ms)."""

    at_ms: int
    window_ms: int


class Pulse:
    """Progress of one lease: cumulative, rate-limited; ends the work when the plane or the device itself says so."""

    def __init__(self, means: Means, lease: str, stall_ms: int) -> None:
        self._means = means
        self._path = f"/v1/leases/{lease}/progress"
        self._every_s = min(max(stall_ms / 4, 1_000), stall_ms / 3) / 1000
        self._next_s = time.monotonic() + self._every_s
        self._stepped = False
        self.done = 0
        self.total = 0
        self.moved_bytes = 0

    def tell(self) -> None:
        """Tell the plane how far the work is, if it is time to. `LeaseOver` if the plane or the device ends it.

        A plane that is away does not end the work: the next beat, or the upload, will meet it.
        """
        if self._means.stopping.is_set():
            raise LeaseOver("interrupted", "")
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._every_s
        ground = own_ground(self._means)
        if ground:
            raise LeaseOver("declined", ground)
        message = ProgressMessage(done=self.done, total=self.total, moved_bytes=self.moved_bytes)
        try:
            answer = self._means.session.say(self._path, message, LeaseAnswer)
        except PlaneAway as error:
            log.info("progress not told: %s", error)
            return
        if answer.word != "extended":
            raise LeaseOver(answer.word, answer.code, answer)

    def moved(self, count: int) -> None:
        """`count` more bytes have moved, either way."""
        self.moved_bytes += count
        self.tell()

    def fetched(self, count: int) -> None:
        """The base version is whole, `count` bytes of it fetched now: told at once, so that the plane can time them."""
        if count >= _TIMED_BYTES_MIN:
            self._next_s = 0.0
        self.tell()

    def step(self, progress: Progress) -> None:
        """The plan has moved; its first word is told at once."""
        self.done, self.total = progress.done, progress.total
        if not self._stepped:
            self._stepped, self._next_s = True, 0.0
        self.tell()


def own_ground(means: Means) -> str:
    """Why this device will not train at this moment, as a decline word; "" if it will."""
    return means.own.ground(means.probes.facts(), datetime.datetime.now().time())


def take(means: Means, offer: OfferMessage, asked: Asked) -> LeaseAnswer:
    """Serve `offer` up to a durable, signed report, and deliver that; the plane's last word about the lease.

    Raises `LeaseOver` if it ends without a report, `PlaneAway` and
    `PlaneRefusal` as the link does; a lease that is still live then is offered again, or resumed by `deliver`.
    """
    pulse = Pulse(means, offer.lease, offer.stall_ms)
    try:
        work = _study(means, offer, asked.at_ms)
        _accept(means, offer.lease)
        base = open_base(work, _fetch_base(means, offer.base, pulse))
        result = run_plan(work, base, means.data, pulse.step, means.limits)
        pending, sealed = _finish(means, work, base, result, pulse)
        if work.task.task.kind == "train":
            means.state.memory.trained_at_ms = asked.at_ms
        # What the manifest taught is made durable here, with the participation: before anything of this lease leaves.
        means.state.keep_memory()
        pending = msgspec.structs.replace(pending, window_ms=asked.window_ms)
        means.state.keep_pending(pending, sealed)
    except (PlaneAway, PlaneRefusal):
        raise
    except LeaseOver as over:
        if over.word == "declined" and over.answer is None:
            _end(means, offer.lease, "decline", Decline(reason=over.code), over)
        raise
    except (DeviceFault, OperatorFault, StoreFault) as error:
        raise _refuse(means, offer.lease, error) from error
    return deliver(means, pending, sealed, fresh=True)


def deliver(means: Means, pending: Pending, sealed: bytes, *, fresh: bool) -> LeaseAnswer:
    """Upload what the plane does not have of `sealed`, then report; forget both once the plane gave its word.

    `fresh`: nothing of it was sent before, so the plane is not asked how far it got. Raises as `take` does.
    """
    pulse = Pulse(means, pending.lease, pending.stall_ms)
    pulse.done = pulse.total = pending.steps_done
    pulse.moved_bytes = pending.moved_bytes
    try:
        _upload_all(means, pending, sealed, pulse, fresh)
        path = f"/v1/leases/{pending.lease}/report"
        ask = ReportAsk(report=pending.report)
        answer = _persistently(means, lambda: means.session.say(path, ask, LeaseAnswer))
    except LeaseOver as over:
        if over.word == "declined" and over.answer is None:
            _end(means, pending.lease, "decline", Decline(reason=over.code), over)
        if over.word != "interrupted":
            means.state.drop_pending()
        raise
    except PlaneRefusal as error:
        if error.ends_lease:
            means.state.drop_pending()
        raise
    means.state.drop_pending()
    return answer


def _upload_all(means: Means, pending: Pending, sealed: bytes, pulse: Pulse, fresh: bool) -> None:
    """Send what the plane lacks. If it takes nothing more (perhaps it was reported), the report will tell why."""
    offset = 0 if fresh or not sealed else _offset(means, pending.lease)
    while offset is not None and offset < len(sealed):
        offset = _upload(means, pending.lease, sealed, offset)
        if offset is not None:
            pulse.moved_bytes = pending.moved_bytes + offset
            pulse.tell()


def _study(means: Means, offer: OfferMessage, asked_at_ms: int) -> Work:
    """Fetch and verify the manifest, and see whether this device can and will serve it."""
    ground = own_ground(means)
    if ground:
        raise LeaseOver("declined", ground)
    state, session = means.state, means.session
    blob = _persistently(means, lambda: session.ask("GET", f"/v1/blobs/{offer.manifest}", None)[0])
    signed = read_manifest(blob, offer)
    root = session.root_with(signed.key_id)
    manifest, task = open_manifest(root, means.identity, signed, offer)
    follow_manifest(root, state.memory, manifest)
    work = accept_terms(manifest, task, offer)
    if not all(
        len(means.data.get(name, ())) >= max(1, work.task.data.examples_min) for name in work.task.data.datasets
    ):
        raise LeaseOver("declined", "private")
    since_ms = asked_at_ms - state.memory.trained_at_ms
    # A clock that was put back gives a negative time: then only the plane's own count holds.
    if (
        work.task.task.kind == "train"
        and state.memory.trained_at_ms >= 0
        and 0 <= since_ms < work.task.select.separation
    ):
        raise LeaseOver("declined", "private")
    return work


def _fetch_base(means: Means, digest: str, pulse: Pulse) -> bytes:
    """The bytes of the base version, going on where an earlier download broke off; checked by their digest."""
    state = means.state
    data = bytearray(state.part(digest))

    def rest() -> None:
        start, pieces = means.session.stream(f"/v1/blobs/{digest}", len(data))
        del data[start:]
        try:
            for piece in pieces:
                data.extend(piece)
                pulse.moved(len(piece))
        except PlaneAway:
            state.keep_part(digest, bytes(data))
            raise

    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        try:
            _persistently(means, rest)
        except PlaneRefusal as error:
            if error.code != "range-invalid":
                raise
            data.clear()
            _persistently(means, rest)
    state.drop_part(digest)
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise untrue(f"fetch base version {digest}", "its bytes have another digest")
    pulse.fetched(pulse.moved_bytes)
    return bytes(data)


def _finish(means: Means, work: Work, base: Arrays, result: Result, pulse: Pulse) -> tuple[Pending, bytes]:
    with Supervised(work.plan.name, means.limits):
        return finished(work, base, result, unb64(means.identity.seed), (pulse.done, pulse.moved_bytes))


def _offset(means: Means, lease: str) -> int | None:
    """How many bytes of the upload the plane holds durably; None if it will not say (a HEAD has no body to say why)."""
    try:
        headers = _persistently(means, lambda: means.session.ask("HEAD", f"/v1/leases/{lease}/upload", None)[1])
    except PlaneRefusal as error:
        log.info("upload of lease %s: %s", lease, error)
        return None
    text = headers.get(OFFSET_HEADER.lower(), "")
    if not text.isdigit():
        raise untrue(f"resume the upload of lease {lease}", "the answer carries no offset")
    return int(text)


def _upload(means: Means, lease: str, sealed: bytes, offset: int) -> int | None:
    """Send the chunk at `offset`; where the plane wants the upload to go on, None if the lease is over."""
    path, chunk = f"/v1/leases/{lease}/upload", sealed[offset : offset + _CHUNK_BYTES]
    there: int | None
    try:
        body, _ = _persistently(means, lambda: means.session.ask("PUT", path, chunk, f"{OFFSET_QUERY}={offset}"))
        there = decoded(body, UploadAnswer).offset
    except PlaneRefusal as error:
        if error.code not in ("offset-wrong", "lease-over"):
            raise
        there = _offset(means, lease) if error.code == "offset-wrong" else None
    if there is not None and not offset < there <= len(sealed):
        raise PlaneAway(f"upload of lease {lease}", f"the plane went from {offset} to {there}", again=False)
    return there


def _refuse(means: Means, lease: str, error: DeviceFault | OperatorFault | StoreFault) -> LeaseOver:
    """Tell the plane why the lease ends: a decline for what this device cannot do, else a failure with its code."""
    why = f"{error.code}: {error.why or error.what}"
    log.warning("lease %s ends: %s", lease, error)
    if error.code in ("plan-missing", "plan-mismatch", "not-available"):
        message = Decline(reason="incompatible", detail=why)
        return _end(means, lease, "decline", message, LeaseOver("incompatible", error.code))
    detail = error.detail if isinstance(error, PlanRaised) else why
    return _end(means, lease, "fail", Failure(code=error.code, detail=detail), LeaseOver("failed", error.code))


def _accept(means: Means, lease: str) -> None:
    answer = _persistently(means, lambda: means.session.say(f"/v1/leases/{lease}/accept", Accept(), LeaseAnswer))
    if answer.word != "go":
        raise LeaseOver(answer.word, answer.code, answer)


def _end(means: Means, lease: str, verb: str, message: msgspec.Struct, over: LeaseOver) -> LeaseOver:
    """Tell the plane that the lease ends; `over` with its answer. A plane that knows it ended already is no fault."""
    try:
        path = f"/v1/leases/{lease}/{verb}"
        over.answer = _persistently(means, lambda: means.session.say(path, message, LeaseAnswer))
    except PlaneRefusal as error:
        log.info("lease %s: %s was refused: %s", lease, verb, error)
    return over


def _persistently(means: Means, call: Callable[[], T]) -> T:
    return persistently(call, means.limits, means.stopping)
