"""Who the plane is: its id, its root document, and which of its keys signs today.

Decides: what a first start makes, and what the next root document says when a key is rotated. Never: who may rotate
(core/access). `DATA/identity.json` holds the root document; the private keys lie in the Keys port, but for the release
key: a first start writes it beside the directory (`<data>.release.key`, 0600) for somebody to move offline, and the
plane never reads it again. A retired online key verifies what it signed by its public half; nothing needs its private
half, which is erased. Limits: root and online keys are one each; the root key is the plane's own in this release, so
who captures the plane can name another release key: keep a root document outside to notice.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from podium.adapters.disk import write_durably
from podium.crypto.release import ROLE as RELEASE
from podium.crypto.root import active_keys, make_root, open_root, with_key
from podium.crypto.sign import key_id, public_key
from podium.ports import Entropy, Keys
from podium.server.journal.heads import heads_path
from podium.wire.canonical import b64, unb64
from podium.wire.messages import RootDocument, RootRole, SignedRoot
from podium.wire.problems import DeviceFault, OperatorFault, StoreFault

FORMAT = 1
"""The layout this release writes; the database's own schema has migrations of its own."""

ONLINE = "online"
ONLINE_KEY = "plane/online"
"""The Keys name of the first online key; a later one has its id behind it."""
ROOT_KEY = "plane/root"
SECRET_BYTES = 32
RELEASE_PREFIX = "pdmr_"
"""How the text of a release key begins, so that a leaked one is recognised."""


class IdentityFile(msgspec.Struct, frozen=True, kw_only=True):
    """`DATA/identity.json`."""

    format: int
    plane_id: str
    root: SignedRoot


class Identity:
    """The plane's root document as it stands, and the key that signs under it. Read from any thread; `adopt` on one."""

    def __init__(self, path: Path, root: SignedRoot, keys: Keys) -> None:
        self._path = path
        self._keys = keys
        self._now = _Standing(root, keys)
        self.plane_id = self._now.document.plane_id

    @property
    def root(self) -> SignedRoot:
        """The newest root document with its signatures."""
        return self._now.root

    @property
    def document(self) -> RootDocument:
        """The newest root document."""
        return self._now.document

    @property
    def online_id(self) -> str:
        """The id of the online key that signs today."""
        return self._now.online

    def online_seed(self) -> bytes:
        """The 32-byte seed of the online key that signs today; `StoreFault(key-erased)`."""
        while True:
            now = self._now
            try:
                return self._keys.get(now.name)
            except StoreFault:
                if now is self._now:  # else it was retired and erased just then
                    raise

    def next_root(self, role: str, public: bytes) -> SignedRoot:
        """The root document in which `public` (32 bytes) signs for `role`, signed by the plane's root key.

        `OperatorFault(usage)` for a role or a key that cannot be; `StoreFault(key-erased)`.
        """
        try:
            return make_root(with_key(self.document, role, public), [self._keys.get(ROOT_KEY)])
        except DeviceFault as error:
            raise OperatorFault("usage", what=f"rotate the key of role {role}", why=error.why) from error

    def keep(self, root: SignedRoot) -> None:
        """Make `root` durable as the one of the next start. Blocking; `StoreFault`."""
        held = IdentityFile(format=FORMAT, plane_id=self.plane_id, root=root)
        write_durably(self._path, msgspec.json.encode(held))

    def adopt(self, root: SignedRoot) -> None:
        """Sign and answer under `root`, whose online key is in the Keys port, from now on."""
        self._now = _Standing(root, self._keys)

    def erase_retired(self) -> None:
        """Erase every online key but the one that signs today, once its root document is durable. `StoreFault`."""
        for name in self._keys.names(ONLINE_KEY):
            if name != self._now.name:
                self._keys.erase(name)


class _Standing:
    """One root document opened, and the Keys name of its online key."""

    def __init__(self, root: SignedRoot, keys: Keys) -> None:
        self.root = root
        self.document = open_root(root, None)
        self.online = active_keys(self.document, ONLINE)[0]
        later = online_name(self.online)
        self.name = later if later in keys.names(later) else ONLINE_KEY


def online_name(name: str) -> str:
    """The Keys name of the online key with id `name`, unless it is the first."""
    return f"{ONLINE_KEY}/{name}"


