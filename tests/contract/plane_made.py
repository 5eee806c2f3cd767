"""A small plane's keys and writer for the tests of writer and audit: real signatures, real trees."""

import msgspec

from podium.crypto.root import make_root
from podium.crypto.sign import key_id, public_key, sign
from podium.ports.plane import SignedHead
from podium.server.journal.heads import PURPOSE, from_signed
from podium.wire.canonical import b64
from podium.wire.messages import RootDocument, RootRole, SignedRoot

SEED = bytes(range(32))
OTHER = bytes(range(1, 33))


def root(seed: bytes = SEED, plane_id: str = "plane-1") -> SignedRoot:
    """A root document whose one key is root and online key."""
    public = public_key(seed)
    role = RootRole(threshold=1, key_ids=(key_id(public),))
    document = RootDocument(
        version=1, plane_id=plane_id, keys={key_id(public): b64(public)}, roles={"root": role, "online": role}
    )
    return make_root(document, [seed])


def sign_head(payload: bytes, seed: bytes = SEED) -> SignedHead:
    """A head signed by the online key."""
    return from_signed(sign(seed, PURPOSE, payload))


def root_text() -> str:
    """The root document as the shell keeps it in the store."""
    return msgspec.json.encode(root()).decode()


class StillClock:
    """A clock that a test moves."""

    def __init__(self, at_ms: int = 1_000) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        """The set time."""
        return self.at_ms


class CountingEntropy:
    """Bytes that differ from call to call and are the same in every run."""

    def __init__(self) -> None:
        self.calls = 0

    def token(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.calls += 1
        return self.calls.to_bytes(count, "big")
