"""The Keys port: an erasable place for private keys, as files or in memory.

Decides: how a secret is kept durable and how it is destroyed. Never: what a key is for. The directory (0700, files
0600) must be in no backup. Erasing overwrites, syncs and unlinks: the plane can no longer open the secret. What a
copying file system, a flash disk's spare blocks or a swapped page still hold is outside its reach.
Secrets are not encrypted at rest in this release.
"""

import contextlib
import errno
import os
import threading
import time
from pathlib import Path
from urllib.parse import quote, unquote

from podium.adapters.disk import disk_fault, leftovers, sync
from podium.wire.problems import Bug, StoreFault

NAME_BYTES_MAX = 200
SUFFIX = ".key"
STAGED = ".part"


def _filed(name: str) -> str:
    """The file name for `name`: percent-encoded, so no name can leave the directory; `Bug` if empty or too long."""
    filed = quote(name, safe="@:")
    if not 0 < len(filed) <= NAME_BYTES_MAX:
        raise Bug(f"a key's name must have 1 to {NAME_BYTES_MAX} bytes, got {len(filed)}")
    return filed + SUFFIX


def _gone(name: str) -> StoreFault:
    return StoreFault("key-erased", what=f"key {name} is not here", why="it was erased, or never kept")


class FileKeys:
    """One file per secret under `root`. Threads may share it; processes may too, one writer per name."""

    def __init__(self, root: Path, *, alone: bool = False) -> None:
        """`alone`: no other process uses `root`, so whatever is staged is a dead one's and is destroyed at once."""
        self._root = root
        self._lock = threading.Lock()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            for path in leftovers(root.glob("*" + STAGED), alone):
                self._drop_staged(path)
        except OSError as error:
            raise disk_fault(error.errno, f"key directory {root}", str(error)) from error

    def put(self, name: str, secret: bytes) -> None:
        """Keep `secret` durably under `name`; `Bug` if another secret is there, `StoreFault` if the disk fails."""
        path = self._root / _filed(name)
        with self._lock:
            try:
                kept = self.look(self._root, name)
                if kept is None:
                    self._write(path, secret)
                    kept = self.look(self._root, name)
                # Synced in every case: whoever wrote it may have died before its name was durable.
                sync(self._root)
            except OSError as error:
                raise disk_fault(error.errno, f"key {name}", str(error)) from error
        if kept != secret:
            raise Bug(f"key {name} already holds another secret")

    def get(self, name: str) -> bytes:
        """The secret kept under `name`, or `StoreFault(key-erased)`."""
        try:
            kept = self.look(self._root, name)
        except OSError as error:
            raise disk_fault(error.errno, f"key {name}", str(error)) from error
        if kept is None:
            raise _gone(name)
        return kept

    def erase(self, name: str) -> None:
        """Overwrite, sync and unlink the secret; erasing what is not there is no error."""
        path = self._root / _filed(name)
        with self._lock:
            try:
                self._destroy(path)
                sync(self._root)
            except OSError as error:
                raise disk_fault(error.errno, f"key {name}", str(error)) from error

    def names(self, prefix: str) -> list[str]:
        """The names that start with `prefix`, sorted by code point."""
        found = (unquote(path.name.removesuffix(SUFFIX)) for path in self._root.glob("*" + SUFFIX))
        return sorted(name for name in found if name.startswith(prefix))

    @staticmethod
    def look(root: Path, name: str) -> bytes | None:
        """The secret under `name` in the directory `root`, None if it is not there; changes nothing. `OSError`."""
        try:
            return (root / _filed(name)).read_bytes()
        except FileNotFoundError:
            return None

    @staticmethod
    def ages_s(root: Path) -> dict[str, float]:
        """The name of each key under `root` -> seconds since it was kept, by the file's time; reads no secret."""
        now, ages = time.time(), dict[str, float]()
        for path in root.glob("*" + SUFFIX):
            with contextlib.suppress(FileNotFoundError):  # it was erased meanwhile
                ages[unquote(path.name.removesuffix(SUFFIX))] = max(0.0, now - path.stat().st_mtime)
        return ages

    def _write(self, path: Path, secret: bytes) -> None:
        """Staged, synced, then linked to its name, so a crash leaves a whole secret or none under the name."""
        staged = path.with_name(path.name + f".{os.getpid()}" + STAGED)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
            # A hard link refuses an existing name, where a rename would replace another process's secret.
            with contextlib.suppress(FileExistsError):
                os.link(staged, path)
        finally:
            self._drop_staged(staged)

    def _drop_staged(self, staged: Path) -> None:
        """Destroy a staged secret, unless it has its name already: then both are one file, and a name goes."""
        try:
            linked = staged.stat().st_nlink > 1
        except FileNotFoundError:
            return
        if linked:
            staged.unlink(missing_ok=True)
        else:
            self._destroy(staged)

    def _destroy(self, path: Path) -> None:
        try:
            with path.open("r+b") as file:
                length = os.fstat(file.fileno()).st_size
                file.write(b"\0" * length)
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        except OSError as error:
            # A full copying file system refuses the overwrite; the name must go all the same.
            if error.errno != errno.ENOSPC:
                raise
        path.unlink(missing_ok=True)


class MemoryKeys:
    """Secrets in this process only: for the simulator and tests. One thread."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def put(self, name: str, secret: bytes) -> None:
        """Keep `secret` under `name`; `Bug` if another secret is there."""
        _filed(name)
        if self._secrets.setdefault(name, secret) != secret:
            raise Bug(f"key {name} already holds another secret")

    def get(self, name: str) -> bytes:
        """The secret kept under `name`, or `StoreFault(key-erased)`."""
        _filed(name)
        if name not in self._secrets:
            raise _gone(name)
        return self._secrets[name]

    def erase(self, name: str) -> None:
        """Forget the secret; erasing what is not there is no error."""
        _filed(name)
        self._secrets.pop(name, None)

    def names(self, prefix: str) -> list[str]:
        """The names that start with `prefix`, sorted by code point."""
        return sorted(name for name in self._secrets if name.startswith(prefix))
