"""Canonical bytes: RFC 8785's own samples, what the restriction refuses, and what the reader refuses."""

import enum
import hashlib
import json

import msgspec
import pytest

from podium.wire.canonical import INTEGER_MAX, b64, canonical, decode_canonical, sha256_digest, unb64
from podium.wire.durations import Duration
from podium.wire.messages import FromDevice, FromPlane
from podium.wire.problems import DeviceFault


class Lamp(FromDevice, frozen=True, kw_only=True):
    name: str
    watts: int = 0
    inner: "Lamp | None" = None


class Box(FromPlane, frozen=True, kw_only=True):
    name: str
    raw: msgspec.Raw


class Colour(enum.StrEnum):
    RED = "red"


class Name(str):
    """A string type of somebody's own."""


def test_members_are_ordered_by_utf16_code_units_rfc8785_3_2_3() -> None:
    told = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(told))) == order
    assert sorted(told) != order, "the sample must tell code units from code points"


def test_literals_and_strings_rfc8785_3_2_2() -> None:
    told = json.loads(
        r'{"string": "\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}'
    )
    expected = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert canonical(told) == expected.encode("utf-8")


def test_every_control_character_is_escaped_as_rfc8785_3_2_2_2_says() -> None:
    short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    for number in range(0x20):
        expected = short.get(chr(number), f"\\u{number:04x}")
        assert canonical(chr(number)) == f'"{expected}"'.encode()
    for text in ("\x7f", "\x80", "\u2028", "\u2029", "\ufeff", "\U0010ffff", "/", "'", "<"):
        assert canonical(text) == f'"{text}"'.encode()


def test_integers_within_two_to_the_53_are_kept_and_others_refused() -> None:
    assert canonical([INTEGER_MAX, -INTEGER_MAX, 0, -0]) == b"[9007199254740991,-9007199254740991,0,0]"
    for number in (INTEGER_MAX + 1, -INTEGER_MAX - 1, 10**400):
        with pytest.raises(ValueError, match="beyond"):
            canonical([number])


@pytest.mark.parametrize("value", [1.0, 0.5, float("nan"), float("inf"), b"x", bytearray(b"x"), {1, 2}, object(), 1j])
def test_values_without_canonical_form_are_refused(value: object) -> None:
    for holder in (value, [value], {"a": value}, {"a": [{"b": value}]}):
        with pytest.raises(ValueError, match="no canonical form"):
            canonical(holder)


@pytest.mark.parametrize("key", [1, None, True, ("a",), b"a"])
def test_keys_that_are_no_strings_are_refused(key: object) -> None:
    with pytest.raises(ValueError, match="is no string"):
        canonical({key: 1})


def test_lone_surrogates_are_refused_in_values_and_keys() -> None:
    for value in ("\ud800", {"\udfff": 1}):
        with pytest.raises(ValueError, match="surrogates"):
            canonical(value)


def test_structs_are_encoded_as_objects_with_ordered_members() -> None:
    told = Lamp(name="l", inner=Lamp(name="i", watts=3))
    assert canonical(told) == b'{"inner":{"inner":null,"name":"i","watts":3},"name":"l","watts":0}'
    assert canonical((told.inner, {"k": told.inner})).count(b'{"inner":null,"name":"i","watts":3}') == 2


def test_a_float_or_bytes_within_a_struct_is_refused() -> None:
    class Odd(msgspec.Struct):
        value: object

    for value in (1.5, float("nan"), b"x", [memoryview(b"x")]):
        with pytest.raises(ValueError, match="no canonical form"):
            canonical(Odd(value))


def test_subclasses_of_str_and_int_are_what_they_hold() -> None:
    assert canonical([Colour.RED, Name("n"), Duration(5)]) == b'["red","n",5]'
    assert canonical({Colour.RED: 1, Name("a"): 2}) == b'{"a":2,"red":1}'

    class Held(msgspec.Struct):
        value: object

    for value, text in ((Duration(5), b"5"), (Name("n"), b'"n"'), (Colour.RED, b'"red"')):
        assert canonical(Held(value)) == b'{"value":' + text + b"}"


