"""The MAC of a request: what ties each request after the session's start to the session's key.

Decides: which bytes are authenticated, and when a MAC holds. Never: whether a counter is new (the gateway keeps the
high-water marks). Limits: the body enters as its SHA-256, the answer is not authenticated (signed manifests are).
"""

import hmac
import struct

from podium.wire.canonical import b64
from podium.wire.problems import DeviceFault

SESSION_HEADER = "Podium-Session"
"""The opaque session id (`crypto/session.py`)."""
COUNTER_HEADER = "Podium-Counter"
"""Decimal integer; only grows within an epoch."""
MAC_HEADER = "Podium-Mac"
"""base64url HMAC-SHA256 under the session key (`request_mac`)."""

_LABEL = b"podium/v1/request"


def request_mac(key: bytes, method: str, path: str, query: str, body_digest: bytes, counter: int) -> str:
    """The base64url HMAC-SHA256 (RFC 2104) of one request under the 32-byte session `key`.

    `path` and `query` as sent, without "?"; `body_digest`: the raw 32 bytes of the body's SHA-256 (of b"" without a
    body); `counter` within [0, 2^64). Each field is preceded by its length (4 bytes, big-endian), so no two different
    requests give the same bytes.
    """
    fields = (_LABEL, method.encode(), path.encode(), query.encode(), body_digest, counter.to_bytes(8, "big"))
    message = b"".join([part for field in fields for part in (struct.pack(">I", len(field)), field)])
    return b64(hmac.digest(key, message, "sha256"))


def check_mac(key: bytes, *request: *tuple[str, str, str, bytes, int], given: str) -> None:
    """Return when `given` is the MAC of `request` (method, path, query, body digest, counter, as in `request_mac`).

    Compared in constant time; `DeviceFault(mac-invalid)` otherwise, also for a counter that no 8 bytes hold and for
    text that no UTF-8 holds.
    """
    what = "check the request's MAC"
    if not 0 <= request[4] < 2**64:
        raise DeviceFault("mac-invalid", what=what, why="the counter is outside [0, 2^64)")
    try:
        held = hmac.compare_digest(request_mac(key, *request).encode(), given.encode())
    except UnicodeEncodeError as error:
        raise DeviceFault("mac-invalid", what=what, why="the request is no text") from error
    if not held:
        raise DeviceFault("mac-invalid", what=what, why="another key, or another request was authenticated")
