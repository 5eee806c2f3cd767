"""Sealed keys and bodies: published vectors, forms and lengths, and what does not open."""

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from podium.crypto.seal import (
    FRAME_BYTES,
    PLAIN_BYTES,
    TAG_BYTES,
    open_frames,
    open_key,
    seal_frames,
    seal_key,
    sealed_length,
    session_info,
    update_info,
    upload_keypair,
)
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault

PRIVATE, PUBLIC = upload_keypair(bytes(range(32)))
KEY = b"k" * 32
INFO = update_info("lease-1", "sha256:ab")


def test_public_keys_are_those_of_rfc7748_and_rfc9180() -> None:
    published = {
        # RFC 7748 section 6.1 (Alice); RFC 9180 appendix A.1.1 (skRm, pkRm)
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a": (
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
        ),
        "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8": (
            "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
        ),
    }
    for private, public in published.items():
        assert upload_keypair(bytes.fromhex(private)) == (bytes.fromhex(private), bytes.fromhex(public))


def test_the_hpke_underneath_is_that_of_rfc9180_a_1_1() -> None:
    # The RFC prints AES-128-GCM with associated data; the library's test door takes both. Same KEM, KDF, key schedule.
    plain = openssl.hpke._decrypt_with_aad(
        Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM),
        bytes.fromhex(
            "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
        ),
        X25519PrivateKey.from_private_bytes(
            bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
        ),
        b"Ode on a Grecian Urn",
        b"Count-0",
    )
    assert plain == b"Beauty is truth, truth beauty"


def test_a_frame_is_a_chunk() -> None:
    assert Limits().chunk_bytes == FRAME_BYTES == PLAIN_BYTES + TAG_BYTES


def test_infos_are_labelled_and_apart() -> None:
    assert update_info("l", "b") == b"podium/v1/update-key\x00l\x00b"
    assert session_info("s") == b"podium/v1/session-key\x00s"
    assert update_info("a", "bc") != update_info("ab", "c")


def test_a_sealed_key_opens_once_sealed_differently_each_time() -> None:
    first, second = seal_key(PUBLIC, KEY, INFO), seal_key(PUBLIC, KEY, INFO)
    assert first != second, "HPKE draws its own ephemeral key"
    assert len(first) == len(second) == 1 + 32 + 32 + 16
    assert first[0] == 1
    assert open_key(PRIVATE, first, INFO) == open_key(PRIVATE, second, INFO) == KEY


def key_refused(private: bytes, sealed: bytes, info: bytes) -> str:
    with pytest.raises(DeviceFault) as caught:
        open_key(private, sealed, info)
    assert caught.value.code == "unseal-failed"
    return caught.value.why


def test_another_key_lease_base_session_or_version_does_not_open() -> None:
    sealed = seal_key(PUBLIC, KEY, INFO)
    key_refused(upload_keypair(bytes(32))[0], sealed, INFO)
    for info in (
        update_info("lease-2", "sha256:ab"),
        update_info("lease-1", "sha256:ac"),
        session_info("lease-1"),
        b"",
    ):
        key_refused(PRIVATE, sealed, info)
    for version in (b"", b"\x00", b"\x02"):
        assert "version" in key_refused(PRIVATE, version + sealed[1:], INFO)


def test_sealed_keys_of_another_length_do_not_open() -> None:
    sealed = seal_key(PUBLIC, KEY, INFO)
    for length in range(len(sealed)):
        key_refused(PRIVATE, sealed[:length], INFO)
    key_refused(PRIVATE, sealed + b"\x00", INFO)
    for content_key in (b"", b"k" * 16, b"k" * 31, b"k" * 33):
        assert "instead of 32" in key_refused(PRIVATE, seal_key(PUBLIC, content_key, INFO), INFO)


def test_sealing_to_what_is_no_key_is_the_fault_of_who_sent_it() -> None:
    small_order = bytes(32)  # RFC 7748 section 6.1: the shared secret would be zero
    for public in (b"", PUBLIC[:31], PUBLIC + b"\x00", small_order):
        with pytest.raises(DeviceFault) as caught:
            seal_key(public, KEY, INFO)
        assert caught.value.code == "body-malformed"


