"""Any tree, any proof, against pymerkle as an independent oracle; and every forgery of a proof is refused."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from podium.core.journal.proofs import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from podium.core.journal.tree import Tree, leaf_hash
from podium.wire.problems import OperatorFault

SIZE_MAX = 130  # past a power of two, so that every shape of the right edge occurs
ENTRIES = [b"entry %d" % number for number in range(SIZE_MAX)]
LEAVES = [leaf_hash(b"", each) for each in ENTRIES]
ORACLE = InmemoryTree(algorithm="sha256")
for _entry in ENTRIES:
    ORACLE.append_entry(_entry)
ROOTS = [hashlib.sha256(b"").digest()]
_tree = Tree()
for _leaf in LEAVES:
    _tree.append(_leaf)
    ROOTS.append(_tree.root())


def test_every_root_is_the_oracles() -> None:
    for size in range(1, SIZE_MAX + 1):
        assert ROOTS[size] == ORACLE.get_root(size)


def test_every_inclusion_proof_is_the_oracles_and_holds() -> None:
    checked = 0
    for size in [*range(1, 34), 63, 64, 65, 127, 128, 129, 130]:
        for place in range(size):
            proof = inclusion_proof(LEAVES[:size], place)
            path = [bytes.fromhex(text) for text in ORACLE.prove_inclusion(place + 1, size).serialize()["path"]]
            assert [LEAVES[place], *proof] == path
            verify_inclusion(LEAVES[place], place, size, proof, ROOTS[size])
            checked += 1
    assert checked > 1_000


def test_every_consistency_proof_holds() -> None:
    checked = 0
    for new in [*range(1, 34), 64, 65, 130]:
        for old in range(new + 1):
            verify_consistency(old, ROOTS[old], new, ROOTS[new], consistency_proof(LEAVES[:new], old))
            checked += 1
    assert checked > 700


reached: Counter[str] = Counter()


@settings(max_examples=300, derandomize=True)
@given(data=st.data())
def forge(data: st.DataObject) -> None:
    """Change one thing of a right proof: it must be refused."""
    size = data.draw(st.integers(2, SIZE_MAX), label="size")
    old = data.draw(st.integers(1, size - 1), label="place or old size")
    kind = data.draw(st.sampled_from(["inclusion", "consistency"]), label="kind")
    part = data.draw(st.sampled_from(["proof", "root", "old root", "place"]), label="part")
    flip = 1 << data.draw(st.integers(0, 7))
    proof = list(inclusion_proof(LEAVES[:size], old) if kind == "inclusion" else consistency_proof(LEAVES[:size], old))
    root, first = ROOTS[size], LEAVES[old] if kind == "inclusion" else ROOTS[old]
    place = old
    if part == "proof":
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at] = bytes([proof[at][0] ^ flip]) + proof[at][1:]
    elif part == "root":
        root = bytes([root[0] ^ flip]) + root[1:]
    elif part == "old root":
        first = bytes([first[0] ^ flip]) + first[1:]
    else:
        place = data.draw(st.integers(0, size).filter(lambda other: other != old and (kind == "inclusion" or other)))
    with pytest.raises(OperatorFault, match="does not verify"):
        if kind == "inclusion":
            verify_inclusion(first, place, size, proof, root)
        else:
            verify_consistency(place, first, size, root, proof)
    reached[f"{kind} {part}"] += 1


def test_every_forgery_is_refused() -> None:
    reached.clear()
    forge()
    assert len(reached) == 8
    assert min(reached.values()) >= 5, reached
