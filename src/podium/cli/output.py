"""How the command line writes: stdout is data, stderr is progress.

Decides: the form of lists, of JSON and of numbers. Never: what is in them. Without a terminal nothing is redrawn.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from podium.cli.advice import advised
from podium.wire.durations import format_duration
from podium.wire.problems import OperatorFault


def say(text: str) -> None:
    """One line of data to stdout, at once, so that a pipe sees it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line of progress to stderr; what it advises may be typed as it stands."""
    sys.stderr.write(advised(text) + "\n")
    sys.stderr.flush()


def require_folder(path: Path | None) -> None:
    """`OperatorFault(usage)` if the file `path` cannot be written, for want of a folder say: told before the work."""
    if path is None or str(path) == "-":
        return
    if not path.parent.is_dir():
        raise OperatorFault("usage", what=f"cannot write {path}", why=f"there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "it is a folder" if path.is_dir() else "writing there is not allowed"
        raise OperatorFault("usage", what=f"cannot write {path}", why=why)


def write_file(path: Path, text: str) -> None:
    """Write `text` whole or not at all; a path that is no ordinary file (a pipe, /dev/null) takes it as it comes."""
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def say_json(value: object) -> None:
    """`value` (structs, lists, dicts) as indented JSON to stdout."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows as columns wide enough for their widest cell, under `heads`; only the heads when there are no rows."""
    for line in columns(heads, rows):
        say(line)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of such a table, heads first."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def say_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """What one thing is, a line for each name and value; what has no value is left out."""
    width = max((len(name) for name, value in pairs if value), default=0)
    for name, value in pairs:
        if value:
            say(f"{name.ljust(width)}  {value}")


def ago(age_ms: int) -> str:
    """How long ago, for people; "never" for -1."""
    return "never" if age_ms < 0 else f"{format_duration(age_ms)} ago"


def wall_clock(age_ms: int) -> str:
    """When that was, by this machine's clock and zone, to the second; the plane tells ages."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age_ms / 1000))


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
