"""What a device says of its line, held against what the plane measured of it: lies and errors move no decision.

Decides: which value a claim of bandwidth or latency counts as, and which claims contradict history. Never: what is
measured (the door times transfers), nor what follows from the value. A device that was never measured is believed.
Measured is each device's own line: bytes and time of its downloads and uploads, and how long it took from an offer to
its answer, which is two round trips and at most `ANSWER_WORK_MS` of work. What another device has says nothing of it.
What was measured binds less the older it is: a claim may be off by `CONTRADICTION` times, and twice as far with every
half-life since. Limits: 26 bytes a device; a transfer below `MEASURED_BYTES_MIN` tells of latency and buffers, not of
bandwidth. Learned from lease rows, as each is put; doubts are volatile, a device's next claims make them again.
Source: clipping a new value to a range about the estimate is Huber's (1964).
"""

import math
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.fleet.reliability import CLIP, HOUR_MS, STEP, Levels, Mask, Numbers, faded
from podium.core.fleet.telemetry import Telemetry
from podium.core.rows import LeaseRow
from podium.core.said import Transfer

CONTRADICTION = 4.0
"""A claim that is further than this factor from what was measured contradicts it."""
MEASURED_BYTES_MIN = 1 << 20
ANSWER_WORK_MS = 1_000
"""What of an answer may be work: the plane's commit, a new connection, a slow device's check of a signed manifest."""
CLAIMS = ("download_mb_s", "upload_mb_s", "latency_ms")
"""The facts that the plane measures too; bit i of a doubt is of the i-th."""
NEVER = -1
_LINE = np.dtype([("download", np.float32), ("upload", np.float32), ("answer", np.float32), ("hour", np.int32)])


class Held(NamedTuple):
    """What a batch claimed, as it counts, and what of it contradicts history: claim -> (rows, the first one's ms)."""

    telemetry: Telemetry
    against: dict[str, tuple[int, int]]


class Measured(NamedTuple):
    """What was measured of one device: MB/s each way, ms from offer to answer; NaN unknown."""

    download: float
    upload: float
    answer_ms: float


