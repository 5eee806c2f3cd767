"""podium db restore: a data directory made from a backup, all of it or nothing.

Decides: what must hold before the directory has its name: every byte of the file, the journal, the signed heads kept
beside, and that nothing a plane needs is missing. Never: writes into a directory that holds anything. Everything is put
into a hidden directory beside it first, which is renamed last.
Limits: a backup older than the heads beside the directory is refused, because devices would see a journal that shrank;
with `accept_loss` they are put aside, and devices that saw the longer journal refuse to train until it is longer again.
Nobody here knows what was revoked, banned or frozen after a backup. So the plane starts frozen (frozen.py)
unless a kept head shows that the backup has everything; and what was live in it is said.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from podium.adapters.disk import disk_fault, sync, write_durably
from podium.adapters.keys import FileKeys
from podium.adapters.sqlite.inspect import head_rows
from podium.adapters.sqlite.reader import SqliteReader, open_readonly
from podium.adapters.sqlite.store import SqliteStore
from podium.ports.plane import SignedHead
from podium.server.backup.archive import (
    BLOBS,
    DATABASE,
    PORT,
    UPLOADS,
    WEBHOOKS,
    Manifest,
    Member,
    Pieces,
    invalid,
    read_archive,
)
from podium.server.backup.frozen import FILE as RESTORED
from podium.server.backup.scratch import scratch
from podium.server.backup.secrets import PlaneSecrets
from podium.server.backup.standing import Standing, standing_of
from podium.server.backup.taking import blob_path, needed_blobs, stored_root, upload_path
from podium.server.identity import FORMAT, IdentityFile
from podium.server.journal.audit import verify_data
from podium.server.journal.heads import heads_path, read_heads
from podium.server.journal.replay import AuditResult
from podium.server.webhooks.ledger import FILE as LEDGER
from podium.wire.canonical import decode_canonical
from podium.wire.messages import Head
from podium.wire.problems import OperatorFault


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that was restored. `keys`: how many of the plane's own keys came with it; without them it cannot
    sign as itself. `heads_aside`: where heads went that the backup is older than, "" if it is not. `standing`: what was
    live when the backup was taken. `freeze`: why its first start is frozen, "" if it is not.
    `root_version`: of the root document in it."""

    data: str
    plane_id: str
    at_ms: int
    entries: int
    blobs: int
    keys: int
    heads_aside: str
    standing: Standing
    freeze: str
    root_version: int


def restore_backup(
    file: Path,
    data: Path,
    *,
    secrets: PlaneSecrets | None = None,
    heads: Iterable[SignedHead] | None = None,
    accept_loss: bool = False,
) -> Restored:
    """Make the data directory `data` from the backup `file`; `heads`: those kept outside, else those beside `data`.

    `OperatorFault`: data-in-use (it holds something), file-unreadable, backup-invalid (naming the first bad member),
    journal-broken (naming the first entry, or a kept head that the backup is older than), data-newer. `StoreFault`.
    """
    _check_free(data)
    target = data.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(f".{target.name}.restoring-", target.parent) as folder:
            staging = folder / "data"
            staging.mkdir(mode=0o700)
            return _restored(file, staging, target, secrets, _Heads(target, heads, accept_loss))
    except OSError as error:
        raise disk_fault(error.errno, f"restoring {file} to {data}", str(error)) from error


def _check_free(data: Path) -> None:
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise _in_use(data)


def _in_use(data: Path) -> OperatorFault:
    return OperatorFault(
        "data-in-use",
        what=f"{data} is not an empty directory",
        why="a restore writes over nothing",
        next="choose another --data, or move that one away",
    )


class _Heads:
    """The heads kept outside that the restored journal has to contain."""

    def __init__(self, target: Path, given: Iterable[SignedHead] | None, accept_loss: bool) -> None:
        self._beside = heads_path(target)
        self._lost = accept_loss and self._beside.exists()
        if accept_loss:
            self.kept: list[SignedHead] = []
        elif given is not None:
            self.kept = list(given)
        else:
            self.kept = read_heads(self._beside) if self._beside.exists() else []

    def put_aside(self, manifest: Manifest) -> str:
        """Before a directory that they contradict gets its name: where they went, "" if they stay."""
        if not self._lost:
            return ""
        aside = self._beside.with_name(f"{self._beside.name}.before-restore-{manifest.at_ms}")
        self._beside.replace(aside)
        return str(aside)


