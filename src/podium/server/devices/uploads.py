"""Uploads at the door: chunks kept durably, how far one got, and whether its bytes are what a report says.

Decides: whether a chunk may be kept for a lease (length and total within the manifest's bounds). Never: whose lease it
is (device_routes.py) or what is inside (the aggregation role). Limits: `uploads_open_max` chunks in memory,
`chunk_bytes` each; blocking reads and writes run in a small pool of threads.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from podium.ports import Blobs
from podium.wire.canonical import decode_canonical, unb64
from podium.wire.limits import Limits
from podium.wire.messages import Report, RoundManifest, Signed
from podium.wire.problems import DeviceFault, StoreFault

T = TypeVar("T")

MANIFESTS_KEPT = 256
PIECE_BYTES = 256 * 1024


class BlobRoom:
    """Blocking blob work off the event loop, with a bounded cache of small blobs that many devices fetch."""

    def __init__(self, blobs: Blobs, limits: Limits) -> None:
        self._blobs = blobs
        self._limits = limits
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="podium-blobs")
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._reading: dict[str, asyncio.Future[bytes]] = {}
        self.naming = asyncio.Lock()
        """Held while a blob is looked for, or put, that a row is about to name, and while a sweep deletes."""

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """`call(*args)` in a thread of the pool; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def size(self, digest: str) -> int:
        """Length of a blob; `DeviceFault(not-found)`."""
        cached = self._cache.get(digest)
        return len(cached) if cached is not None else await self.run(self._blobs.size, digest)

    async def check_stored(self, *digests: str) -> None:
        """Return if the store itself holds these, whatever is remembered of them; `DeviceFault(not-found)`."""
        for digest in digests:
            await self.run(self._blobs.size, digest)

    async def whole(self, digest: str) -> bytes:
        """All bytes of a blob, checked when they were read; remembered if they are an eighth of the cache or less.

        Whoever asks while they are being read shares them: a cohort that begins at once costs one copy.
        """
        cached = self._cache.get(digest)
        if cached is not None:
            self._cache.move_to_end(digest)
            return cached
        reading = self._reading.get(digest)
        if reading is None:
            reading = self._reading[digest] = asyncio.ensure_future(self._read(digest))
            reading.add_done_callback(lambda _: self._reading.pop(digest))
        return await asyncio.shield(reading)

    async def _read(self, digest: str) -> bytes:
        data = await self.run(self._blobs.get, digest)
        if len(data) * 8 <= self._limits.blob_cache_bytes and digest not in self._cache:
            self._cache[digest] = data
            self._cached += len(data)
            while self._cached > self._limits.blob_cache_bytes:
                self._cached -= len(self._cache.popitem(last=False)[1])
        return data

    async def piece(self, digest: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of a blob; `DeviceFault(not-found | range-invalid)`."""
        cached = self._cache.get(digest)
        return cached[start:end] if cached is not None else await self.run(self._blobs.read, digest, start, end)

    async def pieces(self, digest: str) -> AsyncIterator[bytes]:
        """All bytes of a blob, `PIECE_BYTES` at a time, so that whoever takes them slowly costs one piece.

        The last is given only once all of them were found to be what `digest` says: `StoreFault(store-corrupt)`.
        `DeviceFault(not-found)`, also between two pieces, when the blob was collected meanwhile.
        """
        size, running = await self.size(digest), hashlib.sha256()
        for start in range(0, size, PIECE_BYTES):
            piece = await self.piece(digest, start, min(size, start + PIECE_BYTES))
            running.update(piece)
            if start + PIECE_BYTES >= size and f"sha256:{running.hexdigest()}" != digest:
                raise StoreFault("store-corrupt", what=f"blob {digest}", why="its bytes have another SHA-256")
            yield piece

    def caches(self, size: int) -> bool:
        """Whether a blob of `size` bytes is served from memory."""
        return size * 8 <= self._limits.blob_cache_bytes

    def close(self) -> None:
        """Let running work end and release the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Uploads:
    """The uploads of held leases, named by their lease."""

    def __init__(self, blobs: Blobs, room: BlobRoom, limits: Limits) -> None:
        self._blobs = blobs
        self._room = room
        self._limits = limits
        self._bytes_max: OrderedDict[str, int] = OrderedDict()
        self.open = asyncio.Semaphore(limits.uploads_open_max)
        """Held while a chunk is in memory."""

    async def append(self, lease: str, manifest: str, offset: int, chunk: bytes) -> int:
        """Keep `chunk` at `offset` of the lease's upload; the durable length.

        `DeviceFault(update-too-large)` beyond the manifest's `bytes_max`; the Blobs port's own faults for an offset or
        bytes that do not fit. `manifest`: digest of the lease's signed round manifest.
        """
        bytes_max = await self._allowed(manifest)
        if offset + len(chunk) > bytes_max:
            raise DeviceFault(
                "update-too-large",
                what=f"the upload of lease {lease} reaches {offset + len(chunk)} bytes",
                why=f"the round allows {bytes_max}",
            )
        return await self._room.run(self._blobs.append, lease, offset, chunk)

    async def length(self, lease: str) -> int:
        """The durable length of the lease's upload."""
        return await self._room.run(self._blobs.length, lease)

    async def check(self, report: Report) -> None:
        """Return when the stored chunks have the length and the SHA-256 that `report` says.

        `DeviceFault(size-mismatch | digest-mismatch)`.
        """
        length, digest = await self._room.run(self._hashed, report.lease)
        if length != report.length:
            raise DeviceFault("size-mismatch", why=f"{length} bytes are stored and {report.length} reported")
        if digest != report.sha256:
            raise DeviceFault("digest-mismatch", why=f"lease {report.lease}")

    def _hashed(self, lease: str) -> tuple[int, str]:
        running = hashlib.sha256()
        length = 0
        for chunk in self._blobs.chunks(lease):
            running.update(chunk)
            length += len(chunk)
        return length, running.hexdigest()

    async def _allowed(self, manifest: str) -> int:
        known = self._bytes_max.get(manifest)
        if known is not None:
            return known
        signed = msgspec.json.decode(await self._room.whole(manifest), type=Signed)
        bytes_max = decode_canonical(unb64(signed.payload), RoundManifest).upload.bytes_max
        self._bytes_max[manifest] = bytes_max
        if len(self._bytes_max) > MANIFESTS_KEPT:
            self._bytes_max.popitem(last=False)
        return bytes_max
