"""The data directory of a plane, and what the plane is made of: identity, keys, credentials, ports.

Decides: where things lie, and what a first start makes. Never: what is in the database, nor who holds the directory
(adapters/sqlite locks it). Layout: podium.db, blobs/, keys/, identity.json, administrator.token and viewer.token
(0600), port, plane.json while serving. Limits: a directory of a newer format is refused (`data-newer`).
"""

import contextlib
import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from podium.adapters.disk import disk_fault, sync
from podium.crypto.root import make_root
from podium.crypto.sign import key_id, public_key
from podium.ports import Blobs, Clock, Entropy, Keys
from podium.ports.plane import Store
from podium.server.journal.heads import heads_path
from podium.wire.canonical import b64
from podium.wire.limits import Limits
from podium.wire.messages import RootDocument, RootRole, SignedRoot
from podium.wire.operator import PlaneFile
from podium.wire.problems import OperatorFault, StoreFault

FORMAT = 1
"""The layout this release writes; the database's own schema has migrations of its own."""

ONLINE_KEY = "plane/online"
ROOT_KEY = "plane/root"
SESSION_KEY = "session/root"
SECRET_BYTES = 32

TOKENS: dict[str, str] = {"administrator": "pdma_", "viewer": "pdmv_"}
"""Role -> prefix of its credential, so that a leaked one is recognised."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the plane is: `DATA/identity.json`."""

    format: int
    plane_id: str
    root: SignedRoot


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a plane is made of: its ports, its limits, who it is."""

    clock: Clock
    entropy: Entropy
    keys: Keys
    blobs: Blobs
    store: Store
    limits: Limits
    identity: Identity

    def online_seed(self) -> bytes:
        """The 32-byte seed of the plane's online signing key; `StoreFault(key-erased)`."""
        return self.keys.get(ONLINE_KEY)


def open_identity(root: Path, keys: Keys, entropy: Entropy) -> Identity:
    """The plane's identity; a first start makes its keys and the root document version 1 (1 of 1).

    `OperatorFault(data-newer)`, `StoreFault(store-corrupt)` when identity.json does not decode.
    """
    path = root / "identity.json"
    if path.exists():
        return _read_identity(path)
    root_seed, online_seed = (_secret(keys, entropy, name) for name in (ROOT_KEY, ONLINE_KEY))
    root_public, online_public = public_key(root_seed), public_key(online_seed)
    document = RootDocument(
        version=1,
        plane_id="p" + entropy.token(8).hex(),
        keys={key_id(public): b64(public) for public in (root_public, online_public)},
        roles={
            "root": RootRole(threshold=1, key_ids=(key_id(root_public),)),
            "online": RootRole(threshold=1, key_ids=(key_id(online_public),)),
        },
    )
    identity = Identity(format=FORMAT, plane_id=document.plane_id, root=make_root(document, [root_seed]))
    heads = heads_path(root)
    if (
        heads.exists()
    ):  # of a plane whose directory was removed: they are none of this one's, but still somebody's proof
        heads.replace(heads.with_name(f"{heads.name}.before-{identity.plane_id}"))
    write_durably(path, msgspec.json.encode(identity))
    return identity


def _read_identity(path: Path) -> Identity:
    data = path.read_bytes()
    try:
        format_of = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if msgspec.json.decode(format_of, type=int) > FORMAT:
            raise OperatorFault("data-newer", what=f"{path.parent} has format {bytes(format_of).decode()}")
        return msgspec.json.decode(data, type=Identity)
    except msgspec.DecodeError as error:
        raise StoreFault("store-corrupt", what=f"{path} does not decode", why=str(error)) from error


def session_root(keys: Keys, entropy: Entropy) -> bytes:
    """The 32-byte secret that every hour's session master derives from; made at first need."""
    return _secret(keys, entropy, SESSION_KEY)


def _secret(keys: Keys, entropy: Entropy, name: str) -> bytes:
    """The secret under `name`, made now if a first start has not made it yet."""
    if name not in keys.names(name):
        keys.put(name, entropy.token(SECRET_BYTES))
    return keys.get(name)


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


class Credentials:
    """The operator credentials of one plane: one file per role, compared by hash in constant time."""

    def __init__(self, root: Path, entropy: Entropy) -> None:
        """Read both files, made now if they are missing. `OperatorFault(file-unreadable)`."""
        self._hashes: dict[str, bytes] = {}
        for role, prefix in TOKENS.items():
            path = root / f"{role}.token"
            if not path.exists():
                write_durably(path, (prefix + b64(entropy.token(SECRET_BYTES)) + "\n").encode())
            token = _read_token(path)
            self._hashes[role] = hashlib.sha256(token.encode()).digest()

    def role(self, authorization: str) -> str:
        """The role that an Authorization header proves (RFC 6750 section 2.1).

        `OperatorFault(credential-missing | credential-invalid)`.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise OperatorFault("credential-missing")
        given = hashlib.sha256(token.strip().encode()).digest()
        found = [role for role, known in self._hashes.items() if hmac.compare_digest(known, given)]
        if not found:
            raise OperatorFault("credential-invalid")
        return found[0]


def _read_token(path: Path) -> str:
    token = path.read_text("utf-8").strip()
    if len(token) < SECRET_BYTES:
        raise OperatorFault("file-unreadable", what=f"{path} holds no credential", next=f"remove {path} for a new one")
    return token


def write_plane_file(root: Path, url: str, plane_id: str, ca: str) -> None:
    """Say in `DATA/plane.json` where the plane answers while it serves."""
    said = PlaneFile(url=url, plane_id=plane_id, pid=os.getpid(), ca=ca)
    write_durably(root / "plane.json", msgspec.json.encode(said))


def write_port(root: Path, port: int) -> None:
    """Keep in `DATA/port` on which port the plane answers, for its next start."""
    if last_port(root) != port:
        write_durably(root / "port", b"%d\n" % port)


def last_port(root: Path) -> int:
    """The port on which the plane answered last; 0 (a free one) if it never did or the file says none."""
    try:
        text = (root / "port").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdecimal() and len(text) <= 5 and int(text) < 65_536 else 0


def remove_plane_file(root: Path) -> None:
    """The plane no longer serves."""
    with contextlib.suppress(FileNotFoundError):
        (root / "plane.json").unlink()
