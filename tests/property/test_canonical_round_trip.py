"""Canonical bytes and decimals, for any value: they read back, are unique, and agree with a slow second writer."""

import json
import math
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podium.wire.canonical import INTEGER_MAX, b64, canonical, decimal, decode_canonical, parse_decimal, unb64
from podium.wire.problems import DeviceFault

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def slow(value: object) -> str:
    """The same by the standard library: each scalar by `json`, members sorted by lists of code units."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: list(memoryview(member[0].encode("utf-16")[2:]).cast("H")))
        return "{" + ",".join(f"{slow(key)}:{slow(item)}" for key, item in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(slow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def shuffled(value: object) -> object:
    """`value` with the members of every object in reverse order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def test_any_value_reads_back_and_has_one_form() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None)
    @given(TREES)
    @example({"\ufb33": 1, "\U0001f600": 2})
    def check(value: object) -> None:
        data = canonical(value)
        assert data == slow(value).encode("utf-8")
        assert data == canonical(shuffled(value))
        assert decode_canonical(data, type(value)) == value
        reached[type(value).__name__] += 1
        if isinstance(value, dict) and sorted(value) != sorted(value, key=lambda key: key.encode("utf-16-be")):
            reached["order"] += 1

    check()
    assert all(reached[name] for name in ("dict", "list", "str", "int", "bool", "NoneType", "order")), reached


def test_other_spellings_of_any_value_are_refused() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=300, deadline=None)
    @given(TREES, st.data())
    def check(value: object, data: st.DataObject) -> None:
        good = canonical(value)
        spelling = data.draw(st.sampled_from(["spaced", "ascii", "indented", "reversed", "space-after"]))
        other = {
            "spaced": lambda: json.dumps(json.loads(good), ensure_ascii=False),
            "ascii": lambda: json.dumps(json.loads(good), separators=(",", ":")),
            "indented": lambda: json.dumps(json.loads(good), ensure_ascii=False, indent=1),
            "reversed": lambda: json.dumps(shuffled(json.loads(good)), ensure_ascii=False, separators=(",", ":")),
            "space-after": lambda: good.decode() + " ",
        }[spelling]().encode()
        if other == good:
            reached["same"] += 1
            return
        reached[spelling] += 1
        with pytest.raises(DeviceFault) as caught:
            decode_canonical(other, type(value))
        assert caught.value.code == "body-not-canonical"

    check()
    assert all(reached[name] for name in ("spaced", "ascii", "indented", "reversed", "space-after")), reached


def test_any_bytes_are_refused_or_are_the_canonical_bytes_of_what_they_say() -> None:
    reached: Counter[str] = Counter()
    pieces = st.sampled_from(
        [b'"', b"{", b"}", b"[", b"]", b",", b":", b"1", b"0", b"-", b".", b"e", b"a", b"\\", b" "]
    )
    words = st.sampled_from(
        [b"null", b"true", b'""', b'"a"', b"{}", b"[]", b"[1]", b'{"a":1}', b"\xff", b'{"a":1,"a":1}']
    )

    @settings(max_examples=500, deadline=None)
    @given(st.lists(pieces | words, max_size=4).map(b"".join))
    @example(b'{"a":1,"a":1}')
    @example(b"1.0")
    def check(data: bytes) -> None:
        try:
            value = decode_canonical(data, object)
        except DeviceFault as fault:
            reached[fault.code] += 1
            return
        reached["read"] += 1
        assert canonical(value) == data

    check()
    assert all(reached[name] for name in ("read", "body-malformed", "body-not-canonical")), reached


def test_any_finite_float_reads_back_from_its_decimal() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=1000, deadline=None)
    @given(FLOATS | st.floats(-10, 10) | st.integers(-(10**22), 10**22).map(float) | st.floats(-1e-5, 1e-5))
    @example(1e21)
    @example(1e-7)
    @example(-0.0)
    def check(value: float) -> None:
        text = decimal(value)
        assert parse_decimal(text) == value
        assert text.lstrip("-")[0].isdigit() and not text.endswith(".")
        assert ("e" in text) == (value != 0 and not 1e-6 <= abs(value) < 1e21)
        for other in (f"+{text}", f" {text}", f"{text} ", f"{text}_", f"0{text}"):
            with pytest.raises(DeviceFault):
                parse_decimal(other)
        reached["exponent" if "e" in text else "point" if "." in text else "whole"] += 1
        reached["negative"] += text.startswith("-")

    check()
    assert all(reached[name] > 10 for name in ("exponent", "point", "whole", "negative")), reached


def test_any_text_is_refused_or_is_the_decimal_of_its_value() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None)
    @given(st.text("0123456789.eE+-_naif x", max_size=6) | FLOATS.map(repr) | FLOATS.map(decimal))
    def check(text: str) -> None:
        try:
            value = parse_decimal(text)
        except DeviceFault as fault:
            assert fault.code == "body-malformed"
            reached["refused"] += 1
            return
        reached["read"] += 1
        assert math.isfinite(value) and decimal(value) == text

    check()
    assert reached["refused"] > 10 and reached["read"] > 10, reached


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_read_back_from_base64url(data: bytes) -> None:
    assert unb64(b64(data)) == data


def test_any_text_is_refused_or_is_the_base64url_of_its_bytes() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None)
    @given(st.text("ABgw059_-+/= \n", max_size=6) | st.text(max_size=4))
    def check(text: str) -> None:
        try:
            data = unb64(text)
        except DeviceFault as fault:
            assert fault.code == "body-malformed"
            reached["refused"] += 1
            return
        reached["read"] += 1
        assert b64(data) == text

    check()
    assert reached["refused"] > 10 and reached["read"] > 10, reached
