"""Sealed updates: a content key sealed to the round's upload key, and a body of framed AES-256-GCM.

Decides: the bytes of a sealed key and of sealed frames, and when they open. Never: which upload key is alive.

Key envelope: version byte || HPKE (RFC 9180, base mode, X25519 / HKDF-SHA256 / AES-256-GCM). HPKE draws its own
ephemeral key inside the cryptography library: this is the one draw of this package that no caller hands in.

Body: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizard, CRYPTO 2015) over AES-256-GCM. Frame plaintext is
1 MiB - 16, so that a sealed frame is one 1 MiB chunk of an upload. Nonce = 7-byte prefix || 4-byte counter || last
flag; associated data = version byte. The prefix is zero: a content key seals one body, so the counter alone makes
nonces unique, and a prefix derived from that same key would add nothing. Hence the one duty of a caller: draw a fresh
content key for every sealing, also when the same lease is sealed again.

Limits: 2^32 frames. AES-GCM does not commit to its key; the report's signed SHA-256 of the sealed bytes is what pins
an update. Whoever reads frames one by one may use nothing of them before the last has opened.
"""

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from podium.wire.problems import Bug, DeviceFault

KEY_BYTES = 32
TAG_BYTES = 16
FRAME_BYTES = 1024 * 1024
"""Length of a sealed frame that is not the last; `Limits.chunk_bytes`."""
PLAIN_BYTES = FRAME_BYTES - TAG_BYTES
"""Plaintext of a frame that is not the last."""
FRAMES_MAX = 2**32

_VERSION = b"\x01"
_PREFIX = bytes(7)
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def upload_keypair(seed: bytes) -> tuple[bytes, bytes]:
    """(private, public), each 32 raw bytes, of 32 secret random bytes: X25519 clamps any of them (RFC 7748)."""
    return seed, X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def update_info(lease: str, base: str) -> bytes:
    """What binds a content key to its lease and base version (digest)."""
    return b"\x00".join((b"podium/v1/update-key", lease.encode(), base.encode()))


def session_info(session: str) -> bytes:
    """What binds a sealed session key to its session id."""
    return b"\x00".join((b"podium/v1/session-key", session.encode()))


def seal_key(public: bytes, content_key: bytes, info: bytes) -> bytes:
    """The 32-byte `content_key` sealed to the 32-byte X25519 `public`, bound to `info`: 81 bytes.

    `DeviceFault(body-malformed)` when `public` is no key (wrong length, or of small order: RFC 7748 section 6.1).
    """
    try:
        return _VERSION + _SUITE.encrypt(content_key, X25519PublicKey.from_public_bytes(public), info)
    except ValueError as error:
        raise DeviceFault("body-malformed", what="seal to an X25519 public key", why=str(error)) from error


def open_key(private: bytes, sealed: bytes, info: bytes) -> bytes:
    """The 32-byte key in `sealed`; `DeviceFault(unseal-failed)` for another key, another `info` or other bytes."""
    what = "open a sealed key"
    if sealed[:1] != _VERSION:
        raise DeviceFault("unseal-failed", what=what, why="its version is not spoken here")
    try:
        content_key = _SUITE.decrypt(sealed[1:], X25519PrivateKey.from_private_bytes(private), info)
    except InvalidTag as error:
        raise DeviceFault(
            "unseal-failed", what=what, why="sealed to another key, or bound to something else"
        ) from error
    if len(content_key) != KEY_BYTES:
        raise DeviceFault("unseal-failed", what=what, why=f"it holds {len(content_key)} bytes instead of 32")
    return content_key


def sealed_length(plain_length: int) -> int:
    """Bytes of the sealed body of `plain_length` bytes of plaintext; an empty body is one frame too."""
    frames = max(1, -(-plain_length // PLAIN_BYTES))
    return plain_length + frames * TAG_BYTES


def seal_frames(content_key: bytes, plaintext: memoryview | bytes) -> Iterator[bytes]:
    """The sealed frames of `plaintext`: all but the last of `FRAME_BYTES`, the last of 16 bytes or more.

    `content_key`: 32 bytes that sealed nothing before. `Bug` beyond 2^32 frames.
    """
    view = memoryview(plaintext).cast("B")
    count = max(1, -(-len(view) // PLAIN_BYTES))
    if count > FRAMES_MAX:
        raise Bug(f"a body of {len(view)} bytes needs more than 2^32 frames")
    cipher = AESGCM(content_key)
    for index in range(count):
        piece = view[index * PLAIN_BYTES : (index + 1) * PLAIN_BYTES]
        yield cipher.encrypt(_nonce(index, index == count - 1), piece, _VERSION)


def open_frames(content_key: bytes, frames: Iterable[bytes]) -> Iterator[bytes]:
    """The plaintext of `frames`, piece by piece; to be used only once the iterator has ended without a fault.

    `DeviceFault(unseal-failed)` when a frame was changed, dropped, moved, repeated, added, split or joined.
    """
    cipher = AESGCM(content_key)
    source = iter(frames)
    frame = next(source, None)
    if frame is None:
        raise DeviceFault("unseal-failed", what="open a sealed body", why="it has no frame")
    index = 0
    while frame is not None:
        following = next(source, None)
        yield _open_frame(cipher, index, frame, last=following is None)
        frame = following
        index += 1


def _open_frame(cipher: AESGCM, index: int, frame: bytes, *, last: bool) -> bytes:
    what = f"open frame {index} of a sealed body"
    # One body has one cutting into frames: full ones, then a last one that is empty only if it is alone.
    least = (TAG_BYTES if index == 0 else TAG_BYTES + 1) if last else FRAME_BYTES
    if not least <= len(frame) <= FRAME_BYTES or index >= FRAMES_MAX:
        raise DeviceFault("unseal-failed", what=what, why=f"a frame of {len(frame)} bytes cannot stand there")
    try:
        return cipher.decrypt(_nonce(index, last), frame, _VERSION)
    except InvalidTag as error:
        raise DeviceFault("unseal-failed", what=what, why="changed, moved, or sealed with another key") from error


def _nonce(index: int, last: bool) -> bytes:
    return _PREFIX + index.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
