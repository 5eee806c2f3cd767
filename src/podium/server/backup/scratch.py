"""The hidden directory beside its place in which a backup, or a directory that is restored, becomes whole.

Decides: which ones that a kill left belong to nobody any more: those whose lock no process holds; without a lock, those
that are old. Never: what is put into it. Limits: where the file system knows no locks, what a kill left stays.
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from podium.adapters.disk import leftovers

LOCK = "lock"


@contextlib.contextmanager
def scratch(prefix: str, parent: Path) -> Iterator[Path]:
    """A new directory (0700) in `parent`, which is removed at the end, as are those of dead processes before.

    What is to stay is renamed out of it. `OSError` as it comes.
    """
    for path in parent.glob(f"{prefix}*"):
        _clear(path)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (path / LOCK).open("ab") as held:
            _hold(held)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _clear(path: Path) -> None:
    """Remove the directory `path` if the process that made it is dead and it is this user's."""
    if path.is_symlink() or not path.is_dir():
        return
    try:
        held = (path / LOCK).open("r+b")
    except FileNotFoundError:  # made just now, or by a release that had no locks
        for old in leftovers([path], alone=False):
            shutil.rmtree(old, ignore_errors=True)
        return
    except OSError:  # another user's
        return
    with held:
        if _hold(held):
            shutil.rmtree(path, ignore_errors=True)


def _hold(file: IO[bytes]) -> bool:
    """Whether `file` is locked by this process now, until it is closed or the process dies."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