def test_raw_is_parsed_and_encoded_again() -> None:
    raw = msgspec.Raw(b' {"b": [1, {"d":1,"c":2}],\n"a": "\\u0041"} ')
    expected = b'{"a":"A","b":[1,{"c":2,"d":1}]}'
    assert canonical(raw) == expected
    assert canonical(Box(name="n", raw=raw)) == b'{"name":"n","raw":' + expected + b"}"


@pytest.mark.parametrize("raw", [b"1.5", b"NaN", b'{"a":1,"a":2}', b'[{"a":{"b":1,"b":1}}]', b"{", b"", b'"\xff"'])
def test_raw_without_canonical_form_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        canonical(Box(name="n", raw=msgspec.Raw(raw)))


def test_decoding_gives_the_struct_and_ignores_what_a_newer_plane_adds() -> None:
    told = Lamp(name="l", watts=4)
    assert decode_canonical(canonical(told), Lamp) == told
    box = decode_canonical(b'{"name":"n","news":1,"raw":{"a":1}}', Box)
    assert (box.name, bytes(box.raw)) == ("n", b'{"a":1}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"name":"l", "watts":1}',  # a space
        b'{"name":"l","watts":1}\n',
        b'{"watts":1,"name":"l"}',  # another order
        b'{"name":"l","name":"l","watts":1}',  # a duplicate key
        b'{"name":"\\u006c","watts":1}',  # a needless escape
        b'{"name":"\\/","watts":1}',
        b'{"name":"\\u001F","watts":1}',  # an escape in capitals
        b'{"name":"l","watts":-0}',
        b'{"name":"l","watts":9007199254740992}',
    ],
)
def test_other_bytes_for_the_same_value_are_refused(data: bytes) -> None:
    with pytest.raises(DeviceFault) as caught:
        decode_canonical(data, Lamp)
    assert caught.value.code == "body-not-canonical"


def test_duplicates_and_floats_are_refused_where_the_struct_does_not_look() -> None:
    for data in (b'{"name":"n","raw":{"a":1,"a":1}}', b'{"name":"n","raw":{"a":0.5}}', b'{"name":"n","raw":[ ]}'):
        with pytest.raises(DeviceFault) as caught:
            decode_canonical(data, Box)
        assert caught.value.code == "body-not-canonical"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"name":1}',
        b'{"watts":1}',
        b'{"extra":1,"name":"l"}',
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":NaN}',
        b'\xef\xbb\xbf{"name":"l"}',
        b'{"name":"l","watts":1.5}',
        b'{"name":"l","watts":1.0}',
        b'{"name":"l","watts":1e2}',
        b'{"inner":' * 50_000,
    ],
)
def test_bytes_that_do_not_parse_are_malformed(data: bytes) -> None:
    with pytest.raises(DeviceFault) as caught:
        decode_canonical(data, Lamp)
    assert caught.value.code == "body-malformed"
    assert caught.value.why


def test_nesting_beyond_the_stack_is_a_fault_and_no_crash() -> None:
    for depth in (2_000, 5_000, 100_000):
        data = b'{"name":"n","raw":' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(DeviceFault) as caught:
            decode_canonical(data, Box)
        assert caught.value.code in ("body-malformed", "body-not-canonical")


def test_base64url_is_strict_rfc4648_5() -> None:
    known = {b"": "", b"f": "Zg", b"fo": "Zm8", b"foo": "Zm9v", b"foob": "Zm9vYg", b"\xfb\xff\xfe": "-__-"}
    for data, text in known.items():
        assert b64(data) == text
        assert unb64(text) == data
    for text in (
        "Zg==",
        "Zg=",
        "Zh",
        "+__+",
        "-/_-",
        "Zm9v ",
        " Zm9v",
        "Zm\n9v",
        "Z",
        "Zm9vY",
        "Zm9é",
        "Zm9v\x00",
        "=",
    ):
        with pytest.raises(DeviceFault) as caught:
            unb64(text)
        assert caught.value.code == "body-malformed"


def test_digests_carry_their_algorithm() -> None:
    assert sha256_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_digest(b"") == "sha256:" + hashlib.sha256().hexdigest()
