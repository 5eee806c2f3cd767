"""The file of a backup: a plain tar that says of itself, byte for byte, what it must be.

Decides: the format, and when a file is one. Never: what goes in (taking.py) nor where it goes (restoring.py).
Members in this order: `manifest.json` (canonical JSON: every other member's name, size and SHA-256), those members, and
`SHA256` with the digest of every byte before it. A reader does not interpret headers: it makes each header anew from
the manifest and compares, so links, devices, paths that leave, and any other changed byte are refused. Names are of the
few forms below. Limits: `MANIFEST_BYTES_MAX`.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Literal

import msgspec

from podium.wire.canonical import canonical, decode_canonical
from podium.wire.problems import DeviceFault, OperatorFault

BLOCK = tarfile.BLOCKSIZE
PIECE_BYTES = 1024 * 1024
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
DATABASE, WEBHOOKS, PORT, BLOBS, UPLOADS = "podium.db", "webhooks.db", "port", "blobs/", "uploads/"
FORMAT: Literal[1] = 1
_MANIFEST, _DIGEST = "manifest.json", "SHA256"
_NAME = re.compile(
    r"podium\.db|webhooks\.db|port|blobs/[0-9a-f]{64}|uploads/[A-Za-z0-9][A-Za-z0-9._-]{0,127}/[0-9]{16}"
)


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the backup: `size` in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup is of: plane, release that made it, when (`at_ms` since the epoch), journal entries, members."""

    format: Literal[1] = FORMAT
    plane_id: str
    podium: str
    at_ms: int
    entries: int
    members: tuple[Member, ...]


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """What every release's manifest says."""

    format: int
    podium: str


Pieces = Iterator[bytes]


def invalid(what: str, why: str) -> OperatorFault:
    """The fault of a backup that does not hold; `what` names the first bad member."""
    return OperatorFault("backup-invalid", what=what, why=why)


def write_archive(file: IO[bytes], manifest: Manifest, contents: Iterable[Pieces]) -> None:
    """Write `manifest` and the `contents` of its members, in its order.

    `OperatorFault(backup-invalid)` naming a member that has not the size or digest that the manifest says.
    """
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    body = canonical(manifest)
    put(_header(_MANIFEST, len(body)) + body + _padding(len(body)))
    for member, pieces in zip(manifest.members, contents, strict=True):
        put(_header(member.name, member.size))
        for piece in checked(member, pieces):
            put(piece)
        put(_padding(member.size))
    file.write(_tail(digest.hexdigest()))


def checked(member: Member, pieces: Pieces) -> Pieces:
    """`pieces` as they come; after the last, `OperatorFault(backup-invalid)` unless they are what `member` says."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        yield piece
    if (size, digest.hexdigest()) != (member.size, member.sha256):
        raise invalid(f"{member.name} is not what the manifest says", f"it has {size} bytes, {digest.hexdigest()}")


def read_archive(file: IO[bytes], take: Callable[[Manifest, Member, Pieces], None]) -> Manifest:
    """Read and verify a whole backup; `take` is given each member's pieces and reads them to their end.

    What `take` was given counts only once this returns: a member's own digest is checked at its end, that of the file
    at the file's. `OperatorFault(backup-invalid)` names the first member that does not hold; `data-newer` names
    the release whose format this one does not know.
    """
    reading = _Reading(file)
    manifest = reading.manifest()
    for member in manifest.members:
        reading.expect(_header(member.name, member.size), f"the header of {member.name}")
        take(manifest, member, checked(member, reading.pieces(member)))
        reading.expect(_padding(member.size), f"the padding after {member.name}")
    tail = _tail(reading.digest.hexdigest())
    if file.read(len(tail) + 1) != tail:
        raise invalid("the end of the backup", "it is cut short, or its SHA-256 is not the one that stands there")
    return manifest


class _Reading:
    """The bytes before the tail, each read once and counted into `digest`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def manifest(self) -> Manifest:
        """The first member; which is believed only so far as everything after it agrees."""
        what = f"{_MANIFEST}, the first member"
        head = self._next(BLOCK, what)
        try:
            size = tarfile.TarInfo.frombuf(head, "utf-8", "strict").size
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise invalid(what, f"its header is no tar header: {error}") from error
        if not 0 < size <= MANIFEST_BYTES_MAX or head != _header(_MANIFEST, size):
            raise invalid(what, "its header is not as a backup writes it")
        body = self._next(size, what)
        try:
            manifest = decode_canonical(body, Manifest)
        except DeviceFault as error:
            _check_format(body)
            raise invalid(what, error.why) from error
        self.expect(_padding(size), f"the padding after {_MANIFEST}")
        _check_names(manifest)
        return manifest

    def pieces(self, member: Member) -> Pieces:
        """The bytes of `member`."""
        left = member.size
        while left:
            piece = self._next(min(left, PIECE_BYTES), member.name)
            left -= len(piece)
            yield piece

    def expect(self, wanted: bytes, what: str) -> None:
        """The next bytes must be `wanted`."""
        if self._next(len(wanted), what) != wanted:
            raise invalid(what, "it is not as a backup writes it")

    def _next(self, count: int, what: str) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise invalid(what, "the backup ends within it")
        self.digest.update(data)
        return data


def _check_format(body: bytes) -> None:
    """`OperatorFault(data-newer)` if a manifest that does not decode is of a format that this release does not know."""
    try:
        made = msgspec.json.decode(body, type=_Made)
    except (msgspec.DecodeError, ValueError):
        return
    if made.format > FORMAT:
        raise OperatorFault(
            "data-newer",
            what=f"the backup has format {made.format}, this release reads {FORMAT}",
            why=f"podium {made.podium[:32]} made it",
            next="restore it with that release or a newer one",
        )


def _check_names(manifest: Manifest) -> None:
    seen: set[str] = set()
    for member in manifest.members:
        if not _NAME.fullmatch(member.name) or member.size < 0 or member.name in seen:
            raise invalid(f"member {member.name[:200]!r}", "no backup has such a member, or not twice")
        if member.name.startswith(BLOBS) and member.name != BLOBS + member.sha256:
            raise invalid(member.name, "a blob's name is its digest")
        seen.add(member.name)
    if DATABASE not in seen:
        raise invalid(DATABASE, "it is not there")


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def _tail(digest: str) -> bytes:
    body = f"{digest}\n".encode()
    return _header(_DIGEST, len(body)) + body + _padding(len(body)) + bytes(2 * BLOCK)
