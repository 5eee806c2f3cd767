"""DSSE envelopes: the specification's PAE example, the envelope's form, and what does not open."""

import base64
import json

import pytest

from podium.crypto.dsse import open_statement, pae, seal_statement
from podium.crypto.sign import check_signature, key_id, public_key
from podium.wire.problems import DeviceFault

SEED = bytes(range(32))
PUBLIC = public_key(SEED)
KIND = "application/vnd.in-toto+json"


def test_the_example_of_the_specification() -> None:
    told = pae("http://example.com/HelloWorld", b"hello world")
    assert told == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_count_bytes_and_keep_fields_apart() -> None:
    assert pae("é", "é".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9"
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("a", b"b 1 c") != pae("a 5 b", b"c")


def test_the_envelope_is_what_other_readers_expect() -> None:
    envelope = json.loads(seal_statement(SEED, KIND, b"hello \xff"))
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert base64.b64decode(envelope["payload"], validate=True) == b"hello \xff"
    assert envelope["payloadType"] == KIND
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == key_id(PUBLIC)
    check_signature(PUBLIC, base64.b64decode(signature["sig"]), pae(KIND, b"hello \xff"), what="check")


def test_a_statement_opens_for_its_key_and_type_only() -> None:
    for payload in (b"", b"{}", bytes(10_000)):
        envelope = seal_statement(SEED, KIND, payload)
        assert open_statement(PUBLIC, KIND, envelope) == payload
        for public, kind in ((public_key(bytes(32)), KIND), (PUBLIC, KIND + "x"), (PUBLIC, "")):
            with pytest.raises(DeviceFault) as caught:
                open_statement(public, kind, envelope)
            assert caught.value.code == "signature-invalid"


def test_a_changed_field_does_not_open() -> None:
    whole = json.loads(seal_statement(SEED, KIND, b"hello"))
    flipped = base64.b64encode(bytes([base64.b64decode(whole["signatures"][0]["sig"])[0] ^ 1]) + bytes(63)).decode()
    changed = [
        {**whole, "payload": base64.b64encode(b"hellp").decode()},
        {**whole, "payloadType": "text/plain"},
        {**whole, "signatures": []},
        {**whole, "signatures": [{"keyid": key_id(PUBLIC), "sig": flipped}]},
        {**whole, "signatures": [{"keyid": key_id(PUBLIC), "sig": ""}]},
        {**whole, "signatures": [{"sig": whole["signatures"][0]["sig"]}]},
    ]
    for envelope in changed:
        with pytest.raises(DeviceFault) as caught:
            open_statement(PUBLIC, KIND, json.dumps(envelope).encode())
        assert caught.value.code == "signature-invalid"


def test_other_signatures_and_unknown_fields_are_passed_over() -> None:
    whole = json.loads(seal_statement(SEED, KIND, b"hello"))
    other = json.loads(seal_statement(bytes(32), KIND, b"hello"))
    whole["signatures"] = other["signatures"] + whole["signatures"]
    whole["news"] = {"a": 1}
    assert open_statement(PUBLIC, KIND, json.dumps(whole, indent=1).encode()) == b"hello"


@pytest.mark.parametrize(
    "envelope",
    [b"", b"{", b"[]", b"{}", b'{"payload":"%","payloadType":"t","signatures":[]}', b"[" * 100_000, b'{"payload":1}'],
)
def test_what_is_no_envelope_is_malformed(envelope: bytes) -> None:
    with pytest.raises(DeviceFault) as caught:
        open_statement(PUBLIC, KIND, envelope)
    assert caught.value.code == "body-malformed"
