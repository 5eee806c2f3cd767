"""The SHA-256 of the database file of a plane that stopped cleanly, beside it: so that any changed byte is noticed.

Decides: whether a stopped plane's file is, byte for byte, what it left; free space within pages included, which no
entry or table covers. Never: guards against somebody who writes the seal anew: signed heads do. A plane that runs, or
was killed, has none. Limits: stopping reads the whole file once.
"""

import hashlib
from pathlib import Path

from podium.adapters.disk import sync
from podium.wire.problems import StoreFault


def seal_path(database: Path) -> Path:
    """Where the seal of a database file lies."""
    return database.with_name(database.name + ".sha256")


def seal(database: Path) -> None:
    """Seal a database file that nobody writes any more; one with a write-ahead log beside it is left as it is.

    Where there is no room for a seal there is none, as after a kill: stopping must not fail for it.
    """
    if database.with_name(database.name + "-wal").exists():
        return
    target = seal_path(database)
    part = target.with_name(target.name + ".part")
    try:
        part.write_text(_digest(database) + "\n")
        sync(part)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)


def unseal(database: Path) -> None:
    """Remove the seal durably before the first write."""
    target = seal_path(database)
    if target.exists():
        target.unlink()
        sync(target.parent)


def check_seal(database: Path) -> None:
    """`StoreFault(store-corrupt)` if the file has a seal and is not what was sealed."""
    target = seal_path(database)
    try:
        sealed = target.read_bytes()
    except FileNotFoundError:
        return
    # a plane that starts meanwhile removes the seal before it writes
    if sealed != f"{_digest(database)}\n".encode() and target.exists():
        raise StoreFault(
            "store-corrupt",
            what=f"the file {database.name} is not what its plane left when it stopped",
            why=f"every entry and row fits, but the file's SHA-256 is not the one in {target.name}",
        )


def _digest(database: Path) -> str:
    with database.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