def open_identity(data: Path, keys: Keys, entropy: Entropy, kept: Sequence[SignedRoot] = ()) -> Identity:
    """The plane's identity; a first start makes its keys and the root document version 1 (1 of 1).

    `kept`: root documents of the database, by which identity.json is made again if it is older or lost.
    `OperatorFault(data-newer)`, `StoreFault(store-corrupt)` when identity.json does not decode or is of another plane,
    `OperatorFault(data-missing)` when the plane's own online key is gone, as after a restore without keys,
    `OperatorFault(file-unreadable)` when what lies beside a new directory as release key is none.
    """
    path = data / "identity.json"
    held = [_read(path)] if path.exists() else []
    if held or kept:
        identity = Identity(path, _newest(path, [*held, *kept]), keys)
        _check_held(identity, data)
        if held != [identity.root]:
            identity.keep(identity.root)
        identity.erase_retired()
        return identity
    root_seed, online_seed = (secret(keys, entropy, name) for name in (ROOT_KEY, ONLINE_KEY))
    roles = {
        "root": public_key(root_seed),
        ONLINE: public_key(online_seed),
        RELEASE: public_key(_first_release_key(data, entropy)),
    }
    document = RootDocument(
        version=1,
        plane_id="p" + entropy.token(8).hex(),
        keys={key_id(public): b64(public) for public in roles.values()},
        roles={role: RootRole(threshold=1, key_ids=(key_id(public),)) for role, public in roles.items()},
    )
    _put_aside(heads_path(data), document.plane_id)
    identity = Identity(path, make_root(document, [root_seed]), keys)
    identity.keep(identity.root)
    return identity


def read_root(data: Path) -> RootDocument:
    """The root document in the data directory `data`; as `open_identity` raises, and `OSError` if there is none."""
    return open_root(_read(data / "identity.json"), None)


def _check_held(identity: Identity, data: Path) -> None:
    """A plane that cannot sign as itself must not start: devices would refuse it, and nothing of it could be proven."""
    try:
        if key_id(public_key(identity.online_seed())) == identity.online_id:
            return
    except StoreFault as error:
        if error.code != "key-erased":
            raise
    raise OperatorFault(
        "data-missing",
        what=f"the key that plane {identity.plane_id} signs with is not in {data / 'keys'}",
        why=f"online key {identity.online_id} was erased, or the directory was restored without its keys, or with those"
        " of before or after a rotation",
        next="restore with podium db restore --keys FILE, or copy keys/ of the directory when it was backed up",
    )


def _newest(path: Path, roots: Sequence[SignedRoot]) -> SignedRoot:
    """The newest of `roots`, which must follow each other; `StoreFault(store-corrupt)`."""
    newest = roots[0]
    for root in roots[1:]:
        document, before = open_root(root, None), open_root(newest, None)
        try:
            if document.version > before.version:
                open_root(root, before)
                newest = root
            else:
                open_root(newest, document)
        except DeviceFault as error:
            raise StoreFault(
                "store-corrupt", what=f"{path} contradicts the database beside it", why=error.why
            ) from error
    return newest


def _put_aside(heads: Path, plane_id: str) -> None:
    """Heads of a plane whose directory was removed: they are none of this one's, but still somebody's proof."""
    if heads.exists():
        heads.replace(heads.with_name(f"{heads.name}.before-{plane_id}"))


def _read(path: Path) -> SignedRoot:
    data = path.read_bytes()
    try:
        format_of = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if msgspec.json.decode(format_of, type=int) > FORMAT:
            raise OperatorFault("data-newer", what=f"{path.parent} has format {bytes(format_of).decode()}")
        held = msgspec.json.decode(data, type=IdentityFile)
        document = open_root(held.root, None)
    except (msgspec.DecodeError, DeviceFault) as error:
        raise StoreFault("store-corrupt", what=f"{path} does not decode", why=str(error)) from error
    if document.plane_id != held.plane_id or not active_keys(document, ONLINE):
        raise StoreFault("store-corrupt", what=f"{path} contradicts its root document")
    return held.root


def secret(keys: Keys, entropy: Entropy, name: str) -> bytes:
    """The secret under `name`, made now if a first start has not made it yet."""
    if name not in keys.names(name):
        keys.put(name, entropy.token(SECRET_BYTES))
    return keys.get(name)


# -- the release key -----------------------------------------------------------------------------------------


def release_key_path(data: Path) -> Path:
    """Where a first start puts the release key of the data directory `data`: `<data>.release.key`."""
    whole = data.absolute()
    return whole.with_name(whole.name + ".release.key")


def _first_release_key(data: Path, entropy: Entropy) -> bytes:
    """The seed beside the new directory; one that a start that died, or a plane before, left there is taken."""
    path = release_key_path(data)
    if not path.exists():
        write_release_key(path, entropy.token(SECRET_BYTES))
    return read_release_key(path)


def write_release_key(path: Path, seed: bytes) -> None:
    """Keep the 32-byte `seed` of a release key in the file `path` (0600). `StoreFault`."""
    write_durably(path, f"{RELEASE_PREFIX}{b64(seed)}\n".encode())


def read_release_key(path: Path) -> bytes:
    """The 32-byte seed in the release key file `path`; `OperatorFault(file-unreadable)`, which never quotes it."""
    what = f"{path} holds no release key"
    try:
        text = path.read_text("ascii").strip()
        seed = unb64(text.removeprefix(RELEASE_PREFIX)) if text.startswith(RELEASE_PREFIX) else b""
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=error.strerror or "") from error
    except (UnicodeDecodeError, DeviceFault):
        seed = b""
    if len(seed) != SECRET_BYTES:
        raise OperatorFault("file-unreadable", what=what, why=f"one is {RELEASE_PREFIX} and 43 characters")
    return seed