SIZES = [0, 1, 15, 16, 17, PLAIN_BYTES - 1, PLAIN_BYTES, PLAIN_BYTES + 1, 2 * PLAIN_BYTES, 2 * PLAIN_BYTES + 5]


@pytest.mark.parametrize("size", SIZES)
def test_bodies_are_cut_into_full_frames_and_come_back(size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    frames = list(seal_frames(KEY, plain[:size]))
    assert len(frames) == max(1, -(-size // PLAIN_BYTES))
    assert all(len(frame) == FRAME_BYTES for frame in frames[:-1])
    assert sum(map(len, frames)) == sealed_length(size)
    assert b"".join(open_frames(KEY, frames)) == plain[:size]
    assert b"".join(open_frames(KEY, iter(frames))) == plain[:size]
    assert list(seal_frames(KEY, memoryview(plain)[:size])) == frames


def test_lengths_are_counted_in_bytes_whatever_the_view_holds() -> None:
    view = memoryview(bytes(80)).cast("I")
    assert b"".join(open_frames(KEY, seal_frames(KEY, view))) == bytes(80)


def test_the_nonce_is_a_zero_prefix_a_counter_and_the_last_flag() -> None:
    frames = list(seal_frames(KEY, bytes(PLAIN_BYTES + 3)))
    assert AESGCM(KEY).decrypt(bytes(12), frames[0], b"\x01") == bytes(PLAIN_BYTES)
    assert AESGCM(KEY).decrypt(bytes(7) + b"\x00\x00\x00\x01\x01", frames[1], b"\x01") == bytes(3)


def body_refused(key: bytes, frames: list[bytes]) -> None:
    with pytest.raises(DeviceFault) as caught:
        list(open_frames(key, frames))
    assert caught.value.code == "unseal-failed"
    assert caught.value.why


def test_truncated_extended_moved_or_repeated_frames_do_not_open() -> None:
    one, two, last = seal_frames(KEY, bytes(2 * PLAIN_BYTES + 100))
    whole = [one, two, last]
    assert b"".join(open_frames(KEY, whole)) == bytes(2 * PLAIN_BYTES + 100)
    for frames in (
        [],
        [b""],
        [one],
        [one, two],
        [one, last],
        [two, last],
        [last],
        [two, one, last],
        [one, last, two],
        [one, one, last],
        [one, two, two, last],
        [*whole, last],
        [*whole, b""],
        [*whole, *whole],
        [one, two, last[:-1]],
        [one, two, last + b"\x00"],
        [one, two, last[:15]],
        [one, b"", two, last],
        [one[:-1], one[-1:] + two, last],
        [one + two, last],
        [one, two + last],
    ):
        body_refused(KEY, frames)
    body_refused(b"x" * 32, whole)


def test_frames_of_two_bodies_do_not_mix() -> None:
    mine, theirs = list(seal_frames(KEY, bytes(PLAIN_BYTES + 9))), list(seal_frames(b"t" * 32, bytes(PLAIN_BYTES + 9)))
    body_refused(KEY, [mine[0], theirs[1]])
    body_refused(KEY, [theirs[0], mine[1]])


def test_a_body_cut_otherwise_by_who_holds_the_key_does_not_open() -> None:
    def nonce(index: int, flag: int) -> bytes:
        return bytes(7) + index.to_bytes(4, "big") + bytes([flag])

    cipher = AESGCM(KEY)
    short_first = [cipher.encrypt(nonce(0, 0), b"ab", b"\x01"), cipher.encrypt(nonce(1, 1), b"cd", b"\x01")]
    empty_last = [cipher.encrypt(nonce(0, 0), bytes(PLAIN_BYTES), b"\x01"), cipher.encrypt(nonce(1, 1), b"", b"\x01")]
    long_last = [cipher.encrypt(nonce(0, 1), bytes(PLAIN_BYTES + 1), b"\x01")]
    other_version = [cipher.encrypt(nonce(0, 1), b"ab", b"\x02")]
    for frames in (short_first, empty_last, long_last, other_version):
        body_refused(KEY, frames)
