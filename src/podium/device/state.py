"""What a device remembers over restarts, in one directory that one agent holds at a time.

Decides: which facts are durable, and in what order they become so. Never: what they mean. Every write is a temporary
file, fsync, rename, fsync of the directory, so a kill at any moment leaves the old or the new content, whole.
Files (0600 in a 0700 directory): `identity.json` (key and ids), `memory.json` (root, epoch, heads, participation),
`pending` (the sealed update and the signed report of the one lease that has been worked on, kept until the plane has
stored it), `base-<hex>.part` (a base version on its way, not fsynced: it is checked by its digest when it is whole).
Limits: the work between accepting a lease and sealing its update is not kept; after a restart the plane offers the
same lease again and it is done anew. The content key dies with the process that sealed: the sealed bytes are enough.
A write that fails raises `StoreFault(store-full | store-failed)`.
"""

import errno
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from podium.wire.messages import Signed, SignedRoot
from podium.wire.problems import OperatorFault, StoreFault

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")
_HEADER_LENGTH_BYTES = 8


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who this device is. `seed`: base64url Ed25519 seed made here. `device_id` is "" until the plane has enrolled it.

    `ca`: what the enrolment token said about the plane's certificate (device/link.py).
    """

    seed: str
    plane_id: str
    population: str
    name: str
    ca: str
    device_id: str = ""

    def __repr__(self) -> str:
        """Without the seed: a person may print what `enrol` gave."""
        return f"Identity(device_id={self.device_id!r}, name={self.name!r}, plane_id={self.plane_id!r})"


class HeadSeen(msgspec.Struct, frozen=True):
    """A journal head that verified: tree size and hex root."""

    size: int
    root: str


class RunSeen(msgspec.Struct, frozen=True):
    """The highest round of a run seen in a manifest, with the journal head that came with it."""

    round: int
    tree: str
    head: HeadSeen | None


class Memory(msgspec.Struct, kw_only=True):
    """What grows over a device's life. `epoch` only grows and is durable before a session names it.

    `heads`: tree -> the highest head seen. `runs`: run -> `RunSeen`, the last 64. `trained_at_ms`: wall clock of the
    check-in that led to the last finished training, -1 never. `approvals`: approval -> rounds used of it (none yet).
    """

    root: SignedRoot | None = None
    epoch: int = 0
    heads: dict[str, HeadSeen] = {}
    runs: dict[str, RunSeen] = {}
    trained_at_ms: int = -1
    approvals: dict[str, int] = {}


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A finished piece of work that the plane has yet to store: the same bytes and the same report, however often.

    `steps_done`, `moved_bytes`: the progress told so far, which only grows. `window_ms`: the accepted return window.
    """

    lease: str
    report: Signed
    stall_ms: int
    steps_done: int
    moved_bytes: int
    window_ms: int = 0


class State:
    """The durable state of one device. With `folder` None nothing is kept: the device is new in each process."""

    def __init__(self, folder: Path | None) -> None:
        """Open and lock `folder`, made if need be; `OperatorFault(data-in-use)` if another agent holds it."""
        self._folder = folder
        self._lock = -1
        self._held: dict[str, bytes] = {}
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._lock = _locked(folder)
        self._identity = self._read("identity.json", Identity)
        self.memory = self._read("memory.json", Memory) or Memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def identity(self) -> Identity | None:
        """The device's identity, None before its key was made."""
        return self._identity

    def keep_identity(self, identity: Identity) -> None:
        """Make `identity` durable."""
        self._write("identity.json", msgspec.json.encode(identity))
        self._identity = identity

    def keep_memory(self) -> None:
        """Make `memory` durable as it stands."""
        self._write("memory.json", msgspec.json.encode(self.memory))

    def keep_pending(self, pending: Pending, sealed: bytes) -> None:
        """Make a sealed update and its report durable, in one file: both or neither."""
        header = msgspec.json.encode(pending)
        self._write("pending", len(header).to_bytes(_HEADER_LENGTH_BYTES, "big"), header, sealed)

    def pending(self) -> tuple[Pending, bytes] | None:
        """The kept update and its report, or None."""
        data = self._bytes("pending")
        if data is None:
            return None
        body = _HEADER_LENGTH_BYTES + int.from_bytes(data[:_HEADER_LENGTH_BYTES], "big")
        return _decoded("pending", data[_HEADER_LENGTH_BYTES:body], Pending), data[body:]

    def drop_pending(self) -> None:
        """Forget the kept update. Coming back after a crash does no harm: the plane answers a repeat the same."""
        self._held.pop("pending", None)
        if self._folder is not None:
            (self._folder / "pending").unlink(missing_ok=True)

    def part(self, digest: str) -> bytes:
        """What has arrived of the base version `digest` so far; parts of other versions are removed."""
        name = _part_name(digest)
        if self._folder is None:
            return self._held.get(name, b"")
        for other in self._folder.glob("base-*"):
            if other.name != name:
                other.unlink(missing_ok=True)
        path = self._folder / name
        return path.read_bytes() if path.exists() else b""

    def keep_part(self, digest: str, data: bytes) -> None:
        """Keep what has arrived of a base version when its download broke off."""
        name = _part_name(digest)
        if self._folder is None:
            self._held = {name: data} | {key: kept for key, kept in self._held.items() if key == "pending"}
            return
        try:
            (self._folder / name).write_bytes(data)
        except OSError as error:
            raise _unwritten(name, error) from error

    def drop_part(self, digest: str) -> None:
        """Forget what has arrived of a base version."""
        self._held.pop(_part_name(digest), None)
        if self._folder is not None:
            (self._folder / _part_name(digest)).unlink(missing_ok=True)

    def disk_free_at(self) -> Path:
        """A path on the file system that work of this device would fill."""
        return self._folder or Path(tempfile.gettempdir())

    def close(self) -> None:
        """Let go of the lock; the state may then be opened by another agent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self, name: str, kind: type[T]) -> T | None:
        data = self._bytes(name)
        if data is None:
            return None
        return _decoded(name, data, kind)

    def _bytes(self, name: str) -> bytes | None:
        if self._folder is None:
            return self._held.get(name)
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def _write(self, name: str, *pieces: bytes) -> None:
        if self._folder is None:
            if name == "pending":
                self._held[name] = b"".join(pieces)
            return
        try:
            _replaced(self._folder / name, pieces)
        except OSError as error:
            raise _unwritten(name, error) from error


def _replaced(path: Path, pieces: tuple[bytes, ...]) -> None:
    """Write `path` whole and durably, or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _unwritten(name: str, error: OSError) -> StoreFault:
    code = "store-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "store-failed"
    return StoreFault(code, what=f"cannot write the device's {name}", why=str(error), retryable=True)


def _decoded(name: str, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise OperatorFault("file-unreadable", what=f"the device's {name} cannot be read", why=str(error)) from error


def _part_name(digest: str) -> str:
    return f"base-{digest.removeprefix('sha256:')}.part"


def _locked(folder: Path) -> int:
    """An open, exclusively locked file of `folder`; the kernel lets go when the process dies."""
    number = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        raise OperatorFault(
            "data-in-use",
            what=f"the device state {folder} is in use",
            why="another agent holds it",
            next="stop that agent, or give this one a state directory of its own",
        ) from error
    return number
