"""Signed journal heads outside the database: the file beside the data directory, one JSON line per head.

Decides: where that file lies and how a head is written in it. Never: which heads are signed (sequencer.py). The file
only grows; it lies beside the data directory, not in it, so that an older copy of the directory does not bring its
heads along. A line that a crash cut short is dropped by the next append and ignored by readers.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from podium.adapters.disk import disk_fault
from podium.ports.plane import SignedHead
from podium.wire.canonical import b64, unb64
from podium.wire.messages import Signed
from podium.wire.problems import DeviceFault, OperatorFault

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
