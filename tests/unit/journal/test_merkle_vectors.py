"""The journal's tree and proofs against the published vectors of RFC 6962's reference implementation."""

from pathlib import Path

import msgspec
import pytest

from podium.core.journal.proofs import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from podium.core.journal.tree import EMPTY_ROOT, Tree, leaf_hash
from podium.wire.problems import OperatorFault


class Inclusion(msgspec.Struct):
    place: int
    size: int
    proof: list[str]


class Consistency(msgspec.Struct):
    old: int
    new: int
    proof: list[str]


class Vectors(msgspec.Struct):
    leaves: list[str]
    empty_root: str
    roots: list[str]
    inclusion: list[Inclusion]
    consistency: list[Consistency]


VECTORS = msgspec.json.decode(
    (Path(__file__).parents[2] / "vectors" / "merkle_rfc6962.json").read_bytes(), type=Vectors
)
LEAVES = [leaf_hash(b"", bytes.fromhex(text)) for text in VECTORS.leaves]
ROOTS = [bytes.fromhex(text) for text in VECTORS.roots]


def test_roots() -> None:
    tree = Tree()
    assert tree.root() == EMPTY_ROOT == bytes.fromhex(VECTORS.empty_root)
    for place, (leaf, root) in enumerate(zip(LEAVES, ROOTS, strict=True)):
        assert tree.append(leaf) == place
        assert tree.root() == root
        assert Tree(LEAVES[: place + 1]).root() == root


@pytest.mark.parametrize("vector", VECTORS.inclusion)
def test_inclusion(vector: Inclusion) -> None:
    proof = [bytes.fromhex(text) for text in vector.proof]
    assert list(inclusion_proof(LEAVES[: vector.size], vector.place)) == proof
    verify_inclusion(LEAVES[vector.place], vector.place, vector.size, proof, ROOTS[vector.size - 1])


@pytest.mark.parametrize("vector", VECTORS.consistency)
def test_consistency(vector: Consistency) -> None:
    proof = [bytes.fromhex(text) for text in vector.proof]
    assert list(consistency_proof(LEAVES[: vector.new], vector.old)) == proof
    verify_consistency(vector.old, ROOTS[vector.old - 1], vector.new, ROOTS[vector.new - 1], proof)


def test_a_leaf_hides_its_record_behind_the_salt() -> None:
    assert leaf_hash(b"ab", b"c") == leaf_hash(b"", b"abc") != leaf_hash(b"xy", b"c")


def test_empty_trees() -> None:
    verify_consistency(0, EMPTY_ROOT, 8, ROOTS[7], consistency_proof(LEAVES, 0))
    for old_root, proof, why in [(ROOTS[0], [], "roots differ"), (EMPTY_ROOT, [ROOTS[0]], "too long")]:
        with pytest.raises(OperatorFault, match=why):
            verify_consistency(0, old_root, 8, ROOTS[7], proof)
    with pytest.raises(OperatorFault, match="roots differ"):
        verify_consistency(8, ROOTS[6], 8, ROOTS[7], [])


def test_what_is_not_there_cannot_be_proven() -> None:
    with pytest.raises(ValueError, match="no place 8"):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="does not extend"):
        consistency_proof(LEAVES, 9)
    with pytest.raises(OperatorFault, match="no such place") as caught:
        verify_inclusion(LEAVES[0], 8, 8, [], ROOTS[7])
    assert caught.value.code == "journal-broken"
    with pytest.raises(OperatorFault, match="smaller"):
        verify_consistency(8, ROOTS[7], 7, ROOTS[6], [])


@pytest.mark.parametrize("change", [-1, 1])
def test_a_proof_of_another_length_is_refused(change: int) -> None:
    def other(proof: tuple[bytes, ...]) -> list[bytes]:
        return list(proof[:change]) if change < 0 else [*proof, bytes(32)]

    for place in range(8):
        with pytest.raises(OperatorFault, match=r"too short|too long"):
            verify_inclusion(LEAVES[place], place, 8, other(inclusion_proof(LEAVES, place)), ROOTS[7])
    for old in range(1, 8):
        with pytest.raises(OperatorFault, match=r"too short|too long"):
            verify_consistency(old, ROOTS[old - 1], 8, ROOTS[7], other(consistency_proof(LEAVES, old)))