def _restored(file: Path, staging: Path, target: Path, secrets: PlaneSecrets | None, heads: _Heads) -> Restored:
    manifest = _unpack(file, staging)
    _bring_up(staging)
    result = _verified(staging, heads.kept)
    reader = open_readonly(staging)
    try:
        _check_whole(reader, manifest)
        root, document = stored_root(reader)
        standing = standing_of(reader, manifest.at_ms)
        why = "" if not result.pending and _counted(reader, heads.kept) else _why_frozen(manifest)
    finally:
        reader.close()
    if not result.plane_id == document.plane_id == manifest.plane_id:
        raise invalid("manifest.json", f"it says plane {manifest.plane_id}, the database is of {document.plane_id}")
    identity = IdentityFile(format=FORMAT, plane_id=document.plane_id, root=root)
    write_durably(staging / "identity.json", msgspec.json.encode(identity))
    kept = 0 if secrets is None else _keep_secrets(secrets, staging, document.plane_id)
    if why:
        write_durably(staging / RESTORED, why.encode())
    for folder, _, _ in os.walk(staging):
        sync(Path(folder))
    aside = heads.put_aside(manifest)
    try:
        staging.rename(target)
    except OSError as error:
        raise _in_use(target) from error
    sync(target.parent)
    return Restored(
        data=str(target),
        plane_id=manifest.plane_id,
        at_ms=manifest.at_ms,
        entries=result.entries,
        blobs=sum(member.name.startswith(BLOBS) for member in manifest.members),
        keys=kept,
        heads_aside=aside,
        standing=standing,
        freeze=why,
        root_version=document.version,
    )


def _counted(reader: SqliteReader, kept: list[SignedHead]) -> bool:
    """Whether `kept`, which verified, count every entry that has its place: none was taken away after the backup."""
    sizes: dict[str, int] = {}
    for signed in kept:
        head = decode_canonical(signed.payload, Head)
        sizes[head.tree] = max(head.size, sizes.get(head.tree, 0))
    return bool(kept) and all(row.size <= sizes.get(row.tree, 0) for row in head_rows(reader))


def _why_frozen(manifest: Manifest) -> str:
    at = datetime.fromtimestamp(manifest.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"restored from a backup taken at {at}: what was revoked, banned, frozen or rotated since is not known here"


def _verified(staging: Path, kept: list[SignedHead]) -> AuditResult:
    """What held in the journal; a fault of the backup itself is told as it is, one that only `kept` show otherwise."""
    try:
        return verify_data(staging, heads=kept)
    except OperatorFault as error:
        if not kept:
            raise
        verify_data(staging, heads=())
        raise OperatorFault(
            "journal-broken",
            what="the backup is older than signed heads that were kept outside, or of another plane",
            why=f"{error.what}: {error.why}",
            next="restore a newer backup, or with --accept-loss: devices that saw those heads then wait for more",
        ) from error


def _unpack(file: Path, staging: Path) -> Manifest:
    def take(manifest: Manifest, member: Member, pieces: Pieces) -> None:
        path = _place(staging, member.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as out:
            for piece in pieces:
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())

    try:
        packed = file.open("rb")
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {file}", why=error.strerror or "") from error
    with packed:
        return read_archive(packed, take)


def _place(staging: Path, name: str) -> Path:
    """Where a member goes; its name has one of the forms that archive.py lets through."""
    if name.startswith(BLOBS):
        return blob_path(staging, name.removeprefix(BLOBS))
    if name.startswith(UPLOADS):
        _, lease, offset = name.split("/")
        return upload_path(staging, lease, offset)
    return staging / {DATABASE: DATABASE, WEBHOOKS: LEDGER, PORT: PORT}[name]


def _bring_up(staging: Path) -> None:
    """Migrate the database of an older release, as a start would."""
    try:
        open_readonly(staging).close()
    except OperatorFault as error:
        if error.code != "usage":
            raise
        SqliteStore(staging).close()


def _check_whole(reader: SqliteReader, manifest: Manifest) -> None:
    there = {f"sha256:{member.sha256}" for member in manifest.members if member.name.startswith(BLOBS)}
    for digest in sorted(needed_blobs(reader) - there):
        raise invalid(f"blob {digest}", "a row names it, and it is not in the backup")


def _keep_secrets(secrets: PlaneSecrets, staging: Path, plane_id: str) -> int:
    if secrets.plane_id != plane_id:
        raise invalid("the keys", f"they are of plane {secrets.plane_id}, the backup is of {plane_id}")
    keys = FileKeys(staging / "keys")
    for name, secret in secrets.keys.items():
        keys.put(name, secret)
    for role, token in secrets.credentials.items():
        write_durably(staging / f"{role}.token", f"{token}\n".encode())
    return len(secrets.keys)
