"""Bytes sealed under a passphrase: scrypt makes the key (RFC 7914), AES-256-GCM seals (NIST SP 800-38D).

Decides: the envelope, and when it opens. Never: draws salt or nonce (handed in), nor keeps a passphrase. The header is
authenticated with the body, so a weaker cost cannot be written in. Limits: a passphrase has `CHARS_MIN` characters or
more; costs above `COST_MAX` are refused before anything is derived, so that a foreign file cannot take the memory.
"""

import hashlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from podium.wire.canonical import b64, canonical, unb64
from podium.wire.problems import DeviceFault, OperatorFault

CHARS_MIN = 12
SALT_BYTES, NONCE_BYTES = 16, 12
COST, COST_MAX = 2**16, 2**18
_BLOCK, _PARALLEL = 8, 1


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the key is made: `purpose` says what is sealed, `cost` is scrypt's N; salt and nonce are base64url."""

    purpose: str
    cost: int
    salt: str
    nonce: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    header: Header
    body: str


def seal_with(passphrase: str, purpose: str, payload: bytes, randomness: bytes) -> bytes:
    """JSON that holds `payload` sealed under `passphrase`; `randomness`: 28 fresh random bytes.

    `OperatorFault(usage)` for a passphrase that is too short.
    """
    salt, nonce = randomness[:SALT_BYTES], randomness[SALT_BYTES:]
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"{SALT_BYTES + NONCE_BYTES} random bytes are needed")
    header = Header(purpose=purpose, cost=COST, salt=b64(salt), nonce=b64(nonce))
    body = AESGCM(_key(passphrase, header)).encrypt(nonce, payload, canonical(header))
    return msgspec.json.encode(_Envelope(header=header, body=b64(body)))


def open_with(passphrase: str, purpose: str, envelope: bytes) -> bytes:
    """The payload of `envelope`; `OperatorFault(signature-invalid)` on another passphrase, purpose or changed byte.

    `OperatorFault(file-unreadable)` when it is no such envelope, or asks for more than `COST_MAX`.
    """
    what = f"open the {purpose} under a passphrase"
    try:
        read = msgspec.json.decode(envelope, type=_Envelope)
        body, nonce = unb64(read.body), unb64(read.header.nonce)
        unb64(read.header.salt)
    except (ValueError, RecursionError, DeviceFault) as error:
        raise OperatorFault("file-unreadable", what=what, why=str(error)) from error
    cost = read.header.cost
    if not 2 <= cost <= COST_MAX or cost & (cost - 1) or len(nonce) != NONCE_BYTES:
        raise OperatorFault("file-unreadable", what=what, why=f"its cost {cost} or its nonce cannot be")
    if read.header.purpose != purpose:
        raise OperatorFault("signature-invalid", what=what, why=f"it holds {read.header.purpose!r}")
    try:
        return AESGCM(_key(passphrase, read.header)).decrypt(nonce, body, canonical(read.header))
    except InvalidTag as error:
        why = "another passphrase sealed it, or a byte of it was changed"
        raise OperatorFault(
            "signature-invalid", what=what, why=why, next="pass the passphrase it was made with"
        ) from error


def _key(passphrase: str, header: Header) -> bytes:
    if len(passphrase) < CHARS_MIN:
        raise OperatorFault("usage", what="the passphrase is too short", why=f"it has {CHARS_MIN} characters or more")
    return hashlib.scrypt(
        passphrase.encode(),
        salt=unb64(header.salt),
        n=header.cost,
        r=_BLOCK,
        p=_PARALLEL,
        maxmem=2 * 128 * _BLOCK * header.cost,
        dklen=32,
    )
