"""What an error of SQLite means to the plane: which fault, and whether something may have been written.

Decides: SQLite result code -> `StoreFault` code (https://www.sqlite.org/rescode.html). Never: what follows.
"""

import sqlite3

from podium.wire.problems import StoreFault


def store_fault(error: sqlite3.Error | UnicodeDecodeError, what: str, *, committing: bool = False) -> StoreFault:
    """`error` of the transaction or reading `what` as a `StoreFault`.

    Full is never half a commit: SQLite reports it before the commit frame is written. Any other error of the commit
    itself (`committing`), such as a failed fsync, leaves the outcome unknown.
    """
    if isinstance(error, UnicodeDecodeError):  # text of ours, or of SQLite about it, that is no UTF-8
        return StoreFault("store-corrupt", what=f"{what}: the database is damaged", why=str(error))
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte is the primary code
    why = f"SQLite: {error}"
    if code == sqlite3.SQLITE_FULL:
        return StoreFault("store-full", what=f"{what}: the disk is full", why=why, retryable=True)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreFault("store-corrupt", what=f"{what}: the database is damaged", why=why)
    if committing:
        return StoreFault("store-unknown", what=f"{what}: the commit's outcome is unknown", why=why, retryable=True)
    return StoreFault("store-failed", what=f"{what} failed", why=why, retryable=True)
