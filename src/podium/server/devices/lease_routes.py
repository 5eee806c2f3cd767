"""Steps 5, 7 and 8 of the device conversation: fetch by digest, upload by chunks, and the signed report.

Decides: which blobs a device may fetch (those it was offered), and whether a report is authentic and fits its lease,
task, base and stored bytes. Never: what is inside an update (the aggregation role), nor what follows (the core).
Limits: `chunk_bytes`, `uploads_open_max`, `report_metrics_max`; one range per request (RFC 9110 section 14.2).
"""

import logging
import math
import re
from collections.abc import AsyncIterator

import msgspec

from podium.core.fleet.claims import MEASURED_BYTES_MIN
from podium.core.rows import LeaseRow, granting_round
from podium.core.said import LeaseReported, MetricSums
from podium.core.state import State
from podium.crypto.sign import open_signed
from podium.server.devices.device_words import lease_answer
from podium.server.devices.gateway import Caller, Door, Stream, decode
from podium.server.devices.transfers import Transfers
from podium.server.devices.uploads import BlobRoom, Uploads
from podium.server.http import OCTETS, Request, Response, answer
from podium.server.loop.loop import Loop, note_denied
from podium.server.plane_data import Parts
from podium.wire.canonical import parse_decimal, unb64
from podium.wire.messages import ENCODING_F32, OFFSET_HEADER, OFFSET_QUERY, Metric, Report, ReportAsk, UploadAnswer
from podium.wire.problems import DeviceFault

log = logging.getLogger("podium.leases")

_REPORT = msgspec.json.Decoder(ReportAsk)
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_OFFSET = re.compile(r"\d{1,15}")
PIECE_BYTES = 1024 * 1024


class Delivery:
    """The routes of a device that fetches, uploads and reports."""

    def __init__(self, parts: Parts, door: Door, loop: Loop, room: BlobRoom, timed: Transfers) -> None:
        self._parts = parts
        self._door = door
        self._loop = loop
        self._room = room
        self._timed = timed
        self._uploads = Uploads(parts.blobs, room, parts.limits)

    # -- fetch -----------------------------------------------------------------------------------------------

    async def blob(self, request: Request, digest: str) -> Response | Stream:
        """GET /v1/blobs/DIGEST, whole (200) or one range (206); only what a live lease of the device names."""
        caller = self._door.caller(request, await self._door.body(request))
        lease, began_ms = self._offered(caller, digest), self._loop.now_ms()
        size = await self._room.size(digest)
        start, end = _range(request.header(b"range"), size)
        headers = [OCTETS, (b"accept-ranges", b"bytes"), (b"etag", f'"{digest}"'.encode())]
        status = 200
        if request.header(b"range"):
            status = 206
            headers.append((b"content-range", f"bytes {start}-{end - 1}/{size}".encode()))
        if self._room.caches(size):
            whole = await self._room.whole(digest)  # read once, whoever asks meanwhile
            if end - start < MEASURED_BYTES_MIN:
                return Response(status, whole[start:end], tuple(headers))
        pieces = self._pieces(digest, start, end)
        return Stream(status, tuple(headers), end - start, self._sent(lease.id, pieces, end - start, began_ms))

    async def _pieces(self, digest: str, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, PIECE_BYTES):
            yield await self._room.piece(digest, at, min(end, at + PIECE_BYTES))

    async def _sent(self, lease: str, pieces: AsyncIterator[bytes], length: int, began_ms: int) -> AsyncIterator[bytes]:
        """`pieces`, and the note that all `length` bytes were handed on, once they are."""
        async for piece in pieces:
            yield piece
        self._timed.sent(lease, length, began_ms)

    def _offered(self, caller: Caller, digest: str) -> LeaseRow:
        """The caller's live lease, which names the blob: its round's manifest or its base. `DeviceFault(not-found)`."""
        state = self._loop.state
        lease = state.leases.get(state.live_lease.get(caller.number, ""))
        if lease is None or digest not in (lease.base, _manifest(state, lease)):
            raise DeviceFault("not-found", why="no live lease of this device names that blob")
        return lease

    # -- upload ----------------------------------------------------------------------------------------------

    async def put_chunk(self, request: Request, name: str) -> Response:
        """PUT /v1/leases/ID/upload?offset=N: one chunk; the durable length."""
        offset_text = request.argument(OFFSET_QUERY)
        if not _OFFSET.fullmatch(offset_text):
            raise DeviceFault("body-malformed", what="the query names no offset", why="decimal digits")
        self._door.expect(request)
        async with self._uploads.open:
            began_ms = self._loop.now_ms()
            chunk = await request.body(self._parts.limits.chunk_bytes, self._parts.limits.body_ms)
            caller = self._door.caller(request, chunk)
            lease = self._held(caller, name)
            self._timed.came(name, len(chunk), began_ms)
            manifest = _manifest(self._loop.state, lease)
            return answer(UploadAnswer(offset=await self._uploads.append(name, manifest, int(offset_text), chunk)))

    async def offset(self, request: Request, name: str) -> Response:
        """HEAD /v1/leases/ID/upload: how far the upload got, in `Podium-Offset`."""
        caller = self._door.caller(request, await self._door.body(request))
        self._held(caller, name)
        length = await self._uploads.length(name)
        return Response(200, b"", ((OFFSET_HEADER.lower().encode(), str(length).encode()),))

    def _own(self, caller: Caller, name: str) -> LeaseRow:
        """The lease, if it is the caller's; another's is as unknown as one that never was, and the attempt is told."""
        lease = self._loop.state.lease(name)
        if lease.device != caller.row.id:
            note_denied(self._loop, caller.row.id, "lease-unknown")
            raise DeviceFault("lease-unknown", what=f"lease {name}")
        return lease

    def _held(self, caller: Caller, name: str) -> LeaseRow:
        lease = self._own(caller, name)
        if lease.state != "HELD":
            raise DeviceFault("lease-over", what=f"lease {name} is {lease.state}")
        return lease

    # -- report ----------------------------------------------------------------------------------------------

    async def report(self, request: Request, name: str) -> Response:
        """POST /v1/leases/ID/report: the signed report; `stored` once it is durable. A repeat is answered the same."""
        body = await self._door.body(request)
        caller = self._door.caller(request, body)
        asked = decode(_REPORT, body)
        lease = self._own(caller, name)
        report = self._opened(caller, asked)
        task = self._loop.state.runs[lease.run].task
        if report.lease != name:
            raise DeviceFault(
                "lease-unknown", what=f"the report names lease {report.lease[:64]}", why=f"sent for {name}"
            )
        if report.base != lease.base:
            raise DeviceFault("base-mismatch", what=f"the report names base {report.base[:80]}", why=lease.base)
        if report.task_digest != task:
            raise DeviceFault("task-mismatch", what=f"the report names task {report.task_digest[:80]}", why=task)
        if report.encoding != ENCODING_F32:
            raise DeviceFault(
                "schema-mismatch", what=f"encoding {report.encoding[:64]}", why=f"{ENCODING_F32} is spoken"
            )
        weight = _weight(report.weight, self._loop.state.tasks[task].task.aggregate.weight_max)
        metrics = _metrics(report.metrics, self._parts.limits.report_metrics_max, self._parts.limits.name_chars_max)
        if lease.state == "HELD":
            await self._uploads.check(report)
        downloaded, uploaded = self._timed.of(name)
        said = await self._loop.tell_lease(
            lambda at, ticket: LeaseReported(
                at_ms=at,
                ticket=ticket,
                device=caller.number,
                epoch=caller.epoch,
                lease=name,
                report=asked.report.payload,
                signature=asked.report.signature,
                upload_bytes=report.length,
                weight=weight,
                metrics=metrics,
                downloaded=downloaded,
                uploaded=uploaded,
            )
        )
        log.info("report answered", extra={"lease": name, "word": said.word, "code": said.code})
        return lease_answer(said)

    def _opened(self, caller: Caller, asked: ReportAsk) -> Report:
        try:
            return open_signed(unb64(caller.row.public_key), "report", asked.report, Report)
        except DeviceFault as fault:
            if fault.code != "signature-invalid":
                raise
            note_denied(self._loop, caller.row.id, "update-forged")
            raise DeviceFault("update-forged", why=fault.why) from fault


