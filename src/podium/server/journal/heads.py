"""Signed journal heads outside the database: the file beside the data directory, one JSON line per head.

Decides: where that file lies, how a head is written in it, and that a database which lacks what they count does not
start. Never: which heads are signed (sequencer.py). The file only grows; it lies beside the data directory, not in it,
so that an older copy of the directory does not bring its heads along. A line that a crash cut short is dropped by the
next append and ignored by readers.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from podium.adapters.disk import disk_fault
from podium.crypto.root import role_key
from podium.crypto.sign import open_signed
from podium.ports.plane import SignedHead
from podium.wire.canonical import b64, decode_canonical, unb64
from podium.wire.messages import Head, RootDocument, Signed
from podium.wire.problems import DeviceFault, OperatorFault

TAIL_BYTES = 256 * 1024
"""How much of the end of a heads file a start reads: some hundred heads."""

PURPOSE = "journal-head"
"""The purpose under which the online key signs a `Head`."""


def heads_path(data: Path) -> Path:
    """Where the heads of the data directory `data` are kept: `<data>.heads.jsonl`."""
    whole = data.absolute()
    return whole.with_name(whole.name + ".heads.jsonl")


def to_signed(head: SignedHead) -> Signed:
    """The wire form of a stored head."""
    return Signed(payload=b64(head.payload), key_id=head.key_id, signature=b64(head.signature))


def from_signed(signed: Signed) -> SignedHead:
    """The stored form of a head from the wire; `DeviceFault(body-malformed)` on broken base64url."""
    return SignedHead(payload=unb64(signed.payload), key_id=signed.key_id, signature=unb64(signed.signature))


def append_heads(path: Path, heads: Iterable[SignedHead]) -> None:
    """Append `heads` to the file durably, which is made if missing; `StoreFault(store-full | store-failed)`."""
    lines = b"".join(msgspec.json.encode(to_signed(head)) + b"\n" for head in heads)
    try:
        with path.open("a+b") as file:
            _cut_torn_line(path, file.tell())
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_fault(error.errno, f"writing {path} failed", str(error)) from error


def _cut_torn_line(path: Path, size: int) -> None:
    """Drop what follows the last newline: an append that a crash cut short."""
    with path.open("r+b") as file:
        back = min(size, 65_536)  # far longer than any line
        file.seek(size - back)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(size - back + tail.rfind(b"\n") + 1)


def read_heads(path: Path) -> list[SignedHead]:
    """The heads in a file of JSON lines, oldest first; a last line without its end is left out.

    `OperatorFault(file-unreadable)` if there is no such file, `OperatorFault(journal-broken)` naming a broken line.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"{path} cannot be read", why=str(error)) from error
    heads: list[SignedHead] = []
    for number, line in enumerate(lines, start=1):
        try:
            heads.append(from_signed(msgspec.json.decode(line, type=Signed)))
        except (msgspec.DecodeError, ValueError, DeviceFault) as error:
            what = f"line {number} of {path} is no signed head"
            raise OperatorFault("journal-broken", what=what, why=str(error)) from error
    return heads


def check_not_older(path: Path, root: RootDocument, head_of: Callable[[str], SignedHead | None]) -> None:
    """Return when the newest heads in the file `path`, if there is one, count no more than those of the database.

    `head_of`: the database's newest head of a tree. A head is appended only once the database holds it, so more of them
    mean that an older copy of the database was put in place: `OperatorFault(journal-broken)`. Lines that this plane did
    not sign prove nothing. `StoreFault` if the file cannot be read.
    """
    for head in _newest(path, root):
        kept = head_of(head.tree)
        held = 0 if kept is None else decode_canonical(kept.payload, Head).size
        if head.size > held:
            raise OperatorFault(
                "journal-broken",
                what=f"the journal {head.tree} has {held} entries, but a head in {path} counts {head.size}",
                why="an older copy of the database was put in place",
                next="put the newer one back; or podium db restore BACKUP --accept-loss",
            )


def _newest(path: Path, root: RootDocument) -> list[Head]:
    """The newest head of each tree among the last lines."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise disk_fault(error.errno, f"reading {path} failed", str(error)) from error
    newest: dict[str, Head] = {}
    for line in lines:
        head = _signed_here(line, root)
        if head is not None and head.size >= newest.get(head.tree, head).size:
            newest[head.tree] = head
    return list(newest.values())


def _signed_here(line: bytes, root: RootDocument) -> Head | None:
    """The head in a line, None if it is cut short or not signed under `root`."""
    try:
        signed = msgspec.json.decode(line, type=Signed)
        return open_signed(role_key(root, "online", signed.key_id), PURPOSE, signed, Head)
    except (msgspec.DecodeError, ValueError, DeviceFault):
        return None
