"""Canonical bytes: one encoding per value, so that what is signed is what is read.

RFC 8785 (JSON Canonicalization Scheme) restricted to strings, booleans, null, integers within 2^53-1, arrays and
objects. Floats are refused: a signed number travels as a decimal string in ECMAScript's Number-to-string form.

Decides: the bytes of a value, and whether received bytes are those bytes. Never: what a value means. What comes from
outside raises `DeviceFault`; a value of ours that has no canonical bytes raises `ValueError`.
"""

import base64
import hashlib
import json
import math
from typing import TypeVar

import msgspec

from podium.wire.problems import DeviceFault

T = TypeVar("T")

INTEGER_MAX = 2**53 - 1
"""Largest magnitude of an integer that every JSON reader keeps (RFC 8785 section 3.2.2.3, I-JSON)."""

_BINARY = (bytes, bytearray, memoryview)


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes (UTF-8) of `value`: str, bool, None, int, list, tuple, dict with str keys, msgspec structs.

    A `msgspec.Raw` is parsed and encoded again. `ValueError` on a float, bytes, an integer beyond 2^53-1, a key that is
    no string, a duplicate key within a `Raw`, a lone surrogate, or any other type.
    """
    return msgspec.json.encode(_ordered(value))


def decode_canonical(data: bytes, kind: type[T]) -> T:
    """`data` as a `kind`, verified on the bytes received: they must be the canonical bytes of what they say.

    `DeviceFault(body-malformed)` when they do not parse into `kind`, `DeviceFault(body-not-canonical)` when encoding
    the parsed JSON again gives other bytes (spaces, another order, duplicate keys, needless escapes, floats).
    """
    what = f"decode {len(data)} signed bytes as {kind.__name__}"
    try:
        value = msgspec.json.decode(data, type=kind)
        tree = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise DeviceFault("body-malformed", what=what, why=str(error)) from error
    try:
        again = canonical(tree)
    except (ValueError, RecursionError) as error:
        raise DeviceFault("body-not-canonical", what=what, why=str(error)) from error
    if again != data:
        raise DeviceFault("body-not-canonical", what=what, why="RFC 8785 encodes the same value as other bytes")
    return value


def b64(data: bytes) -> str:
    """`data` as base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The bytes of base64url `text`; `DeviceFault(body-malformed)` unless it is exactly what `b64` writes.

    Padding, other alphabets, spaces and stray low bits are refused, so bytes have one text and text has one meaning.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise DeviceFault("body-malformed", what="read base64url", why=str(error)) from error
    if b64(data) != text:
        raise DeviceFault("body-malformed", what="read base64url", why="it is not base64url without padding")
    return data


def sha256_digest(data: bytes) -> str:
    """The digest of `data` as it is written everywhere: "sha256:" and 64 hex characters."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def decimal(value: float) -> str:
    """`value` as ECMAScript writes a Number (ECMA-262 section 6.1.6.1.20): the shortest digits that read back equal.

    `ValueError` on NaN and infinity. Minus zero is written "0".
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} has no decimal form: only finite numbers have a canonical form")
    if value == 0:
        return "0"
    # Python's repr has the same shortest digits (both round to nearest, ties to even); only the layout differs.
    mantissa, _, exponent = repr(abs(float(value))).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)  # the value is 0.digits * 10^point
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _layout(digits, point)


def parse_decimal(text: str) -> float:
    """The float that `decimal` writes as `text`; `DeviceFault(body-malformed)` on every other text.

    So NaN, infinity, hexadecimal, underscores, spaces, a plus sign, needless zeros and digits are all refused.
    """
    try:
        value = float(text)
        canon = decimal(value)
    except ValueError as error:
        raise DeviceFault("body-malformed", what="read a decimal", why="it is not a finite decimal") from error
    if canon != text:
        raise DeviceFault("body-malformed", what="read a decimal", why=f"its canonical form is {canon}")
    return value


def _ordered(value: object) -> object:
    """`value` as builtins whose objects are in canonical order; `ValueError` on what may not be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of a member of an enumeration, the text it holds
    if isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise ValueError("an integer is beyond 2^53-1: write it as a string")
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        # RFC 8785 section 3.2.3: by UTF-16 code units, which is not the order of code points.
        return {key: _ordered(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, (msgspec.Struct, msgspec.Raw)):
        return _ordered(msgspec.to_builtins(value, builtin_types=_BINARY, enc_hook=_parsed))
    raise ValueError(f"{type(value).__name__} has no canonical form: write floats as decimals, bytes as base64url")


def _utf16(key: object) -> bytes:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r} of an object is no string")
    return key.encode("utf-16-be")


def _parsed(value: object) -> object:
    """What stands for a field of a struct that msgspec does not know (its `enc_hook`)."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value).decode("utf-8"), object_pairs_hook=_unique)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise ValueError(f"{type(value).__name__} has no canonical form")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(result := dict(pairs)) != len(pairs):
        raise ValueError("an object holds the same key twice")
    return result


def _layout(digits: str, point: int) -> str:
    """The digits with their point, by the cases of ECMA-262's Number::toString (`point` is its n)."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    tail = "." + digits[1:] if count > 1 else ""
    return f"{digits[0]}{tail}e{point - 1:+d}"
