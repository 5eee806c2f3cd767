"""The Blobs port on a local disk through obstore, and in memory: blobs by content, uploads as lists of chunks.

Decides: where bytes lie (`blobs/sha256/ab/cdef...`, `uploads/<name>/<offset>`) and when they are durable. Never: which
blobs are kept (the collector) nor what an upload may hold (the gateway).
obstore's LocalStore renames whole files but never syncs. So an object is first put under `staging/`, its file synced,
then linked or renamed to its name, then the directory synced, and only then acknowledged: a name that can be listed
always holds whole bytes, whatever a crash left in `staging/`. Names of one directory: at most 10^5 chunks.
"""

import errno
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore

from podium.adapters.disk import disk_fault, leftovers, sync
from podium.ports import Clock
from podium.wire.canonical import sha256_digest
from podium.wire.problems import DeviceFault, StoreFault

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UPLOAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CHUNK = re.compile(r"[0-9]{16}")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def _absent(what: str) -> DeviceFault:
    return DeviceFault("not-found", what=f"{what} is not here")


def _known_digest(digest: str) -> str:
    """The hex part of `digest`; `DeviceFault(not-found)` if it is none, so that no name can leave the directory."""
    if not _DIGEST.fullmatch(digest):
        raise DeviceFault("not-found", what="that is not a digest", why="sha256: and 64 hex digits are")
    return digest.removeprefix("sha256:")


def _known_upload(upload: str) -> str:
    """`upload` if it is a plain name, else `DeviceFault(not-found)`: a name is never a path."""
    if not _UPLOAD.fullmatch(upload):
        raise DeviceFault("not-found", what="that is not an upload's name", why="letters, digits, '.', '_', '-' are")
    return upload


def _whole(digest: str, data: bytes) -> bytes:
    if sha256_digest(data) != digest:
        raise StoreFault("store-corrupt", what=f"blob {digest}", why="its bytes have another SHA-256")
    return data


def _check_range(digest: str, start: int, end: int, size: int) -> None:
    if not 0 <= start < end <= size:
        raise DeviceFault("range-invalid", what=f"bytes [{start}, {end}) of {digest}", why=f"it has {size} bytes")


def _wrong_offset(upload: str, offset: int, length: int) -> DeviceFault:
    return DeviceFault("offset-wrong", what=f"upload {upload} at {offset}", why=f"{length} bytes are kept")


def _conflict(upload: str, offset: int) -> DeviceFault:
    return DeviceFault("conflicting-repeat", what=f"upload {upload} at {offset}", why="other bytes are kept there")


def _length(sizes: dict[int, int]) -> int:
    """The durable length: chunks that follow each other from 0 without a gap."""
    length = 0
    while sizes.get(length, 0) > 0:
        length += sizes[length]
    return length


