"""Durations as people write them ("90s", "1h30m") and read them ("1 h 30 min"); machines keep integer milliseconds."""

import re
from itertools import pairwise

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHOWN = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Duration(int):
    """A duration in whole milliseconds."""


def parse_duration(text: str) -> Duration:
    """`text` such as "250ms", "5m" or "1h30m" as a `Duration`; `ValueError` says what is wrong with it."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration: write a number and ms, s, m, h or d, such as '90s'")
    return Duration(round(sum(float(number) * _UNITS_MS[unit] for number, unit in parts)))


def format_duration(ms: int) -> str:
    """`ms` in whole seconds, for people: its two largest units, such as "29 d 23 h", "1 min 5 s", "0 s"."""
    seconds = max(0, ms) // 1000
    for (size, unit), (part, smaller) in pairwise(_SHOWN):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"
