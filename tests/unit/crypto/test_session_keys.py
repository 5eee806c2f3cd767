"""Challenges, session ids and session keys: what holds, until when, and what is refused."""

import hmac
import struct

import msgspec
import pytest

from podium.crypto.session import (
    SessionClaims,
    challenge_expires_ms,
    check_challenge,
    hourly_master,
    make_challenge,
    make_session,
    read_session,
    session_key,
)
from podium.wire.canonical import INTEGER_MAX, b64, unb64
from podium.wire.problems import DeviceFault

ROOT = b"r" * 32
MASTER = hourly_master(ROOT, 480_000)
NONCE = b"n" * 16
CLAIMS = SessionClaims("device-1", 7, 3, 1_700_000_000_000, 480_000)


def hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt and one block, written out."""
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")


def test_masters_differ_by_hour_and_root_and_are_hkdf() -> None:
    assert len({hourly_master(root, hour) for root in (ROOT, b"s" * 32) for hour in range(50)}) == 100
    assert hourly_master(ROOT, 5) == hkdf(ROOT, b"podium/v1/session-master\x00" + struct.pack(">Q", 5))


def challenge_refused(master: bytes, challenge: str, now_ms: int) -> None:
    with pytest.raises(DeviceFault) as caught:
        check_challenge(master, challenge, now_ms)
    assert caught.value.code == "challenge-expired"


def test_a_challenge_holds_until_its_end_under_its_master() -> None:
    challenge = make_challenge(MASTER, NONCE, 61_000)
    for now_ms in (0, 1_000, 60_999):
        check_challenge(MASTER, challenge, now_ms)
    for now_ms in (61_000, 61_001, 10**15):
        challenge_refused(MASTER, challenge, now_ms)
    challenge_refused(hourly_master(ROOT, 480_001), challenge, 0)
    assert challenge_expires_ms(challenge) == 61_000


def test_challenges_differ_by_nonce_and_no_end_can_be_moved() -> None:
    challenge = make_challenge(MASTER, NONCE, 61_000)
    assert challenge != make_challenge(MASTER, b"m" * 16, 61_000)
    raw = bytearray(unb64(challenge))
    raw[8] ^= 0x80
    assert challenge_expires_ms(b64(bytes(raw))) != 61_000
    challenge_refused(MASTER, b64(bytes(raw)), 0)


def test_every_flipped_bit_and_every_shorter_challenge_is_refused() -> None:
    raw = unb64(make_challenge(MASTER, NONCE, 61_000))
    for place in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        challenge_refused(MASTER, b64(bytes(flipped)), 0)
    for length in range(len(raw)):
        challenge_refused(MASTER, b64(raw[:length]), 0)
    challenge_refused(MASTER, b64(raw + b"\x00"), 0)


@pytest.mark.parametrize("text", ["", "A", "=", "not base64!", "é", "AAAA"])
def test_what_is_no_challenge_is_refused(text: str) -> None:
    challenge_refused(MASTER, text, 0)
    with pytest.raises(DeviceFault):
        challenge_expires_ms(text)


def test_session_ids_carry_their_claims() -> None:
    for claims in (
        CLAIMS,
        SessionClaims("é" * 128, 0, 0, 0, 0),
        SessionClaims("d", INTEGER_MAX, INTEGER_MAX, INTEGER_MAX, INTEGER_MAX),
    ):
        text = make_session(*msgspec.structs.astuple(claims))
        assert read_session(text) == claims
        assert len(text) < 512 and text.isascii()


@pytest.mark.parametrize("field", ["device", "epoch", "expires_ms", "hour"])
@pytest.mark.parametrize("value", [-1, INTEGER_MAX + 1, 2**64, 2**70])
def test_numbers_out_of_range_open_no_session(field: str, value: int) -> None:
    with pytest.raises(DeviceFault) as caught:
        make_session(**{**msgspec.structs.asdict(CLAIMS), field: value})
    assert caught.value.code == "body-malformed"


@pytest.mark.parametrize("name", ["", "d" * 129])
def test_device_ids_out_of_range_open_no_session(name: str) -> None:
    with pytest.raises(DeviceFault) as caught:
        make_session(name, 1, 1, 1, 1)
    assert caught.value.code == "body-malformed"


def test_what_is_no_session_id_is_unknown() -> None:
    raw = unb64(make_session(*msgspec.structs.astuple(CLAIMS)))
    texts = ["", "=", "A", "not base64!", "é", *(b64(raw[:length]) for length in range(34))]
    texts += [b64(b"\x02" + raw[1:]), b64(b"\x00" + raw[1:]), b64(raw + b"\xff"), b64(raw + b"d" * 128)]
    texts += [b64(raw[:1] + b"\xff" + raw[2:])]  # a device number beyond 2^53
    for text in texts:
        with pytest.raises(DeviceFault) as caught:
            read_session(text)
        assert caught.value.code == "session-unknown"


def test_keys_hang_from_the_master_and_from_every_claim() -> None:
    keys = {session_key(MASTER, CLAIMS), session_key(hourly_master(ROOT, 1), CLAIMS)}
    keys |= {session_key(MASTER, msgspec.structs.replace(CLAIMS, device_id=name)) for name in ("device-2", "device-11")}
    for field in ("device", "epoch", "expires_ms", "hour"):
        keys.add(session_key(MASTER, msgspec.structs.replace(CLAIMS, **{field: 12})))
    assert len(keys) == 8
    assert all(len(key) == 32 for key in keys)


def test_a_session_key_is_hkdf_over_the_claims_as_they_are_packed() -> None:
    packed = unb64(make_session(*msgspec.structs.astuple(CLAIMS)))
    assert packed == struct.pack(">BQQQQ", 1, 7, 3, 1_700_000_000_000, 480_000) + b"device-1"
    assert session_key(MASTER, CLAIMS) == hkdf(MASTER, b"podium/v1/session-secret\x00" + packed)
