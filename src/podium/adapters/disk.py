"""What is durable on a local disk: synced files, synced directories, and what a failing disk means.

Decides: which operating-system error is which `StoreFault`. Never: names or layouts (the adapters). POSIX: a rename or
a new name survives a crash only after its directory was synced, and its bytes only after the file was.
"""

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

from podium.wire.problems import StoreFault

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors that mean no room: the disk, the quota, or the process's own limit on a file's size."""

LEFTOVER_AGE_MS = 3_600_000
"""A staged file older than this belongs to a process that died: no write takes an hour."""


def sync(path: Path) -> None:
    """Make a file's bytes, or a directory's names, durable (fsync). `OSError` as it comes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_fault(error_number: int | None, what: str, why: str) -> StoreFault:
    """The `StoreFault` for an errno: `store-full`, else `store-failed`; both retryable, as room or disk may return."""
    code = "store-full" if error_number in FULL else "store-failed"
    return StoreFault(code, what=what, why=why, retryable=True)


def leftovers(paths: Iterable[Path], alone: bool) -> list[Path]:
    """Those of the staged files `paths` whose writer is dead; a path that vanished meanwhile is none.

    `alone`: no other process uses the directory, so all of them. Otherwise those not touched for `LEFTOVER_AGE_MS`.
    """
    if alone:
        return list(paths)
    horizon_s = time.time() - LEFTOVER_AGE_MS / 1000
    old = []
    for path in paths:
        try:
            touched_s = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if touched_s < horizon_s:
            old.append(path)
    return old


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` (readable by the owner only) in place of `path`: all of it or nothing, also through a crash.

    `StoreFault(store-full | store-failed)`.
    """
    try:
        _replace(path, data)
    except OSError as error:
        raise disk_fault(error.errno, f"writing {path} failed", str(error)) from error


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
