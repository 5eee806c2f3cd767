"""Traces of real fleets, read from CSV and JSON Lines: when devices were there, and what they could do.

Decides: the columns of both files, and that a file is read whole or not at all. Every fault of a file is
`OperatorFault(file-unreadable)` with its name and the line. Never: which simulated device is which traced one
(`traces.py`, `fleet.py`). The formats are described in docs/reference/traces.md.
Limits: `TRACE_LINES_MAX` lines a file; times to `TIME_MS_MAX`; 32,767 different platforms.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.wire.problems import OperatorFault

TRACE_LINES_MAX = 20_000_000
TIME_MS_MAX = 1 << 38
PLATFORMS_MAX = 32_767

Time = Annotated[int, msgspec.Meta(ge=0, le=TIME_MS_MAX)]
Figure = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: Name | int

    def name(self) -> str:
        """The device's name; a number is its digits."""
        return str(self.device)


class AvailabilityRow(_Row, frozen=True, kw_only=True):
    """The device was there from `start_ms` to before `end_ms`; the file begins again after `period_ms` (0: never)."""

    start_ms: Time
    end_ms: Time
    period_ms: Time = 0


class CapacityRow(_Row, frozen=True, kw_only=True):
    """What the device has and how fast it is."""

    examples: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    seconds_per_example: Figure
    download_mb_s: Figure
    upload_mb_s: Figure
    ram_mb: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    os: Name
    architecture: Name


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Device `names[i]` was there in [starts[j], ends[j]) for j from offsets[i] to before offsets[i + 1], in order.

    int64 ms; `period_ms` 0: the trace ends with its last interval.
    """

    names: tuple[str, ...]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    period_ms: int


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What traced devices are, one element a device: int32 examples, float32 s and MB/s, int16 index of `platforms`.

    A platform is (os, architecture, ram_mb).
    """

    examples: NDArray[np.int32]
    seconds_per_example: NDArray[np.float32]
    download_mb_s: NDArray[np.float32]
    upload_mb_s: NDArray[np.float32]
    platform_of: NDArray[np.int16]
    platforms: tuple[tuple[str, str, int], ...]


def read_availability(path: Path) -> Intervals:
    """The intervals of an availability file, devices in the order in which they first appear."""
    number_of: dict[str, int] = {}
    owners, starts, ends, lines = [], [], [], []
    period_ms = -1
    for line, row in _rows(path, AvailabilityRow):
        if row.end_ms <= row.start_ms:
            raise _fault(path, line, f"end_ms {row.end_ms} is not after start_ms {row.start_ms}")
        if period_ms not in (-1, row.period_ms):
            raise _fault(path, line, f"period_ms is {row.period_ms} here and {period_ms} before")
        period_ms = row.period_ms
        if period_ms and row.end_ms > period_ms:
            raise _fault(path, line, f"end_ms {row.end_ms} is after period_ms {period_ms}: cut the interval in two")
        owners.append(number_of.setdefault(row.name(), len(number_of)))
        starts.append(row.start_ms)
        ends.append(row.end_ms)
        lines.append(line)
    owner, start, end = (np.array(each, np.int64) for each in (owners, starts, ends))
    order = np.lexsort((start, owner))
    owner, start, end = owner[order], start[order], end[order]
    overlaps = np.flatnonzero((owner[1:] == owner[:-1]) & (start[1:] < end[:-1]))
    if len(overlaps):
        first, second = sorted(lines[order[int(overlaps[0]) + each]] for each in (0, 1))
        raise _fault(path, second, f"the interval overlaps that of line {first}, of the same device")
    offsets = np.searchsorted(owner, np.arange(len(number_of) + 1))
    return Intervals(names=tuple(number_of), offsets=offsets, starts=start, ends=end, period_ms=period_ms)


def read_capacity(path: Path, names: Sequence[str] = ()) -> Capacity:
    """A capacity file's devices in the order of `names`, an availability file's (none: in the file's own order).

    With `names`, each of them has one row and nobody else has.
    """
    rows: dict[str, CapacityRow] = {}
    known = frozenset(names)
    for line, row in _rows(path, CapacityRow):
        if row.name() in rows:
            raise _fault(path, line, f"device {row.name()} has a row before")
        if known and row.name() not in known:
            raise _fault(path, line, f"device {row.name()} is not in the availability file")
        rows[row.name()] = row
    if missing := [name for name in names if name not in rows]:
        raise _fault(path, 0, f"device {missing[0]} of the availability file has no row")
    ordered = [rows[name] for name in names] if names else list(rows.values())
    platforms: dict[tuple[str, str, int], int] = {}
    of = [platforms.setdefault((row.os, row.architecture, row.ram_mb), len(platforms)) for row in ordered]
    if len(platforms) > PLATFORMS_MAX:
        raise _fault(path, 0, f"more than {PLATFORMS_MAX} different platforms")
    return Capacity(
        examples=np.array([row.examples for row in ordered], np.int32),
        seconds_per_example=np.array([row.seconds_per_example for row in ordered], np.float32),
        download_mb_s=np.array([row.download_mb_s for row in ordered], np.float32),
        upload_mb_s=np.array([row.upload_mb_s for row in ordered], np.float32),
        platform_of=np.array(of, np.int16),
        platforms=tuple(platforms),
    )


R = TypeVar("R", bound=_Row)


class _Lines:
    """The lines of a file, of which `number` says how many were read: what a fault names."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if self.number > TRACE_LINES_MAX:
                raise ValueError(f"more than {TRACE_LINES_MAX} lines")
            yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")


def _rows(path: Path, kind: type[R]) -> Iterator[tuple[int, R]]:
    """(line number, row) of each row of a .csv or .jsonl file; at least one."""
    if path.suffix not in (".csv", ".jsonl"):
        raise OperatorFault("file-unreadable", what=f"trace {path}", why="a trace's name ends in .csv or .jsonl")
    read = _csv_rows if path.suffix == ".csv" else _json_lines
    empty = True
    try:
        with path.open("rb") as file:
            lines = _Lines(file)
            for row in read(lines, kind):
                empty = False
                yield lines.number, row
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"trace {path}", why=error.strerror or str(error)) from error
    except (ValueError, msgspec.MsgspecError, csv.Error) as error:
        raise _fault(path, lines.number, str(error)) from error
    if empty:
        raise _fault(path, 0, "it has no rows")


def _json_lines(lines: _Lines, kind: type[R]) -> Iterator[R]:
    yield from (msgspec.json.decode(line, type=kind) for line in lines if line.strip())


def _csv_rows(lines: _Lines, kind: type[R]) -> Iterator[R]:
    """Rows under the header's names; `ValueError` for a row that is longer or shorter than the header."""
    reader = csv.reader(lines, strict=True)
    header = [each.strip() for each in next(reader, [])]
    if len(set(header)) != len(header):
        raise ValueError("the header names a column twice")
    for cells in reader:
        if cells and len(cells) != len(header):
            raise ValueError(f"{len(cells)} cells under {len(header)} columns")
        if cells:
            named = dict(zip(header, (each.strip() for each in cells), strict=True))
            yield msgspec.convert(named, kind, strict=False)


def _fault(path: Path, line: int, why: str) -> OperatorFault:
    where = f"trace {path}, line {line}" if line else f"trace {path}"
    return OperatorFault("file-unreadable", what=where, why=why, next="mend the file: nothing of it was taken")
