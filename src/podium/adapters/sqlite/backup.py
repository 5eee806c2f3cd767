"""A consistent copy of the database while it is in use (SQLite's online backup).

Decides: that a copy is whole and durable, or absent. Never: when one is made.
"""

import sqlite3
from pathlib import Path

from podium.adapters.disk import sync
from podium.adapters.sqlite.faults import store_fault


def copy_to(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database behind `connection` to the file `target`; what was there is replaced only by a whole copy.

    `StoreFault` if it cannot be written; then `target` is as it was.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        copy = sqlite3.connect(part)
        try:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        finally:
            copy.close()
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise store_fault(error, f"the backup to {target}") from error
    sync(part)
    part.replace(target)
    sync(target.parent)
