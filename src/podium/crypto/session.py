"""Sessions without a table: the id carries the claims, the key is derived from them, and only the plane can derive it.

Decides: the forms of challenges and session ids, and how keys hang from the hourly master. Never: what the time is, or
whether an epoch is the newest (the gateway compares). A forged id yields claims, but with a key that its forger does
not have, so its first MAC fails; nothing may be believed of claims before that. Limits: the master of an hour opens
every session of that hour, so it is kept wrapped and dropped after `session_master_ms` twice over.
All derivation is HKDF-SHA256 (RFC 5869) without salt: its input is a uniform 32-byte key. Each label is used once.
"""

import hmac
import struct

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from podium.wire.canonical import INTEGER_MAX, b64, unb64
from podium.wire.problems import DeviceFault

_VERSION = 1
_TAG_BYTES = 32
_DEVICE_ID_CHARS_MAX = 128
_CHALLENGE = struct.Struct(">BQ")  # version, expiry; then the nonce and the tag
_CLAIMS = struct.Struct(">BQQQQ")  # version, device, epoch, expiry, hour; then the device id


class SessionClaims(msgspec.Struct, frozen=True):
    """What a session id says. `device`: the plane's number of the device; `expires_ms`: plane time; `hour`: which
    master its key hangs from. All integers within [0, 2^53)."""

    device_id: str
    device: int
    epoch: int
    expires_ms: int
    hour: int


def hourly_master(root: bytes, hour: int) -> bytes:
    """The 32-byte master key of `hour` (hours since the epoch), derived from the plane's 32-byte session root."""
    return _derive(root, b"podium/v1/session-master\x00" + struct.pack(">Q", hour))


def make_challenge(master: bytes, nonce: bytes, expires_ms: int) -> str:
    """An opaque challenge that says when it ends (plane time, ms); `nonce`: 16 fresh random bytes."""
    body = _CHALLENGE.pack(_VERSION, expires_ms) + nonce
    return b64(body + _challenge_tag(master, body))


def challenge_expires_ms(challenge: str) -> int:
    """The expiry that `challenge` claims, unchecked: for finding the master it must be checked with.

    `DeviceFault(challenge-expired)` on what is no challenge.
    """
    return int(_CHALLENGE.unpack_from(_challenge_bytes(challenge))[1])


def check_challenge(master: bytes, challenge: str, now_ms: int) -> None:
    """Return when `challenge` was made with `master` and `now_ms` is before its end.

    `DeviceFault(challenge-expired)` otherwise. It binds no device: the signed session statement does.
    """
    what = "check the challenge"
    data = _challenge_bytes(challenge)
    body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
    if not hmac.compare_digest(_challenge_tag(master, body), tag):
        raise DeviceFault("challenge-expired", what=what, why="this plane did not make it, or its hour is over")
    if now_ms >= _CHALLENGE.unpack_from(body)[1]:
        raise DeviceFault("challenge-expired", what=what, why="its time is over")


def make_session(device_id: str, device: int, epoch: int, expires_ms: int, hour: int) -> str:
    """The opaque id of a session; fields as in `SessionClaims`.

    `DeviceFault(body-malformed)` when a field is out of range (the epoch comes from the device).
    """
    claims = SessionClaims(device_id, device, epoch, expires_ms, hour)
    fault = _out_of_range(claims)
    if fault:
        raise DeviceFault("body-malformed", what="open a session", why=fault)
    return b64(_packed(claims))


def read_session(text: str) -> SessionClaims:
    """The claims of a session id, unproven until a MAC under their key holds. `DeviceFault(session-unknown)`."""
    what = "read the session id"
    try:
        data = unb64(text)
        version, device, epoch, expires_ms, hour = _CLAIMS.unpack_from(data)
        claims = SessionClaims(data[_CLAIMS.size :].decode("utf-8"), device, epoch, expires_ms, hour)
    except (DeviceFault, struct.error, UnicodeDecodeError) as error:
        raise DeviceFault("session-unknown", what=what, why="it is no session id") from error
    if version != _VERSION:
        raise DeviceFault("session-unknown", what=what, why=f"version {version} is not spoken here")
    fault = _out_of_range(claims)
    if fault:
        raise DeviceFault("session-unknown", what=what, why=fault)
    return claims


def session_key(master: bytes, claims: SessionClaims) -> bytes:
    """The 32-byte MAC key of a session, bound to every claim; `master`: that of `claims.hour`."""
    return _derive(master, b"podium/v1/session-secret\x00" + _packed(claims))


def _packed(claims: SessionClaims) -> bytes:
    head = _CLAIMS.pack(_VERSION, claims.device, claims.epoch, claims.expires_ms, claims.hour)
    return head + claims.device_id.encode("utf-8")


def _out_of_range(claims: SessionClaims) -> str:
    """What is wrong with `claims`, or nothing."""
    for value in (claims.device, claims.epoch, claims.expires_ms, claims.hour):
        if not 0 <= value <= INTEGER_MAX:
            return "a number is outside [0, 2^53)"
    if not 0 < len(claims.device_id) <= _DEVICE_ID_CHARS_MAX:
        return "a device id has 1 to 128 characters"
    return ""


def _challenge_bytes(challenge: str) -> bytes:
    try:
        data = unb64(challenge)
    except DeviceFault as error:
        raise DeviceFault("challenge-expired", what="read the challenge", why=error.why) from error
    if len(data) < _CHALLENGE.size + _TAG_BYTES or data[0] != _VERSION:
        raise DeviceFault("challenge-expired", what="read the challenge", why="it is no challenge")
    return data


def _challenge_tag(master: bytes, body: bytes) -> bytes:
    return hmac.digest(_derive(master, b"podium/v1/challenge\x00"), body, "sha256")


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, info).derive(key)