class Claims:
    """By device number: what was measured of its line, which of its last claims contradict it, and since when."""

    def __init__(self) -> None:
        self._line = _unmeasured(16)
        self._known: Mask = np.zeros(16, np.bool_)
        self.doubts: NDArray[np.uint8] = np.zeros(16, np.uint8)
        self.since_ms: Numbers = np.full(16, NEVER, np.int64)
        self._any = False
        self._doubted = 0  # devices with a doubt

    def learn(self, device: int, lease: LeaseRow) -> None:
        """Take in what `lease`, which has ended or is stored, measured of `device`'s line."""
        answer = float(lease.held_ms - lease.granted_ms) if lease.held_ms >= 0 else -1.0
        told = (lease.download_mb_s, lease.upload_mb_s, answer)
        if max(told) < 0:
            return
        self._any = True
        self._grow(device + 1)
        *known, hour = self._line.item(device)
        rates = [value if new < 0 else _nearer(value, new) for value, new in zip(known, told, strict=True)]
        at_ms = lease.reported_ms if lease.reported_ms >= 0 else lease.ended_ms
        self._line[device] = (*rates, max(at_ms // HOUR_MS, hour))
        self._known[device] = True

    def of(self, device: int) -> Measured:
        """What was measured of `device`."""
        if device >= len(self._known):
            return Measured(math.nan, math.nan, math.nan)
        download, upload, answer, _ = self._line.item(device)
        return Measured(download, upload, answer)

    def doubt(self, device: int) -> tuple[tuple[str, ...], int]:
        """Which of `device`'s last claims contradict its history, and since when without a break (ms; -1: none)."""
        if device >= len(self._known) or not self.doubts[device]:
            return (), NEVER
        bits = int(self.doubts[device])
        return tuple(name for bit, name in enumerate(CLAIMS) if bits >> bit & 1), int(self.since_ms[device])

    def hold(self, devices: Numbers, at_ms: Numbers, told: Telemetry, rows: Numbers) -> Held:
        """What `devices` (int64 (n,), none twice) told at `at_ms` in `rows` of `told`, held to their history.

        The telemetry is `told` itself where nothing contradicts, else a copy of the columns in which something does.
        """
        if not self._any or len(devices) == 0:
            return Held(told, {})
        self._grow(int(devices.max()) + 1)
        known = np.flatnonzero(self._known[devices])
        if len(known) == 0:
            return Held(told, {})
        mine, at = devices[known], at_ms[known]
        line = self._line[mine]
        slack: Levels = np.float32(CONTRADICTION) / faded(at // HOUR_MS - line["hour"])
        doubts = np.zeros(len(known), np.uint8)
        columns: dict[str, Levels] = {}
        against: dict[str, tuple[int, int]] = {}
        for bit, name in enumerate(CLAIMS):
            column: Levels = getattr(told, name)
            value, off = plausible(column[rows[known]], *_bounds(name, line, slack))
            places = np.flatnonzero(off)
            if len(places) == 0:
                continue
            columns[name] = column.copy()
            columns[name][rows[known[places]]] = value[places]
            against[name] = (len(places), int(at[places[0]]))
            doubts[places] |= np.uint8(1 << bit)
        self._doubt(mine, at, doubts)
        return Held(replace(told, **columns) if columns else told, against)

    def _doubt(self, devices: Numbers, at_ms: Numbers, doubts: NDArray[np.uint8]) -> None:
        """A doubt begins with the first claim that contradicts, and ends with check-in whose claims all hold."""
        if not self._doubted and not doubts.any():
            return
        before, now = self.doubts[devices] != 0, doubts != 0
        begun, over = now & ~before, before & ~now
        self.since_ms[devices[begun]] = at_ms[begun]
        self.since_ms[devices[over]] = NEVER
        self.doubts[devices] = doubts
        self._doubted += int(np.count_nonzero(begun)) - int(np.count_nonzero(over))

    def _grow(self, size: int) -> None:
        more = max(size, 2 * len(self._known)) - len(self._known)
        if size <= len(self._known):
            return
        self._line = np.concatenate([self._line, _unmeasured(more)])
        self._known = np.concatenate([self._known, np.zeros(more, np.bool_)])
        self.doubts = np.concatenate([self.doubts, np.zeros(more, np.uint8)])
        self.since_ms = np.concatenate([self.since_ms, np.full(more, NEVER, np.int64)])


def rate_mb_s(moved: Transfer) -> float:
    """MB/s of a transfer to four digits, -1 if it was not measured or is too small to tell."""
    if moved.bytes < MEASURED_BYTES_MIN or moved.ms <= 0:
        return -1.0
    return float(f"{moved.bytes / moved.ms / 1000:.4g}")


def plausible(claimed: Levels, least: Levels, most: Levels) -> tuple[Levels, Mask]:
    """`claimed` within `least` and `most` (float32 (n,), NaN unknown): the value to use, and where it is not `claimed`.

    Without history a claim stands as it is, and without a claim the value is NaN.
    """
    value: Levels = np.where(np.isnan(least), claimed, np.clip(claimed, least, most)).astype(np.float32)
    return value, ~np.isnan(claimed) & (value != claimed)


def _bounds(name: str, line: NDArray[np.void], slack: Levels) -> tuple[Levels, Levels]:
    """The least and the most that claim `name` may be, by the measured `line`, a factor of `slack` off."""
    if name != "latency_ms":
        measured: Levels = line["download" if name == "download_mb_s" else "upload"]
        return measured / slack, measured * slack
    answer: Levels = line["answer"]
    least: Levels = np.maximum(answer - np.float32(ANSWER_WORK_MS), np.float32(0)) / (np.float32(2) * slack)
    most: Levels = np.maximum(answer, np.float32(2 * ANSWER_WORK_MS)) * (slack / np.float32(2))
    return least, most


def _nearer(known: float, new: float) -> float:
    """`known` moved towards `new`, which counts as at most `CLIP` times off; `new` itself where nothing is known."""
    if math.isnan(known):
        return new
    return known + STEP * (min(max(new, known / CLIP), known * CLIP) - known)


def _unmeasured(rows: int) -> NDArray[np.void]:
    made = np.zeros(rows, _LINE)
    for name in ("download", "upload", "answer"):
        made[name] = np.nan
    return made
