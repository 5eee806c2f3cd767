"""DSSE envelopes (Dead Simple Signing Envelope v1) for statements that others read: provenance of model versions.

Decides: the envelope's bytes, and when it opens: the payload type is fixed by the reader, and the pre-authentication
encoding (PAE) is verified before the payload is parsed. Never: what a statement says. Limits: one signature is made; of
several, the first that names the reader's key must hold; base64 is the standard one.
Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

import msgspec
from nacl import bindings

from podium.crypto.sign import SIGNATURE_BYTES, check_signature, key_id
from podium.wire.problems import DeviceFault


class _Signature(msgspec.Struct, frozen=True, kw_only=True):
    sig: bytes  # msgspec reads and writes bytes as standard base64, as the envelope does
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: tuple[_Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: "DSSEv1", then each field with its length in bytes as a decimal."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal_statement(seed: bytes, payload_type: str, payload: bytes) -> bytes:
    """The JSON envelope of `payload`, signed by the Ed25519 key of the 32-byte `seed`."""
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    signature = bindings.crypto_sign(pae(payload_type, payload), secret)[:SIGNATURE_BYTES]
    one = _Signature(sig=signature, keyid=key_id(public))
    return msgspec.json.encode(_Envelope(payload=payload, payload_type=payload_type, signatures=(one,)))


def open_statement(public: bytes, payload_type: str, envelope: bytes) -> bytes:
    """The payload of `envelope` once the 32-byte `public` key's signature over it as `payload_type` holds.

    `DeviceFault(body-malformed)` when it is no envelope, `DeviceFault(signature-invalid)` on another payload type, key,
    payload or signature. Fields that DSSE does not name are ignored, as it asks.
    """
    what = f"open a statement of type {payload_type}"
    try:
        read = msgspec.json.decode(envelope, type=_Envelope)
    except (ValueError, RecursionError) as error:
        raise DeviceFault("body-malformed", what=what, why=str(error)) from error
    if read.payload_type != payload_type:
        raise DeviceFault("signature-invalid", what=what, why=f"it is of type {read.payload_type!r}")
    name = key_id(public)
    signature = next((one.sig for one in read.signatures if one.keyid == name), b"")
    check_signature(public, signature, pae(payload_type, read.payload), what=what)
    return read.payload
