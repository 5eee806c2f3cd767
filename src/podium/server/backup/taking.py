"""podium db backup: everything a plane knows, in one file, while it serves or not.

Decides: what goes in: the database as one committed state, the blobs that its rows name, the sealed updates of rounds
that are open in it, how far each webhook is, the port. The root document is in the database, as are the signed heads.
Never: private keys or credentials (secrets.py keeps those that a plane cannot do without, apart and under a
passphrase); upload keys are in no backup, so no update can be opened by who has one. Blobs are copied after the
database: one that the plane dropped meanwhile makes the backup start again, `TRIES` times. It is written into a hidden
directory beside its place and gets its name when it is whole; it takes the place of no other file.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from podium.adapters.disk import disk_fault, sync, write_durably
from podium.adapters.sqlite.reader import SqliteReader, open_readonly
from podium.adapters.sqlite.snapshot import count_entries, leases_of, rows_of, snapshot
from podium.core.rounds.table import LEASE_STORED, ROUND_OPEN
from podium.core.rows import AliasMoveRow, AliasRow, ReleaseRow, RoundRow, RunRow, VersionRow
from podium.crypto.root import open_root
from podium.server.backup.archive import (
    BLOBS,
    DATABASE,
    PIECE_BYTES,
    PORT,
    UPLOADS,
    WEBHOOKS,
    Manifest,
    Member,
    write_archive,
)
from podium.server.backup.scratch import scratch
from podium.server.journal.audit import META_ROOT
from podium.server.release import VERSION
from podium.server.webhooks.ledger import copy_ledger
from podium.wire.alias_names import LATEST
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import OperatorFault, StoreFault

TRIES = 3
TAKEN_FILE = "last-backup.json"
"""Where a data directory says when its last backup was taken."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was taken: where, when (ms since the epoch), of how many journal entries, how large, and with which
    version of the root document (0: an older release took it). `gone`: blobs that it lacks, of versions that an alias
    once named or that are released."""

    file: str
    at_ms: int
    plane_id: str
    entries: int
    blobs: int
    size_bytes: int
    root_version: int = 0
    gone: int = 0


class _Gone(Exception):
    """A file that was to be copied is not there any more."""


def take_backup(data: Path, out: Path) -> Taken:
    """Back the data directory `data` up to the new file `out` (0600), which is there only once it is whole.

    `OperatorFault(data-missing | data-newer | usage)`, `StoreFault(store-full | store-failed | store-corrupt)`.
    """
    check_place(data, out)
    missing = ""
    for _ in range(TRIES):
        try:
            return _taken(data, out)
        except _Gone as error:
            missing = str(error)
        except OSError as error:
            raise disk_fault(error.errno, f"backing {data} up to {out}", str(error)) from error
    raise StoreFault(
        "store-corrupt",
        what=f"{data} cannot be backed up: {missing} is named by a row, but is not there",
        why=f"it was lost, or the plane dropped it each of {TRIES} times that it was to be copied",
        next="let the aliases that name it name another version, and stop the runs that begin with it",
    )


def check_place(data: Path, out: Path) -> None:
    """Return if `out` is free and lies outside the data directory `data`, by whatever path; `OperatorFault(usage)`."""
    if out.resolve().is_relative_to(data.resolve()):
        raise OperatorFault("usage", what=f"{out} lies in {data}", why="a backup is kept apart from what it is of")
    if os.path.lexists(out):
        raise OperatorFault(
            "usage",
            what=f"{out} is there already",
            why="a backup is not written over another file, which may be the only good one",
            next="name another file, such as one with the date in it; or move that one away",
        )


def _taken(data: Path, out: Path) -> Taken:
    with scratch(".podium-backup-", out.absolute().parent) as copy:
        # before the database: a webhook that was further than the journal would leave out what follows a restore
        told = {WEBHOOKS: copy / WEBHOOKS} if copy_ledger(data, copy / WEBHOOKS) else {}
        snapshot(data, copy / DATABASE)
        reader = open_readonly(copy)
        try:
            files = {DATABASE: copy / DATABASE, **told, **_files(reader, data)}
            root, entries = stored_root(reader)[1], count_entries(reader)
            gone = sum(BLOBS + each.removeprefix("sha256:") not in files for each in _remembered_blobs(reader))
        finally:
            reader.close()
        manifest = Manifest(
            plane_id=root.plane_id,
            podium=VERSION,
            at_ms=time.time_ns() // 1_000_000,
            entries=entries,
            members=tuple(_member(name, path) for name, path in files.items()),
        )
        part = copy / "whole"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            write_archive(file, manifest, (_pieces(path) for path in files.values()))
            file.flush()
            os.fsync(file.fileno())
        check_place(data, out)  # another backup may have got its name meanwhile
        part.replace(out)
        sync(out.absolute().parent)
    taken = Taken(
        file=str(out.absolute()),
        at_ms=manifest.at_ms,
        plane_id=root.plane_id,
        entries=entries,
        blobs=sum(name.startswith(BLOBS) for name in files),
        size_bytes=out.stat().st_size,
        root_version=root.version,
        gone=gone,
    )
    write_durably(data / TAKEN_FILE, msgspec.json.encode(taken))
    return taken


def stored_root(reader: SqliteReader) -> tuple[SignedRoot, RootDocument]:
    """The root document that the database keeps; `StoreFault(store-corrupt)` if it keeps none."""
    try:
        root = msgspec.json.decode(reader.get_meta(META_ROOT), type=SignedRoot)
    except msgspec.DecodeError as error:
        raise StoreFault("store-corrupt", what="the database holds no root document", why=str(error)) from error
    return root, open_root(root, None)


# -- what goes in --------------------------------------------------------------------------------------------


def needed_blobs(reader: SqliteReader) -> frozenset[str]:
    """The digests without which a plane cannot go on from these rows: what aliases name now and open runs work on.

    Of what people let an alias name the statement too. `latest` may be at an old version whose bytes were made again
    after it was collected, with another statement than its own, and so may a run that began with one.
    """
    statements = {row.id: row.statement for row in rows_of(reader, VersionRow)}
    keep: set[str] = set()
    for alias in rows_of(reader, AliasRow):
        keep.add(alias.version)
        if alias.id.rpartition("@")[2] != LATEST:
            keep.add(statements.get(alias.version, ""))
    for run in rows_of(reader, RunRow):
        if run.state in RUN_OPEN:
            keep.update((run.base, run.first))
    for row in _open_rounds(reader):
        keep.update((row.base, row.manifest))
    return frozenset(keep) - {""}


def _remembered_blobs(reader: SqliteReader) -> frozenset[str]:
    """What an alias once named and what is released: kept, unless a release of before let collected ones be named."""
    keep = {row.version for row in rows_of(reader, AliasMoveRow)}
    for release in rows_of(reader, ReleaseRow):
        keep.update((release.id, release.statement))
    return frozenset(keep)


def _named_blobs(reader: SqliteReader) -> frozenset[str]:
    """Every digest that a row names and that may still be there."""
    found = {*needed_blobs(reader), *_remembered_blobs(reader)}
    for version in rows_of(reader, VersionRow):
        found.update((version.id, version.statement))
    return frozenset(found)


def _open_rounds(reader: SqliteReader) -> list[RoundRow]:
    return [row for row in rows_of(reader, RoundRow) if row.state in ROUND_OPEN]


def _files(reader: SqliteReader, data: Path) -> dict[str, Path]:
    """Member name -> file, but for the database. `_Gone` if a needed blob is missing."""
    files = {PORT: data / PORT} if (data / PORT).is_file() else {}
    needed = needed_blobs(reader)
    for digest in sorted(_named_blobs(reader)):
        hexed = digest.removeprefix("sha256:")
        path = blob_path(data, hexed)
        if path.is_file():
            files[BLOBS + hexed] = path
        elif digest in needed:
            raise _Gone(f"blob {digest}")
    for row in _open_rounds(reader):
        for lease in leases_of(reader, row.run, row.number):
            if lease.state in LEASE_STORED:
                files |= {f"{UPLOADS}{lease.id}/{path.name}": path for path in _chunks(data, lease.id)}
    return files


def blob_path(data: Path, hexed: str) -> Path:
    """Where the local blob store of a data directory keeps a blob, by its hex SHA-256."""
    return data / "blobs" / "blobs" / "sha256" / hexed[:2] / hexed[2:]


def upload_path(data: Path, lease: str, offset: str) -> Path:
    """Where the local blob store of a data directory keeps a chunk of an upload."""
    return data / "blobs" / "uploads" / lease / offset


def _chunks(data: Path, lease: str) -> list[Path]:
    folder = data / "blobs" / "uploads" / lease
    return sorted(path for path in folder.glob("[0-9]" * 16)) if folder.is_dir() else []


def _member(name: str, path: Path) -> Member:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(path):
        digest.update(piece)
        size += len(piece)
    if name.startswith(BLOBS) and name != BLOBS + digest.hexdigest():
        what = f"blob sha256:{name.removeprefix(BLOBS)}"
        raise StoreFault("store-corrupt", what=what, why="its bytes have another SHA-256")
    return Member(name=name, size=size, sha256=digest.hexdigest())


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        file: IO[bytes] = path.open("rb")
    except FileNotFoundError as error:
        raise _Gone(str(path.name)) from error
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
