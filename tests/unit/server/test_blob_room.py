"""Blobs served from memory: read once however many ask at once, bounded, and never a failure remembered."""

import asyncio

import msgspec
import pytest

from podium.adapters.blobs import MemoryBlobs
from podium.server.devices.uploads import PIECE_BYTES, BlobRoom
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault, StoreFault


class CountedBlobs(MemoryBlobs):
    """Blobs that count their reads, and fail the first of them if told to."""

    reads = 0
    fails = 0

    def get(self, digest: str) -> bytes:
        """The bytes, or a fault."""
        self.reads += 1
        if self.fails:
            self.fails -= 1
            raise StoreFault("store-failed", retryable=True)
        return super().get(digest)

    def spoil(self, digest: str, data: bytes) -> None:
        """Let other bytes lie under `digest`."""
        self._blobs[digest] = (data, 0)


def room(blobs: MemoryBlobs, cache_bytes: int = 800) -> BlobRoom:
    """A room that remembers blobs of up to an eighth of `cache_bytes`."""
    return BlobRoom(blobs, msgspec.structs.replace(Limits(), blob_cache_bytes=cache_bytes))


@pytest.mark.parametrize("size", [100, 101])
def test_a_cohort_that_asks_at_once_shares_one_read(size: int) -> None:
    async def test() -> None:
        blobs = CountedBlobs()
        digest, served = blobs.put(bytes(size)), room(blobs)
        answers = await asyncio.gather(*(served.whole(digest) for _ in range(50)))
        assert blobs.reads == 1 and len({id(answer) for answer in answers}) == 1
        await served.whole(digest)
        assert blobs.reads == (1 if served.caches(size) else 2)
        served.close()

    asyncio.run(test())


def test_a_read_that_failed_is_not_remembered_and_one_who_leaves_takes_nothing_from_the_others() -> None:
    async def test() -> None:
        blobs = CountedBlobs()
        digest, served = blobs.put(b"model"), room(blobs)
        blobs.fails = 1
        for answer in await asyncio.gather(*(served.whole(digest) for _ in range(3)), return_exceptions=True):
            assert isinstance(answer, StoreFault)
        first, second = (asyncio.ensure_future(served.whole(digest)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"model"
        served.close()

    asyncio.run(test())


def test_the_cache_never_holds_more_than_its_bytes() -> None:
    async def test() -> None:
        blobs = CountedBlobs()
        digests, served = [blobs.put(bytes([place]) * 100) for place in range(10)], room(blobs)
        for digest in [*digests, digests[-1], digests[0]]:
            await served.whole(digest)
        assert blobs.reads == 11, "the last is remembered, the first had to make room"
        served.close()

    asyncio.run(test())


@pytest.mark.parametrize("size", [1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_blob_in_pieces_is_checked_before_its_last_and_never_whole_in_memory(size: int) -> None:
    async def test() -> None:
        blobs = CountedBlobs()
        data = b"\x01" * size
        digest, served = blobs.put(data), room(blobs)
        pieces = [piece async for piece in served.pieces(digest)]
        assert b"".join(pieces) == data and max(map(len, pieces)) <= PIECE_BYTES and blobs.reads == 0
        blobs.spoil(digest, b"\x02" * size)
        taken = 0
        with pytest.raises(StoreFault, match="store-corrupt"):
            async for piece in served.pieces(digest):
                taken += len(piece)
        assert taken < size
        blobs.delete(digest)
        with pytest.raises(DeviceFault, match="not-found"):
            await anext(served.pieces(digest))
        served.close()

    asyncio.run(test())
