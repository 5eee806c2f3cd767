"""Structs as plain JSON values without floats, and back: what canonical bytes are made from.

Decides: how a float travels where bytes are signed or hashed: `{"decimal": "<ECMAScript Number-to-string>"}`, so that
`0.1` and `"0.1"` stay two things (tasks/task.py). A real object whose only key would read as that tag gets one more
`_` before it, so every value has one form and every form one value. Never: the bytes (wire/canonical.py).
Limits: NaN and infinity have no form; -0.0 reads back as 0.0, as in ECMAScript and RFC 8785 section 3.2.2.3.
"""

from typing import TypeVar

import msgspec

from podium.wire.canonical import decimal
from podium.wire.durations import Duration

Plain = str | int | bool | None | list["Plain"] | dict[str, "Plain"]
"""What canonical JSON may hold."""
Builtin = str | int | float | bool | None | list["Builtin"] | dict[str, "Builtin"]
"""What a JSON parser gives."""

_TAG = "decimal"

T = TypeVar("T")


def _duration(value: object) -> object:
    """How msgspec writes a `Duration`: whole ms."""
    if isinstance(value, Duration):
        return int(value)
    raise NotImplementedError(type(value).__name__)


def plain(value: object) -> Plain:
    """`value` (a struct, a dict, a number...) as JSON values without floats; `ValueError` for NaN and infinity."""
    return _tagged(msgspec.to_builtins(value, enc_hook=_duration, str_keys=True))


def _tagged(value: Builtin | tuple[Builtin, ...]) -> Plain:
    if isinstance(value, float):
        return {_TAG: decimal(value)}
    if isinstance(value, dict):
        if len(value) == 1 and (key := next(iter(value))).lstrip("_") == _TAG:
            return {"_" + key: _tagged(value[key])}
        return {key: _tagged(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(inner) for inner in value]
    return value


def unplain(value: Plain) -> Builtin:
    """The inverse of `plain` on plain values: tagged decimals become floats; `ValueError` if one is not in its form."""
    if isinstance(value, dict):
        if len(value) == 1 and (key := next(iter(value))).lstrip("_") == _TAG:
            return _decimal(value[key]) if key == _TAG else {key[1:]: unplain(value[key])}
        return {key: unplain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unplain(inner) for inner in value]
    return value


def _decimal(text: Plain) -> float:
    if isinstance(text, str):
        number = float(text)
        if decimal(number) == text:
            return number
    raise ValueError(f"{text!r} is not the canonical form of a number")


def duration_from_ms(kind: type, value: object) -> object:
    """How msgspec reads a `Duration`: from whole ms (a `dec_hook`); `ValueError` for anything else."""
    if kind is Duration and isinstance(value, int) and not isinstance(value, bool):
        return Duration(value)
    raise ValueError("expected whole milliseconds")  # msgspec adds the path and raises ValidationError


def convert(value: object, kind: type[T]) -> T:
    """`value` (JSON values with real floats) as a `kind`; `msgspec.ValidationError` says where it does not fit."""
    return msgspec.convert(value, kind, dec_hook=duration_from_ms)
