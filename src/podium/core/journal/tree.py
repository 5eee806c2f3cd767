"""The Merkle tree of the journal (RFC 6962 section 2.1), grown one leaf at a time.

Decides: leaf and node hashes, the root of any number of leaves, which subtree roots must be remembered. Never: which
records exist or in which order (the sequencer). SHA-256 only. An append costs at most log2(size) hashes, and about one
on average; a tree remembers at most log2(size) + 1 hashes, however many leaves it has.
"""

import hashlib
from collections.abc import Iterable

HASH_BYTES = 32
SALT_BYTES = 16
"""The random salt before each record in its leaf: without it nobody can guess an erased record from its hash."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(salt: bytes, record: bytes) -> bytes:
    """SHA-256(0x00 || salt || record): RFC 6962 section 2.1's leaf hash of the entry `salt || record`.

    The salt (16 random bytes) hides the record from who only has the leaf, so that erasing both forgets them.
    """
    return hashlib.sha256(b"\x00" + salt + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): RFC 6962 section 2.1's hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree that keeps only its frontier: the roots of the full subtrees from left to right.

    The subtrees' sizes are the powers of two of `size` written in binary, largest first.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._frontier: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash (32 bytes); its 0-based place."""
        place = self.size
        full = leaf
        carry = place
        while carry & 1:  # two full subtrees of one size make a larger one
            full = node_hash(self._frontier.pop(), full)
            carry >>= 1
        self._frontier.append(full)
        self.size = place + 1
        return place

    def root(self) -> bytes:
        """The root over all leaves so far (32 bytes)."""
        if not self._frontier:
            return EMPTY_ROOT
        root = self._frontier[-1]
        for full in reversed(self._frontier[:-1]):
            root = node_hash(full, root)
        return root
