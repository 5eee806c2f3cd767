"""Inclusion and consistency proofs of the journal (RFC 6962 sections 2.1.1 and 2.1.2), made and checked.

Decides: whether a leaf is in a tree, and whether a tree only grew. Never: who signed the heads. Making a proof reads
all leaves once; checking one takes log2(size) hashes (the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2).
Checks raise `OperatorFault(journal-broken)` naming what does not fit; they never return a bool.
"""

from collections.abc import Sequence

from podium.core.journal.tree import EMPTY_ROOT, Tree, node_hash
from podium.wire.problems import OperatorFault


def inclusion_proof(leaves: Sequence[bytes], place: int) -> tuple[bytes, ...]:
    """The audit path of the leaf at `place` in the tree over `leaves`, lowest first; `ValueError` if there is none."""
    if not 0 <= place < len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves has no place {place}")
    path: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if place < middle:
            path.append(_root(leaves, middle, end))
            end = middle
        else:
            path.append(_root(leaves, start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Proof that the tree over `leaves` extends the one over the first `old_size`; `ValueError` if it is smaller."""
    if not 0 <= old_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves does not extend one of {old_size}")
    path: list[bytes] = []
    start, end = 0, len(leaves)
    whole = True  # the old tree is the subtree at hand, whose root the reader knows
    if old_size == 0:
        return ()
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_root(leaves, middle, end))
            end = middle
        else:
            path.append(_root(leaves, start, middle))
            start = middle
            whole = False
    if not whole:
        path.append(_root(leaves, start, end))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, place: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise unless `proof` shows `leaf` at `place` of the tree of `size` leaves with `root` (RFC 9162, 2.1.3.2)."""
    what = f"the leaf at place {place} of a tree of {size}"
    if not 0 <= place < size:
        raise _broken(what, "the tree has no such place")
    at, last, result = place, size - 1, leaf
    for step in proof:
        if last == 0:
            raise _broken(what, "its proof is too long")
        if at & 1 or at == last:
            result = node_hash(step, result)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            result = node_hash(result, step)
        at, last = at >> 1, last >> 1
    if last:
        raise _broken(what, "its proof is too short")
    if result != root:
        raise _broken(what, f"its proof leads to root {result.hex()}, the head says {root.hex()}")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise unless `proof` shows that the tree (new) only appended to the tree (old) (RFC 9162, 2.1.4.2)."""
    what = f"the tree of {new_size} leaves as an extension of {old_size}"
    if not 0 <= old_size <= new_size:
        raise _broken(what, "it is smaller")
    if old_size in (0, new_size):
        _verify_trivial(what, (old_size, old_root), new_root, proof)
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise _broken(what, "its proof is too short")
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            raise _broken(what, "its proof is too long")
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    if last:
        raise _broken(what, "its proof is too short")
    if old != old_root:
        raise _broken(what, "its proof does not lead to the older root")
    if new != new_root:
        raise _broken(what, "its proof does not lead to the newer root")


def _verify_trivial(what: str, old: tuple[int, bytes], new_root: bytes, proof: Sequence[bytes]) -> None:
    """An empty old tree, or twice the same: the proof must be empty and the roots fit."""
    old_size, old_root = old
    if proof:
        raise _broken(what, "its proof is too long")
    if old_root != (EMPTY_ROOT if old_size == 0 else new_root):
        raise _broken(what, "the roots differ")


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (RFC 6962 section 2.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _root(leaves: Sequence[bytes], start: int, end: int) -> bytes:
    return Tree(leaves[at] for at in range(start, end)).root()


def _broken(what: str, why: str) -> OperatorFault:
    return OperatorFault("journal-broken", what=f"{what} does not verify", why=why)
