"""The plane's trust root: a versioned document that a threshold of its keys has signed (The Update Framework's rule).

Decides: when a root document holds, and when one may follow another. Never: which root a device trusts first (the
enrolment token names the plane) nor where it is kept. Limits: nothing expires yet; a device may skip versions as long
as the keys it trusts have signed the newer one; `KEYS_MAX` keys, retired ones included.
Source: The Update Framework specification 1.0, sections 2.1.1 and 5.3.
"""

from collections.abc import Sequence

from podium.crypto.sign import key_id, sign, verify
from podium.wire.canonical import b64, canonical, decode_canonical, unb64
from podium.wire.messages import RootDocument, RootRole, Signed, SignedRoot
from podium.wire.problems import DeviceFault

PURPOSE = "root"
KEYS_MAX = 256
RETIRED = "retired"
"""The role of keys that sign nothing new any more: what they signed before still verifies."""


def make_root(document: RootDocument, seeds: Sequence[bytes]) -> SignedRoot:
    """`document` signed by the Ed25519 key of each 32-byte seed: those of its own root role, and of the root before it.

    `DeviceFault(manifest-invalid)` when the document, signed so, would not hold by itself.
    """
    payload = canonical(document)
    signed = SignedRoot(signatures=tuple(sign(seed, PURPOSE, payload) for seed in seeds))
    open_root(signed, None)
    return signed


def open_root(signed: SignedRoot, trusted: RootDocument | None) -> RootDocument:
    """The document in `signed`, once a threshold of its own root keys and of those `trusted` have signed it.

    `trusted`: the highest root seen, or None at enrolment, where the document can only vouch for itself. The same
    version again gives the trusted one. `DeviceFault(manifest-invalid)` on too few signatures, a key that is not what
    its id says, another plane, an older version, or other content under the trusted version's number.
    """
    try:
        # Which keys may sign is written in the document itself, so it is parsed first and believed last.
        document = decode_canonical(unb64(_payload(signed)), RootDocument)
        keys = {name: unb64(text) for name, text in document.keys.items()}
    except DeviceFault as error:
        raise _fault(error.why or error.what) from error
    _check(document, keys)
    _check_threshold(document, signed)
    if trusted is None:
        return document
    if document.plane_id != trusted.plane_id:
        raise _fault("it belongs to another plane")
    if document.version < trusted.version:
        raise _fault(f"version {document.version} is older than the trusted version {trusted.version}")
    if document.version == trusted.version and document != trusted:
        raise _fault(f"another version {trusted.version} is trusted already")
    _check_threshold(trusted, signed)
    return document


def role_key(document: RootDocument, role: str, name: str) -> bytes:
    """The 32-byte public key with id `name`, if alone it may sign for `role`; else `DeviceFault(manifest-invalid)`."""
    told = document.roles.get(role)
    if told is None or name not in told.key_ids:
        raise _fault(f"key {name} may not sign for the role {role}")
    if told.threshold != 1:
        raise _fault(f"the role {role} needs {told.threshold} signatures")
    return unb64(document.keys[name])


def active_keys(document: RootDocument, role: str) -> tuple[str, ...]:
    """The ids of the keys of `role` that sign today, without those retired; none if there is no such role."""
    told, retired = document.roles.get(role), document.roles.get(RETIRED)
    gone = frozenset(retired.key_ids) if retired else frozenset()
    return tuple(name for name in told.key_ids if name not in gone) if told else ()


def active_key(document: RootDocument, role: str, name: str) -> bytes:
    """As `role_key`, for what is signed now: `DeviceFault(manifest-invalid)` for a retired key too."""
    public = role_key(document, role, name)
    if name not in active_keys(document, role):
        raise _fault(f"key {name} of the role {role} is retired")
    return public


def with_key(document: RootDocument, role: str, public: bytes) -> RootDocument:
    """The next version of `document`, in which the 32-byte `public` key alone signs for `role` from now on.

    The keys that did so before are retired. `DeviceFault(manifest-invalid)` for the role root, for a key that the
    document names already, and for more than `KEYS_MAX` keys.
    """
    name = key_id(public)
    if role in ("root", RETIRED):
        raise _fault(f"the role {role} is not rotated so")
    if name in document.keys:
        raise _fault(f"key {name} is named already")
    if len(document.keys) >= KEYS_MAX:
        raise _fault(f"it names {KEYS_MAX} keys already, as many as it may: retired ones still verify what they signed")
    told, retired = document.roles.get(role), document.roles.get(RETIRED)
    before = told.key_ids if told else ()
    gone = tuple(dict.fromkeys((*(retired.key_ids if retired else ()), *before)))
    roles = document.roles | {role: RootRole(threshold=1, key_ids=(name, *before))}
    if gone:
        roles[RETIRED] = RootRole(threshold=1, key_ids=gone)
    return RootDocument(
        version=document.version + 1,
        plane_id=document.plane_id,
        keys=document.keys | {name: b64(public)},
        roles=roles,
    )


def _payload(signed: SignedRoot) -> str:
    payloads = {one.payload for one in signed.signatures}
    if len(payloads) != 1:
        raise _fault("its signatures are not over one document")
    return payloads.pop()


def _check(document: RootDocument, keys: dict[str, bytes]) -> None:
    if document.version < 1:
        raise _fault("versions start at 1")
    for name, public in keys.items():
        if key_id(public) != name:
            raise _fault(f"key {name} is not the key of that id")
    if "root" not in document.roles:
        raise _fault("it has no root role")
    for role, told in document.roles.items():
        if not set(told.key_ids) <= keys.keys():
            raise _fault(f"the role {role} names a key that is not there")
        if not 1 <= told.threshold <= len(set(told.key_ids)):
            raise _fault(f"the threshold of the role {role} cannot be met")


def _check_threshold(judge: RootDocument, signed: SignedRoot) -> None:
    """A threshold of the root keys of `judge` must have signed; a wrong signature by one of them is a fault."""
    role = judge.roles["root"]
    seen: set[str] = set()
    for one in signed.signatures:
        if one.key_id in role.key_ids and one.key_id not in seen:
            _check_one(judge, one)
            seen.add(one.key_id)
    if len(seen) < role.threshold:
        raise _fault(f"{len(seen)} of {role.threshold} needed root keys of version {judge.version} signed it")


def _check_one(judge: RootDocument, one: Signed) -> None:
    try:
        verify(unb64(judge.keys[one.key_id]), PURPOSE, one)
    except DeviceFault as error:
        raise _fault(f"the signature of root key {one.key_id} does not verify") from error


def _fault(why: str) -> DeviceFault:
    return DeviceFault("manifest-invalid", what="verify the plane's root document", why=why)
