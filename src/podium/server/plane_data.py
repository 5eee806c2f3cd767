"""The data directory of a plane, and what the plane is made of: identity, keys, credentials, ports.

Decides: where things lie, and which credentials a first start makes. Never: who the plane is (identity.py), what is in
the database, nor who holds the directory (adapters/sqlite locks it). Layout: podium.db, blobs/, keys/, identity.json,
administrator.token and viewer.token (0600), port, plane.json while serving.
"""

import contextlib
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from podium.adapters.disk import write_durably
from podium.core.access.roles import VERBS
from podium.core.rows import ServiceRow
from podium.ports import Blobs, Clock, Entropy, Keys
from podium.ports.plane import Store
from podium.server.identity import SECRET_BYTES, Identity, secret
from podium.wire.canonical import b64
from podium.wire.limits import Limits
from podium.wire.operator import PlaneFile
from podium.wire.problems import OperatorFault

SESSION_KEY = "session/root"

TOKENS: dict[str, str] = {"administrator": "pdma_", "viewer": "pdmv_"}
"""Role -> prefix of its credential, so that a leaked one is recognised."""


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
        return self.identity.online_seed()


def session_root(keys: Keys, entropy: Entropy) -> bytes:
    """The 32-byte secret that every hour's session master derives from; made at first need."""
    return secret(keys, entropy, SESSION_KEY)


SERVICE_PREFIX = "pdms1."
"""How a service's credential begins; the rest is its secret, base64url."""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever showed a credential: "person:<role>" or "service:<name>", and the verbs it covers.

    `service`: the id of a service's credential, "" of a person.
    """

    actor: str
    verbs: frozenset[str]
    service: str = ""


NOBODY = Who(actor="", verbs=frozenset())
"""For what is made for everybody who may see it."""


class Credentials:
    """The operator credentials of one plane, compared by hash: one file per role, and those the core keeps of services.

    A file's hash is compared in constant time; a service's is looked up, which tells nothing of a secret of 32 bytes.
    """

    def __init__(self, root: Path, entropy: Entropy) -> None:
        """Read both files, made now if they are missing. `OperatorFault(file-unreadable)`."""
        self._hashes: dict[str, bytes] = {}
        for role, prefix in TOKENS.items():
            path = root / f"{role}.token"
            if not path.exists():
                write_durably(path, (prefix + b64(entropy.token(SECRET_BYTES)) + "\n").encode())
            token = _read_token(path)
            self._hashes[role] = hashlib.sha256(token.encode()).digest()

    def who(self, authorization: str, services: Callable[[], Mapping[str, ServiceRow]], now_ms: int) -> Who:
        """Whom an Authorization header proves; `services`: the core's rows, asked for only when a service comes.

        `OperatorFault(credential-missing | credential-invalid)`: a credential that is over or revoked is not known.
        """
        token = _bearer(authorization)
        if not token.startswith(SERVICE_PREFIX):
            role = self._role(token)
            return Who(actor=f"person:{role}", verbs=VERBS[role])
        row = services().get(token_hash(token))
        if row is None:
            raise OperatorFault("credential-invalid")
        if row.revoked or row.expires_ms <= now_ms:
            why = f"the credential of service {row.name} {'was revoked' if row.revoked else 'is over'}"
            raise OperatorFault("credential-invalid", why=why, next="ask the operator for a new one")
        return Who(actor=f"service:{row.name}", verbs=frozenset(row.verbs), service=row.id)

    def role(self, authorization: str) -> str:
        """The role that an Authorization header proves (RFC 6750 section 2.1).

        `OperatorFault(credential-missing | credential-invalid)`; a service has no role.
        """
        return self._role(_bearer(authorization))

    def _role(self, token: str) -> str:
        given = hashlib.sha256(token.encode()).digest()
        found = [role for role, known in self._hashes.items() if hmac.compare_digest(known, given)]
        if not found:
            raise OperatorFault("credential-invalid")
        return found[0]


def token_hash(token: str) -> str:
    """What the core keeps of a service's credential: the hex SHA-256 of all of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise OperatorFault("credential-missing")
    return token.strip()


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
