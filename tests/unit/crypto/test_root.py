"""The trust root: thresholds, rotation by old keys and new, and what a device must not follow."""

import msgspec
import pytest

from podium.crypto.root import KEYS_MAX, active_key, active_keys, make_root, open_root, role_key, with_key
from podium.crypto.sign import key_id, public_key, sign
from podium.wire.canonical import b64, canonical
from podium.wire.messages import RootDocument, RootRole, SignedRoot
from podium.wire.problems import DeviceFault

SEEDS = {letter: letter.encode() * 32 for letter in "abcdefo"}
IDS = {letter: key_id(public_key(seed)) for letter, seed in SEEDS.items()}


def document(version: int, letters: str, threshold: int, *, plane: str = "plane-1") -> RootDocument:
    """A root whose root role is the keys named by `letters`, and whose online key is "o"."""
    return RootDocument(
        version=version,
        plane_id=plane,
        keys={IDS[letter]: b64(public_key(SEEDS[letter])) for letter in letters + "o"},
        roles={
            "root": RootRole(threshold=threshold, key_ids=tuple(IDS[letter] for letter in letters)),
            "online": RootRole(threshold=1, key_ids=(IDS["o"],)),
        },
    )


def signed(told: RootDocument, letters: str) -> SignedRoot:
    """`told` signed by the keys named, whether that is enough or not."""
    return SignedRoot(signatures=tuple(sign(SEEDS[letter], "root", canonical(told)) for letter in letters))


def refused(given: SignedRoot, trusted: RootDocument | None, why: str) -> None:
    with pytest.raises(DeviceFault, match=why) as caught:
        open_root(given, trusted)
    assert caught.value.code == "manifest-invalid"


def test_one_of_one_is_made_and_opened() -> None:
    told = document(1, "a", 1)
    assert open_root(make_root(told, [SEEDS["a"]]), None) == told


@pytest.mark.parametrize("letters", ["ab", "bc", "ca", "abc"])
def test_a_threshold_of_the_keys_is_enough(letters: str) -> None:
    told = document(1, "abc", 2)
    assert open_root(make_root(told, [SEEDS[letter] for letter in letters]), None) == told


@pytest.mark.parametrize("letters", ["a", "aa", "aaa", "ad", "ao", "de"])
def test_below_the_threshold_nothing_holds(letters: str) -> None:
    refused(signed(document(1, "abc", 2), letters), None, "of 2 needed root keys")
    with pytest.raises(DeviceFault):
        make_root(document(1, "abc", 2), [SEEDS[letter] for letter in letters])


def test_no_signature_at_all_is_refused() -> None:
    refused(SignedRoot(signatures=()), None, "not over one document")


def test_signatures_over_two_documents_are_refused() -> None:
    first, second = signed(document(1, "ab", 2), "a"), signed(document(2, "ab", 2), "b")
    refused(SignedRoot(signatures=first.signatures + second.signatures), None, "not over one document")


def test_a_wrong_signature_of_a_root_key_is_refused_even_beside_enough_good_ones() -> None:
    told = document(1, "abc", 2)
    good = signed(told, "ab").signatures
    forged = msgspec.structs.replace(signed(told, "d").signatures[0], key_id=IDS["c"])
    refused(SignedRoot(signatures=(*good, forged)), None, "does not verify")
    other_purpose = sign(SEEDS["c"], "round-manifest", canonical(told))
    refused(SignedRoot(signatures=(*good, other_purpose)), None, "does not verify")


def test_rotation_needs_old_keys_and_new() -> None:
    old, new = document(1, "abc", 2), document(2, "de", 2)
    assert open_root(signed(new, "abde"), old) == new
    refused(signed(new, "de"), old, "0 of 2 needed root keys of version 1")
    refused(signed(new, "ade"), old, "1 of 2 needed root keys of version 1")
    refused(signed(new, "abd"), old, "1 of 2 needed root keys of version 2")
    assert open_root(signed(new, "de"), None) == new, "at enrolment there is no older root to ask"


def test_keys_kept_over_a_rotation_sign_once_for_both() -> None:
    assert open_root(signed(document(2, "bcd", 2), "bc"), document(1, "abc", 2)) == document(2, "bcd", 2)


def test_a_version_may_be_skipped_while_the_trusted_keys_sign() -> None:
    assert open_root(signed(document(7, "d", 1), "ad"), document(1, "a", 1)).version == 7


