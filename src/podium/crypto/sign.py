"""Ed25519 signatures with a purpose: over `podium/v1/<purpose>` || 0x00 || bytes, so no signature serves two ends.

Decides: how a signature is made and when it holds (RFC 8032, by libsodium, which also refuses small-order keys and
non-canonical scalars). Never: whose key counts, nor for which purpose. Limits: keys are 32-byte seeds handed in by the
caller; nothing here draws or keeps one.
"""

import hashlib
from typing import TypeVar

from nacl import bindings
from nacl.exceptions import BadSignatureError

from podium.wire.canonical import b64, decode_canonical, unb64
from podium.wire.messages import Signed
from podium.wire.problems import DeviceFault

T = TypeVar("T")

KEY_BYTES = bindings.crypto_sign_PUBLICKEYBYTES
SIGNATURE_BYTES = bindings.crypto_sign_BYTES


def public_key(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte `seed` (RFC 8032 section 5.1.5)."""
    return bindings.crypto_sign_seed_keypair(seed)[0]


def check_public_key(public: bytes) -> None:
    """Return if some private key can have this public one: a point of the prime-order group (RFC 8032 section 5.1.3).

    `ValueError` for another length, for what is no point, and for one of small or mixed order. It does not say that
    anybody holds the private key.
    """
    if len(public) != KEY_BYTES:
        raise ValueError(f"it has {len(public)} bytes, one of Ed25519 has {KEY_BYTES}")
    if not bindings.crypto_core_ed25519_is_valid_point(public):
        raise ValueError("it is no point that a private key of Ed25519 leads to")


def key_id(public: bytes) -> str:
    """The short name of a public key: the first 16 hex characters of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def sign(seed: bytes, purpose: str, payload: bytes) -> Signed:
    """`payload` signed for `purpose` by the key of the 32-byte `seed`; deterministic (RFC 8032 section 5.1.6)."""
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    signature = bindings.crypto_sign(_labelled(purpose, payload), secret)[:SIGNATURE_BYTES]
    return Signed(payload=b64(payload), key_id=key_id(public), signature=b64(signature))


def verify(public: bytes, purpose: str, signed: Signed) -> bytes:
    """The payload of `signed` once its signature for `purpose` by the 32-byte `public` key holds.

    `DeviceFault(signature-invalid)` on any other key, key id, purpose, payload or signature, and on broken base64url.
    """
    what = f"verify the {purpose} signature"
    if signed.key_id != key_id(public):
        raise DeviceFault("signature-invalid", what=what, why="it names another key")
    try:
        payload, signature = unb64(signed.payload), unb64(signed.signature)
    except DeviceFault as error:
        raise DeviceFault("signature-invalid", what=what, why=error.why) from error
    check_signature(public, signature, _labelled(purpose, payload), what=what)
    return payload


def open_signed(public: bytes, purpose: str, signed: Signed, kind: type[T]) -> T:
    """The `kind` that `signed` holds: verified first, decoded after, and canonical.

    `DeviceFault(signature-invalid | body-malformed | body-not-canonical)`.
    """
    return decode_canonical(verify(public, purpose, signed), kind)


def check_signature(public: bytes, signature: bytes, message: bytes, *, what: str) -> None:
    """Return when the 64-byte `signature` over `message` by `public` holds; else `DeviceFault(signature-invalid)`.

    For envelopes that frame their own bytes (DSSE); everything else goes through `verify`. `what` is told on a fault.
    """
    # libsodium reads 32 and 64 bytes whatever it is given, so both lengths are settled before it is called.
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise DeviceFault("signature-invalid", what=what, why="a key is 32 bytes and a signature 64")
    try:
        bindings.crypto_sign_open(signature + message, public)
    except BadSignatureError as error:
        raise DeviceFault("signature-invalid", what=what, why="another key or other bytes were signed") from error


def _labelled(purpose: str, payload: bytes) -> bytes:
    return b"podium/v1/" + purpose.encode("ascii") + b"\x00" + payload
