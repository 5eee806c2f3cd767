"""Durations as people write them ("90s", "1h30m") and as machines keep them (integer milliseconds)."""

import re

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
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
    """`ms` as HH:MM:SS, for people."""
    seconds = max(0, ms) // 1000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