def _manifest(state: State, lease: LeaseRow) -> str:
    """The digest of the manifest that a lease is held under: that of the round which granted it."""
    return state.rounds[lease.run, granting_round(lease.id)].manifest


def _range(header: str, size: int) -> tuple[int, int]:
    """The half-open byte range that a Range header asks of `size` bytes; all of it without one.

    `DeviceFault(range-invalid)` for anything but one `bytes=FIRST-[LAST]` that begins within the blob.
    """
    if not header:
        return 0, size
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise DeviceFault("range-invalid", why="one range, bytes=FIRST-[LAST], is served")
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    if not start < end <= size:
        raise DeviceFault("range-invalid", what=f"bytes {header[:64]}", why=f"the blob has {size} bytes")
    return start, end


def _weight(text: str, weight_max: float) -> float:
    """The weight; `DeviceFault(weight-bound)` unless it is a decimal within (0, weight_max]."""
    try:
        weight = parse_decimal(text)
    except DeviceFault as fault:
        raise DeviceFault("weight-bound", what="the weight is no canonical decimal", why=fault.why) from fault
    if not 0.0 < weight <= weight_max:
        raise DeviceFault("weight-bound", what=f"the weight {text[:32]}", why=f"(0, {weight_max}]")
    return weight


def _metrics(told: dict[str, Metric], count_max: int, chars_max: int) -> MetricSums:
    """Metric sums; `DeviceFault(metric-invalid)` unless each is a finite numerator over a positive denominator."""
    if len(told) > count_max:
        raise DeviceFault("metric-invalid", why=f"{len(told)} metrics, and {count_max} are allowed")
    sums: MetricSums = {}
    for name, metric in told.items():
        if not 0 < len(name) <= chars_max or not name.isprintable():
            raise DeviceFault("metric-invalid", what="a metric's name cannot be taken")
        try:
            sums[name] = (parse_decimal(metric.numerator), parse_decimal(metric.denominator))
        except DeviceFault as fault:
            raise DeviceFault("metric-invalid", what=f"metric {name}", why=fault.why) from fault
        if sums[name][1] <= 0.0 or not math.isfinite(sums[name][0]):
            raise DeviceFault("metric-invalid", what=f"metric {name}")
    return sums
