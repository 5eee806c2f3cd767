"""What each problem code means and what to do about it, at more length than an error's lines.

Decides: that every code has such words (a test walks them). Never: the words themselves: they are in advice.toml, which
docs/reference/errors.md and `podium error CODE` are made of.
"""

import tomllib
from functools import cache
from pathlib import Path

import msgspec


class Advice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a problem comes about, and what to `do`: one or two sentences each."""

    cause: str
    do: str


@cache
def advice() -> dict[str, Advice]:
    """Code -> its advice, in the order of the file."""
    text = Path(__file__).with_name("advice.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Advice])
