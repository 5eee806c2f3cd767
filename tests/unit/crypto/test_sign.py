"""Signatures: RFC 8032's vectors, and every way in which one must not hold."""

import hashlib

import msgspec
import pytest

from podium.crypto.sign import check_public_key, check_signature, key_id, open_signed, public_key, sign, verify
from podium.wire.canonical import b64, canonical, unb64
from podium.wire.messages import ChallengeAsk, Signed
from podium.wire.problems import DeviceFault

SEED = bytes(range(32))
PUBLIC = public_key(SEED)

# RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC8032)
def test_rfc8032_section_7_1(seed: str, public: str, message: str, signature: str) -> None:
    assert public_key(bytes.fromhex(seed)).hex() == public
    check_signature(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message), what="check")
    with pytest.raises(DeviceFault):
        check_signature(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message) + b"\x00", what="check")


def test_what_is_signed_is_the_label_a_zero_byte_and_the_payload() -> None:
    signed = sign(SEED, "enrol", b"payload")
    check_signature(PUBLIC, unb64(signed.signature), b"podium/v1/enrol\x00payload", what="check")
    assert signed.payload == b64(b"payload")
    assert signed.key_id == key_id(PUBLIC) == hashlib.sha256(PUBLIC).hexdigest()[:16]


def test_signing_is_deterministic_and_verifying_gives_the_payload() -> None:
    for payload in (b"", b"x", bytes(100_000)):
        signed = sign(SEED, "report", payload)
        assert signed == sign(SEED, "report", payload)
        assert verify(PUBLIC, "report", signed) == payload


def refused(public: bytes, purpose: str, signed: Signed) -> None:
    with pytest.raises(DeviceFault) as caught:
        verify(public, purpose, signed)
    assert caught.value.code == "signature-invalid"
    assert purpose in caught.value.what
    assert caught.value.why


def test_another_purpose_key_or_payload_is_refused() -> None:
    signed = sign(SEED, "report", b"payload")
    other = public_key(bytes(32))
    refused(PUBLIC, "enrol", signed)
    refused(other, "report", signed)
    refused(other, "report", msgspec.structs.replace(signed, key_id=key_id(other)))
    refused(PUBLIC, "report", msgspec.structs.replace(signed, payload=b64(b"payloae")))
    refused(PUBLIC, "report", msgspec.structs.replace(signed, key_id="0" * 16))


def test_a_purpose_cannot_swallow_the_payload_of_another() -> None:
    signed = sign(SEED, "report", b"-x\x00payload")
    refused(PUBLIC, "report-x", msgspec.structs.replace(signed, payload=b64(b"payload")))


@pytest.mark.parametrize("field", ["payload", "signature"])
@pytest.mark.parametrize("text", ["", "A", "AA==", "not base64!", "é"])
def test_broken_base64url_is_refused(field: str, text: str) -> None:
    refused(PUBLIC, "report", msgspec.structs.replace(sign(SEED, "report", b"payload"), **{field: text}))


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_keys_of_another_length_are_refused_before_they_are_used(length: int) -> None:
    short = (PUBLIC * 2)[:length]
    refused(short, "report", msgspec.structs.replace(sign(SEED, "report", b"p"), key_id=key_id(short)))


def test_signatures_of_another_length_are_refused() -> None:
    signed = sign(SEED, "report", b"p")
    raw = unb64(signed.signature)
    for data in (raw[:63], raw + b"\x00", raw * 2):
        refused(PUBLIC, "report", msgspec.structs.replace(signed, signature=b64(data)))


def test_keys_of_small_order_verify_nothing() -> None:
    # The identity point as key, and as R with S = 0: the equation holds for every message; RFC 8032 leaves it open.
    identity = b"\x01" + bytes(31)
    signed = Signed(payload=b64(b"any"), key_id=key_id(identity), signature=b64(identity + bytes(32)))
    refused(identity, "report", signed)


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),  # y = 0: a point of order 4
        b"\x01" + bytes(31),  # the identity
        b"\x02" + bytes(31),  # no point of the curve has this y
        b"\xff" * 32,  # y >= p: not canonical
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),  # order 8
        PUBLIC[:31],
        PUBLIC + b"\x00",
    ],
)
def test_what_no_private_key_leads_to_is_no_public_key(public: bytes) -> None:
    check_public_key(PUBLIC)
    with pytest.raises(ValueError, match="Ed25519"):
        check_public_key(public)


def test_the_other_form_of_a_signature_is_refused() -> None:
    # S + L is the same scalar; RFC 8032 section 5.1.7 demands S < L, so a signature has one form.
    signed = sign(SEED, "report", b"p")
    raw = unb64(signed.signature)
    order = 2**252 + 27742317777372353535851937790883648493
    larger = int.from_bytes(raw[32:], "little") + order
    refused(PUBLIC, "report", msgspec.structs.replace(signed, signature=b64(raw[:32] + larger.to_bytes(32, "little"))))


def test_open_signed_verifies_then_decodes_then_asks_for_canonical_bytes() -> None:
    told = ChallengeAsk(device_id="d1")
    assert open_signed(PUBLIC, "ask", sign(SEED, "ask", canonical(told)), ChallengeAsk) == told
    cases = {b'{"device_id": "d1"}': "body-not-canonical", b'{"device_id":1}': "body-malformed", b"": "body-malformed"}
    for payload, code in cases.items():
        with pytest.raises(DeviceFault) as caught:
            open_signed(PUBLIC, "ask", sign(SEED, "ask", payload), ChallengeAsk)
        assert caught.value.code == code
    with pytest.raises(DeviceFault) as caught:
        open_signed(PUBLIC, "other", sign(SEED, "ask", b"{"), ChallengeAsk)
    assert caught.value.code == "signature-invalid", "the signature comes first"