@contextmanager
def _faults(what: str) -> Iterator[None]:
    """Turn what the disk or obstore raises into a `StoreFault`."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error.errno, what, str(error)) from error
    except BaseError as error:
        first = str(error).partition("\n")[0]
        found = _OS_ERROR.search(str(error))
        raise disk_fault(int(found.group(1)) if found else None, what, first) from error


def _remove_empty(directory: Path) -> None:
    """Remove `directory` if it holds nothing; one that holds something, or is gone, is no error. `OSError`."""
    try:
        directory.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR):
            raise


class LocalBlobs:
    """Blobs and uploads under `root` (made with mode 0700). Threads may share it; so may processes."""

    def __init__(self, root: Path, *, alone: bool = False) -> None:
        """`alone`: no other process uses `root`, so whatever is staged is a dead one's and is removed at once."""
        self._root = root
        self._serial = itertools.count()
        self._synced: set[Path] = set()
        with _faults(f"blob directory {root}"):
            for part in ("blobs", "uploads", "staging"):
                (root / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            sync(root)
            for path in leftovers((root / "staging").iterdir(), alone):
                path.unlink(missing_ok=True)
            for path in (root / "uploads").iterdir():
                _remove_empty(path)  # of an upload that was discarded by a process that died before the last stroke
            self._store = LocalStore(root)

    def put(self, data: bytes) -> str:
        """Keep `data` durably; its digest. A blob already there is made young again, so the collector spares it."""
        digest = sha256_digest(data)
        name = self._blob(digest)
        with _faults(f"putting blob {digest}"):
            try:
                os.utime(self._root / name)
            except FileNotFoundError:
                self._keep(name, data)
            self._sync_name(name)
        return digest

    def get(self, digest: str) -> bytes:
        """All bytes; `StoreFault(store-corrupt)` if they do not match, `DeviceFault(not-found)` if absent."""
        return _whole(digest, self._read(self._blob(digest), digest))

    def read(self, digest: str, start: int, end: int) -> bytes:
        """Bytes [start, end); unchecked, for ranges. `DeviceFault(not-found | range-invalid)`."""
        name = self._blob(digest)
        _check_range(digest, start, end, self.size(digest))
        with _faults(f"reading {digest}"):
            return bytes(obstore.get_range(self._store, name, start=start, end=end))

    def size(self, digest: str) -> int:
        """Length in bytes; `DeviceFault(not-found)` if absent."""
        name = self._blob(digest)
        with _faults(f"measuring {digest}"):
            try:
                return obstore.head(self._store, name)["size"]
            except (NotFoundError, FileNotFoundError) as error:
                raise _absent(digest) from error

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every blob as (digest, age in ms since it was last put); the disk's own clock."""
        for path, _, touched_s in self._listed("blobs/sha256"):
            hexed = path.removeprefix("blobs/sha256/").replace("/", "")
            yield "sha256:" + hexed, max(0, int((time.time() - touched_s) * 1000))

    def delete(self, digest: str) -> None:
        """Remove a blob; removing what is not there is no error."""
        self._remove(self._blob(digest))

    def append(self, upload: str, offset: int, chunk: bytes) -> int:
        """Keep `chunk` (not empty) at `offset` durably; the new durable length.

        Repeating a kept chunk changes nothing. `DeviceFault` offset-wrong, conflicting-repeat, chunk-broken (empty).
        Of two racing writers of one offset the first wins, and the other is judged as a repeat.
        """
        if not chunk:
            raise DeviceFault("chunk-broken", what=f"upload {upload} at {offset}", why="the chunk is empty")
        sizes = self._sizes(upload)
        length = _length(sizes)
        if offset != length and (offset not in sizes or offset > length):
            raise _wrong_offset(upload, offset, length)
        name = self._chunk(upload, offset)
        if offset == length and self._keep_new(name, chunk, upload):
            length += len(chunk)
        elif self._read(name, f"upload {upload}") != chunk:
            raise _conflict(upload, offset)
        else:
            length = max(length, offset + len(chunk))
        with _faults(f"upload {upload}"):
            self._sync_name(name)
        return length

    def length(self, upload: str) -> int:
        """Durable length of an upload, derived from its chunk list; 0 if there is none."""
        length = _length(self._sizes(upload))
        if length:
            # What is listed may have been named by a process that died before it synced the directory.
            with _faults(f"upload {upload}"):
                self._sync_name(self._chunk(upload, 0))
        return length

    def chunks(self, upload: str) -> Iterator[bytes]:
        """The chunks of an upload in order, read one at a time."""
        sizes = self._sizes(upload)
        offset, length = 0, _length(sizes)
        while offset < length:
            yield self._read(self._chunk(upload, offset), f"upload {upload}")
            offset += sizes[offset]

    def discard(self, upload: str) -> None:
        """Drop an upload, last chunk first so that a crash leaves a true prefix; none there is no error."""
        for offset in sorted(self._sizes(upload), reverse=True):
            self._remove(self._chunk(upload, offset))
        directory = self._root / "uploads" / _known_upload(upload)
        self._synced.discard(directory)
        with _faults(f"upload {upload}"):
            # Not empty if a chunk arrived meanwhile: the upload lives again, and another discard takes it.
            _remove_empty(directory)

    def uploads(self) -> list[str]:
        """The names of all uploads that hold a chunk, sorted."""
        with _faults("listing uploads"):
            prefixes = obstore.list_with_delimiter(self._store, "uploads")["common_prefixes"]
        return sorted(prefix.removeprefix("uploads/") for prefix in prefixes if self._sizes(prefix[8:]))

    def _blob(self, digest: str) -> str:
        hexed = _known_digest(digest)
        return f"blobs/sha256/{hexed[:2]}/{hexed[2:]}"

    def _chunk(self, upload: str, offset: int) -> str:
        return f"uploads/{_known_upload(upload)}/{offset:016d}"

    def _sizes(self, upload: str) -> dict[int, int]:
        """Offset -> size of every chunk object; names that are not offsets are nobody's."""
        prefix = f"uploads/{_known_upload(upload)}"
        sizes: dict[int, int] = {}
        for path, size, _ in self._listed(prefix):
            offset = path.removeprefix(prefix + "/")
            if _CHUNK.fullmatch(offset):
                sizes[int(offset)] = size
        return sizes

    def _listed(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        """(path, size in bytes, when it was last touched in s of wall time) of every whole object."""
        with _faults(f"listing {prefix}"):
            for page in obstore.list(self._store, prefix, chunk_size=1000):
                yield from ((found["path"], found["size"], found["last_modified"].timestamp()) for found in page)

    def _keep_new(self, name: str, data: bytes, upload: str) -> bool:
        """Keep `data` under `name` unless something is there; whether it was kept."""
        with _faults(f"upload {upload}"):
            try:
                self._keep(name, data, overwrite=False)
            except AlreadyExistsError:
                return False
        return True

    def _keep(self, name: str, data: bytes, overwrite: bool = True) -> None:
        staged = f"staging/{os.getpid()}-{next(self._serial)}"
        try:
            obstore.put(self._store, staged, data, use_multipart=False)
            sync(self._root / staged)
            obstore.rename(self._store, staged, name, overwrite=overwrite)
        finally:
            (self._root / staged).unlink(missing_ok=True)

    def _sync_name(self, name: str) -> None:
        """Sync the directory that holds `name`, and once per process those above it, which may be new as well."""
        directory = self._root / Path(name).parent
        sync(directory)
        if directory not in self._synced:
            for above in itertools.takewhile(lambda path: path != self._root.parent, directory.parents):
                sync(above)
            self._synced.add(directory)

    def _read(self, name: str, what: str) -> bytes:
        with _faults(f"reading {what}"):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except (NotFoundError, FileNotFoundError) as error:
                raise _absent(what) from error

    def _remove(self, name: str) -> None:
        with _faults(f"removing {name}"):
            (self._root / name).unlink(missing_ok=True)


class MemoryBlobs:
    """Blobs and uploads in this process only: for the simulator and tests. One thread; age is 0 without a clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._blobs: dict[str, tuple[bytes, int]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}

    def put(self, data: bytes) -> str:
        """Keep `data`; its digest."""
        digest = sha256_digest(data)
        self._blobs[digest] = (bytes(data), self._now_ms())
        return digest

    def get(self, digest: str) -> bytes:
        """All bytes; `DeviceFault(not-found)` if absent."""
        _known_digest(digest)
        if digest not in self._blobs:
            raise _absent(digest)
        return _whole(digest, self._blobs[digest][0])

    def read(self, digest: str, start: int, end: int) -> bytes:
        """Bytes [start, end); `DeviceFault(not-found | range-invalid)`."""
        _check_range(digest, start, end, self.size(digest))
        return self._blobs[digest][0][start:end]

    def size(self, digest: str) -> int:
        """Length in bytes; `DeviceFault(not-found)` if absent."""
        _known_digest(digest)
        if digest not in self._blobs:
            raise _absent(digest)
        return len(self._blobs[digest][0])

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every blob as (digest, age in ms since it was last put)."""
        now_ms = self._now_ms()
        yield from [(digest, now_ms - at_ms) for digest, (_, at_ms) in self._blobs.items()]

    def delete(self, digest: str) -> None:
        """Remove a blob; removing what is not there is no error."""
        _known_digest(digest)
        self._blobs.pop(digest, None)

    def append(self, upload: str, offset: int, chunk: bytes) -> int:
        """Keep `chunk` at `offset`; the new length. Faults as of `LocalBlobs.append`."""
        if not chunk:
            raise DeviceFault("chunk-broken", what=f"upload {upload} at {offset}", why="the chunk is empty")
        length = self.length(upload)
        kept = self._uploads.get(upload, {}).get(offset)
        if kept is None and offset != length:
            raise _wrong_offset(upload, offset, length)
        if kept is not None and kept != chunk:
            raise _conflict(upload, offset)
        self._uploads.setdefault(upload, {})[offset] = bytes(chunk)
        return self.length(upload)

    def length(self, upload: str) -> int:
        """Length of an upload; 0 if there is none."""
        _known_upload(upload)
        return _length({offset: len(chunk) for offset, chunk in self._uploads.get(upload, {}).items()})

    def chunks(self, upload: str) -> Iterator[bytes]:
        """The chunks of an upload in order."""
        _known_upload(upload)
        yield from [chunk for _, chunk in sorted(self._uploads.get(upload, {}).items())]

    def discard(self, upload: str) -> None:
        """Drop an upload; dropping what is not there is no error."""
        _known_upload(upload)
        self._uploads.pop(upload, None)

    def uploads(self) -> list[str]:
        """The names of all uploads, sorted."""
        return sorted(self._uploads)

    def _now_ms(self) -> int:
        return 0 if self._clock is None else self._clock.now_ms()
