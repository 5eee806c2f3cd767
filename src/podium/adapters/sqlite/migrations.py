"""Bringing a database to this release's schema: new ones made, older ones copied aside and migrated, newer refused.

Decides: which migrations run, and that a backup is durable before the first. Never: what they say (schema.py).
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from podium.adapters.disk import sync
from podium.adapters.sqlite.backup import copy_to
from podium.adapters.sqlite.faults import store_fault
from podium.adapters.sqlite.schema import APPLICATION_ID, MIGRATIONS
from podium.wire.problems import OperatorFault, StoreFault


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of the database at `path`, 0 if it is empty.

    `StoreFault(store-corrupt)` if it is not Podium's; `OperatorFault(data-newer)` if a newer release wrote it.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    marked = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if marked != APPLICATION_ID and not (empty and marked == version == 0):
        why = f"its application id is {marked}"
        raise StoreFault("store-corrupt", what=f"{path} is no database of Podium", why=why)
    if version > len(MIGRATIONS):
        raise OperatorFault(
            "data-newer",
            what=f"{path} has schema {version}",
            why=f"this release knows schemas up to {len(MIGRATIONS)}",
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> int:
    """Bring the database at `path` to the last of `migrations`; the version it had before.

    Each migration is one transaction. A database that holds data is copied to `<path>.schema-<version>` first.
    """
    before = version_of(connection, path)
    if 0 < before < len(migrations):
        copy_to(connection, path.with_name(f"{path.name}.schema-{before}"))
    for number in range(before + 1, len(migrations) + 1):
        script = (
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {migrations[number - 1]};"
            f"PRAGMA user_version = {number}; COMMIT;"
        )
        try:
            connection.executescript(script)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.rollback()
            raise store_fault(error, f"migration {number} of {path}") from error
    if before == 0:
        sync(path.parent)  # so that a new database cannot vanish with its first commit
    return before