def test_an_older_or_other_root_is_not_followed() -> None:
    trusted = document(3, "a", 1)
    refused(signed(document(2, "a", 1), "a"), trusted, "older than the trusted version 3")
    refused(signed(document(3, "ab", 1), "ab"), trusted, "another version 3")
    refused(signed(document(4, "a", 1, plane="plane-2"), "a"), trusted, "another plane")
    assert open_root(signed(trusted, "a"), trusted) == trusted


def test_a_document_that_contradicts_itself_is_refused() -> None:
    good = document(1, "ab", 2)
    role = good.roles["root"]
    odd = [
        (msgspec.structs.replace(good, version=0), "versions start at 1"),
        (msgspec.structs.replace(good, roles={}), "no root role"),
        (msgspec.structs.replace(good, keys={**good.keys, IDS["c"]: b64(public_key(SEEDS["d"]))}), "not the key"),
        (msgspec.structs.replace(good, keys={}), "names a key that is not there"),
        (msgspec.structs.replace(good, keys={**good.keys, "x": "="}), "base64url"),
    ]
    for threshold in (0, -1, 3):
        worse = msgspec.structs.replace(role, threshold=threshold)
        odd.append((msgspec.structs.replace(good, roles={"root": worse}), "cannot be met"))
    doubled = RootRole(threshold=2, key_ids=(IDS["a"], IDS["a"]))
    odd.append((msgspec.structs.replace(good, roles={"root": doubled}), "cannot be met"))
    for told, why in odd:
        refused(signed(told, "ab"), None, why)


def test_bytes_that_are_no_root_are_refused() -> None:
    for payload in (b"", b"{}", b'{"a":1}', canonical(document(1, "a", 1)) + b" "):
        refused(SignedRoot(signatures=(sign(SEEDS["a"], "root", payload),)), None, "manifest-invalid")
    broken = msgspec.structs.replace(signed(document(1, "a", 1), "a").signatures[0], payload="=")
    refused(SignedRoot(signatures=(broken,)), None, "base64url")


def test_a_role_gives_its_key_only_where_one_signature_is_enough() -> None:
    told = document(1, "ab", 2)
    assert role_key(told, "online", IDS["o"]) == public_key(SEEDS["o"])
    for role, name, why in (
        ("online", IDS["a"], "may not sign"),
        ("release", IDS["o"], "may not sign"),
        ("root", IDS["a"], "needs 2 signatures"),
    ):
        with pytest.raises(DeviceFault, match=why) as caught:
            role_key(told, role, name)
        assert caught.value.code == "manifest-invalid"


def test_a_new_key_of_a_role_retires_the_one_before() -> None:
    first = document(1, "a", 1)
    second = with_key(first, "online", public_key(SEEDS["b"]))
    assert (second.version, active_keys(second, "online")) == (2, (IDS["b"],))
    assert second.roles["retired"].key_ids == (IDS["o"],)
    for letter in "bo":
        assert role_key(second, "online", IDS[letter]) == public_key(SEEDS[letter])
    assert active_key(second, "online", IDS["b"]) == public_key(SEEDS["b"])
    with pytest.raises(DeviceFault, match="is retired"):
        active_key(second, "online", IDS["o"])
    assert open_root(make_root(second, [SEEDS["a"]]), first) == second


def test_a_role_that_was_not_there_begins_with_its_first_key() -> None:
    told = with_key(document(1, "a", 1), "release", public_key(SEEDS["c"]))
    assert active_keys(told, "release") == (IDS["c"],) and "retired" not in told.roles
    assert active_keys(told, "unheard") == ()


def test_known_keys_the_root_role_and_too_many_keys_are_refused() -> None:
    told = document(1, "a", 1)
    for role, letter in (("online", "o"), ("online", "a"), ("root", "b"), ("retired", "b")):
        with pytest.raises(DeviceFault, match=r"named already|not rotated so"):
            with_key(told, role, public_key(SEEDS[letter]))
    for number in range(KEYS_MAX - len(told.keys)):
        told = with_key(told, "online", number.to_bytes(32, "big"))
    with pytest.raises(DeviceFault, match=f"names {KEYS_MAX} keys already"):
        with_key(told, "online", public_key(SEEDS["b"]))
