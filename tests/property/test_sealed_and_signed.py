"""No single flipped bit passes: in signed payloads, sealed keys, frames, MACs; and frames stand only in their order."""

from collections import Counter

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podium.crypto.dsse import open_statement, seal_statement
from podium.crypto.mac import check_mac, request_mac
from podium.crypto.seal import (
    PLAIN_BYTES,
    open_frames,
    open_key,
    seal_frames,
    seal_key,
    sealed_length,
    update_info,
    upload_keypair,
)
from podium.crypto.session import SessionClaims, make_session, read_session
from podium.crypto.sign import public_key, sign, verify
from podium.wire.canonical import INTEGER_MAX, b64, unb64
from podium.wire.problems import DeviceFault

SEED = bytes(range(32))
PUBLIC = public_key(SEED)
KEY = b"k" * 32
PLAIN = (bytes(range(251)) * (3 * PLAIN_BYTES // 251 + 1))[: 2 * PLAIN_BYTES + 1000]
FRAMES = list(seal_frames(KEY, PLAIN))


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed; `bit` counts modulo its length in bits."""
    place = bit % (8 * len(data))
    out = bytearray(data)
    out[place // 8] ^= 1 << place % 8
    return bytes(out)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**16), st.sampled_from(["payload", "signature", "key"]))
def test_a_flipped_bit_of_payload_signature_or_key_is_refused(payload: bytes, bit: int, where: str) -> None:
    signed = sign(SEED, "report", payload)
    assert verify(PUBLIC, "report", signed) == payload
    public = flip(PUBLIC, bit) if where == "key" else PUBLIC
    if where == "payload":
        signed = msgspec.structs.replace(signed, payload=b64(flip(payload or b"\x00", bit)))
    if where == "signature":
        signed = msgspec.structs.replace(signed, signature=b64(flip(unb64(signed.signature), bit)))
    with pytest.raises(DeviceFault) as caught:
        verify(public, "report", signed)
    assert caught.value.code == "signature-invalid"


def test_a_flipped_bit_anywhere_in_a_statement_is_refused_or_changes_nothing_that_is_signed() -> None:
    reached: Counter[str] = Counter()
    envelope = seal_statement(SEED, "t", b"payload")

    for bit in range(8 * len(envelope)):
        try:
            # Bits of names nobody reads, and spare bits of base64, may change; the payload that opens may not.
            assert open_statement(PUBLIC, "t", flip(envelope, bit)) == b"payload"
            reached["same"] += 1
        except DeviceFault as fault:
            reached[fault.code] += 1
    assert reached["signature-invalid"] > 100 and reached["body-malformed"] > 100, reached
    assert reached["same"] < 10, reached


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 8 * 81 - 1))
def test_a_flipped_bit_of_a_sealed_key_is_refused(bit: int) -> None:
    private, public = upload_keypair(SEED)
    info = update_info("lease", "base")
    with pytest.raises(DeviceFault) as caught:
        open_key(private, flip(seal_key(public, KEY, info), bit), info)
    assert caught.value.code == "unseal-failed"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FRAMES) - 1), st.integers(0, 2**24))
def test_a_flipped_bit_of_a_frame_is_refused_and_nothing_after_it_is_given(index: int, bit: int) -> None:
    frames = list(FRAMES)
    frames[index] = flip(frames[index], bit)
    pieces = open_frames(KEY, frames)
    opened = [next(pieces) for _ in range(index)]
    with pytest.raises(DeviceFault) as caught:
        next(pieces)
    assert caught.value.code == "unseal-failed"
    assert b"".join(opened) == PLAIN[: index * PLAIN_BYTES]


def test_any_other_list_of_frames_is_refused() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.integers(0, len(FRAMES) - 1), max_size=5) | st.permutations(range(len(FRAMES))))
    @example([0, 1, 2])
    @example([1, 0, 2])
    @example([0, 2])
    def check(order: list[int]) -> None:
        frames = [FRAMES[index] for index in order]
        if order == list(range(len(FRAMES))):
            reached["whole"] += 1
            assert b"".join(open_frames(KEY, frames)) == PLAIN
            return
        reached["moved" if sorted(order) == list(range(len(FRAMES))) else "dropped or repeated"] += 1
        with pytest.raises(DeviceFault) as caught:
            list(open_frames(KEY, frames))
        assert caught.value.code == "unseal-failed"

    check()
    assert all(reached[name] for name in ("whole", "moved", "dropped or repeated")), reached


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4096) | st.integers(PLAIN_BYTES - 40, PLAIN_BYTES + 40))
def test_any_body_comes_back_at_its_announced_length(size: int) -> None:
    frames = list(seal_frames(KEY, memoryview(PLAIN)[:size]))
    assert sum(map(len, frames)) == sealed_length(size)
    assert b"".join(open_frames(KEY, frames)) == PLAIN[:size]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab/", max_size=3), min_size=6, max_size=6), st.integers(0, 3), st.integers(0, 3))
def test_two_requests_share_a_mac_only_if_they_are_one(texts: list[str], first: int, second: int) -> None:
    one = (texts[0], texts[1], texts[2], bytes(32), first)
    two = (texts[3], texts[4], texts[5], bytes(32), second)
    assert (request_mac(KEY, *one) == request_mac(KEY, *two)) == (one == two)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 255))
def test_a_flipped_bit_of_a_mac_or_its_key_is_refused(bit: int) -> None:
    request = ("POST", "/v1/checkin", "", bytes(32), 5)
    good = request_mac(KEY, *request)
    for key, told in ((KEY, b64(flip(unb64(good), bit))), (flip(KEY, bit), good)):
        with pytest.raises(DeviceFault) as caught:
            check_mac(key, *request, given=told)
        assert caught.value.code == "mac-invalid"


NUMBERS = st.integers(0, INTEGER_MAX)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


@settings(max_examples=200, deadline=None)
@given(st.builds(SessionClaims, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.integers(0, 2**16))
def test_session_ids_read_back_and_no_two_ids_say_the_same(claims: SessionClaims, bit: int) -> None:
    text = make_session(*msgspec.structs.astuple(claims))
    assert read_session(text) == claims
    try:
        other = read_session(b64(flip(unb64(text), bit)))
    except DeviceFault as fault:
        assert fault.code == "session-unknown"
        return
    assert other != claims
