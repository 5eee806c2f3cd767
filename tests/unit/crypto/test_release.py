"""Releases: only the root's release key, only this plane, only this payload type, only canonical terms."""

import msgspec
import pytest

from podium.crypto.dsse import seal_statement
from podium.crypto.release import RELEASE_TYPE, Release, open_release, seal_release
from podium.crypto.sign import key_id, public_key
from podium.wire.canonical import b64, canonical
from podium.wire.messages import RootDocument, RootRole
from podium.wire.problems import OperatorFault

ROOT, ONLINE, OFFLINE, STRANGER = (bytes([number]) * 32 for number in range(1, 5))
VERSION, TASK = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def name(seed: bytes) -> str:
    return key_id(public_key(seed))


def document(plane: str = "plane-1", release: tuple[bytes, ...] = (OFFLINE,)) -> RootDocument:
    """A root whose release role is the keys given; none leaves the role out."""
    roles = {"root": (ROOT,), "online": (ONLINE,)} | ({"release": release} if release else {})
    return RootDocument(
        version=2,
        plane_id=plane,
        keys={name(seed): b64(public_key(seed)) for seeds in roles.values() for seed in seeds},
        roles={
            role: RootRole(threshold=1, key_ids=tuple(name(seed) for seed in seeds)) for role, seeds in roles.items()
        },
    )


def refused(told: RootDocument, envelope: bytes, why: str) -> None:
    with pytest.raises(OperatorFault, match=why or None) as caught:
        open_release(told, envelope)
    assert caught.value.code == "release-invalid"


def test_what_the_release_key_signed_is_opened_with_its_key() -> None:
    envelope = seal_release(document(), OFFLINE, VERSION, TASK)
    assert open_release(document(), envelope) == Release(
        plane_id="plane-1", version=VERSION, task_digest=TASK, key_id=name(OFFLINE)
    )


def test_any_key_of_the_role_may_release() -> None:
    told = document(release=(STRANGER, OFFLINE))
    for seed in (STRANGER, OFFLINE):
        assert open_release(told, seal_release(told, seed, VERSION, "")).key_id == name(seed)


def test_neither_root_nor_online_key_may_release() -> None:
    for seed in (ROOT, ONLINE, STRANGER):
        with pytest.raises(OperatorFault, match="not the plane's release key") as caught:
            seal_release(document(), seed, VERSION, TASK)
        assert name(OFFLINE) in caught.value.why
        forged = seal_statement(seed, RELEASE_TYPE, canonical(terms()))
        refused(document(), forged, "another key or other bytes|a signature 64")


def terms(plane: str = "plane-1") -> dict[str, str]:
    return {"plane_id": plane, "version": VERSION, "task_digest": TASK}


def test_a_root_without_the_role_names_the_way_to_one() -> None:
    for act in (
        lambda: open_release(document(release=()), b""),
        lambda: seal_release(document(release=()), OFFLINE, VERSION, TASK),
    ):
        with pytest.raises(OperatorFault) as caught:
            act()
        assert (caught.value.code, caught.value.next) == ("release-invalid", "podium key rotate --role release")


def test_another_planes_release_is_refused() -> None:
    refused(document(), seal_release(document("plane-2"), OFFLINE, VERSION, TASK), "of plane plane-2")


def test_another_payload_type_is_refused() -> None:
    refused(document(), seal_statement(OFFLINE, "application/vnd.in-toto+json", canonical(terms())), "of type")


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"no json",
        msgspec.json.encode(terms() | {"more": "1"}),
        b'{"version":"v","task_digest":"t","plane_id":"plane-1"}',
        b'{"plane_id":"plane-1","task_digest":"t","version":"a","version":"b"}',
    ],
)
def test_terms_that_are_not_canonical_are_refused_although_signed(payload: bytes) -> None:
    refused(document(), seal_statement(OFFLINE, RELEASE_TYPE, payload), "")


def test_every_changed_byte_is_refused() -> None:
    envelope = seal_release(document(), OFFLINE, VERSION, TASK)
    for place in range(len(envelope)):
        changed = envelope[:place] + bytes([envelope[place] ^ 1]) + envelope[place + 1 :]
        try:
            opened = open_release(document(), changed)
        except OperatorFault as error:
            assert error.code == "release-invalid"
        else:  # a changed letter of an optional field's name means the field is absent, never other terms
            assert opened == open_release(document(), envelope)
