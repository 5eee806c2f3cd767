"""How the command line writes: stdout is data, stderr is progress.

Decides: the form of lists, of JSON and of numbers. Never: what is in them. Without a terminal nothing is redrawn.
"""

import sys
from collections.abc import Sequence

import msgspec


def say(text: str) -> None:
    """One line of data to stdout, at once, so that a pipe sees it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line of progress to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_json(value: object) -> None:
    """`value` (structs, lists, dicts) as indented JSON to stdout."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows as columns wide enough for their widest cell, under `heads`; only the heads when there are no rows."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """What a device told, safe on a terminal: line ends and tabs stay, every other control becomes "?"."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def short(digest: str) -> str:
    """The first twelve hex digits of a "sha256:..." digest, which every verb accepts in its place; "-" for none."""
    return digest.removeprefix("sha256:")[:12] or "-"


def count_of_bytes(count: int) -> str:
    """`count` bytes in decimal units: "0 B", "12.3 kB", "4.1 GB"."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def decimals(value: float) -> str:
    """A metric as people read it: four significant digits."""
    return f"{value:.4g}"
