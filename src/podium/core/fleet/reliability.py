"""What the plane has measured of its devices: how often a lease is lost, how long one takes, how fast bytes move.

Decides: estimates, per device and per class (devices with equal standing facts), that fade with time. Never: what
follows from them (pacing/adapt.py), nor what a device says of itself: an observation is measured by the plane, and
what a device claims of its line is held against that (claims.py). Limits: 20 bytes a device; `CLASSES_MAX` classes,
beyond which classes share by number; times are whole hours to the decay.
The same rows in the same order give bit-equal estimates however they are cut into batches: a class counts the present
hour in whole numbers and only then adds it to what it knew; a device's rows are taken one after the other.
Source: shrinkage by beta-binomial pseudo-counts (Gelman et al., Bayesian Data Analysis, chapter 5); clipping a new
value to a range about the estimate is Huber's (1964).
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Levels = NDArray[np.float32]
Mask = NDArray[np.bool_]

HOUR_MS = 3_600_000
HALF_LIFE_HOURS = 72
"""After three days an observation counts half."""
CLASSES_MAX = 4_096
CLASS_TRIES = 20.0
"""A class's own losses outweigh the prior after so many leases."""
DEVICE_TRIES = 8.0
"""A device's own losses outweigh its class's after so many leases."""
STEP = 0.25
CLIP = 4.0
"""One duration moves a device's estimate by a quarter of the way, and counts as at most four times the estimate."""

BINS = 64
DURATION_EDGES_MS = np.geomspace(100.0, 86_400_000.0, BINS + 1)
BANDWIDTH_EDGES = np.geomspace(0.001, 10_000.0, BINS + 1)
_FADE = (0.5 ** (np.arange(HALF_LIFE_HOURS * 40) / HALF_LIFE_HOURS)).astype(np.float32)
_COLUMNS = ("tries", "losses", "last_ms", "usual_ms")


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """Leases that ended, in the order of `at_ms`; arrays of shape (n,).

    `devices`, `classes` (-1 unknown), `at_ms` int64; `lost` bool: the device was to report and did not (a lease that
    the plane took back is no evidence and no row). `duration_ms` from grant to report, `download` and `upload` in MB/s,
    as the plane measured them: float32, NaN where it did not.
    """

    devices: Numbers
    classes: Numbers
    lost: Mask
    duration_ms: Levels
    download: Levels
    upload: Levels
    at_ms: Numbers


class Reliability:
    """Columns by device number (float32; NaN is unknown) and tables by class."""

    def __init__(self) -> None:
        self.tries: Levels = np.zeros(16, np.float32)
        self.losses: Levels = np.zeros(16, np.float32)
        self.last_ms: Levels = np.full(16, np.nan, np.float32)
        self.usual_ms: Levels = np.full(16, np.nan, np.float32)
        self.hour: NDArray[np.int32] = np.zeros(16, np.int32)
        self.outcomes = Faded(2)
        self.durations = Faded(BINS)
        self.downloads = Faded(BINS)
        self.uploads = Faded(BINS)
        self._now = 0

    def observe(self, seen: Observations) -> None:
        """Learn from `seen`, in its order."""
        if len(seen.devices) == 0:
            return
        self._grow(int(seen.devices.max()) + 1)
        hours = np.maximum.accumulate(np.maximum(seen.at_ms // HOUR_MS, self._now))
        starts = np.flatnonzero(np.diff(hours, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(hours)], strict=True):
            self._learn_classes(seen, slice(start, end), int(hours[start]))
        for rows in _turns(seen.devices):
            self._learn_devices(seen, rows, hours[rows])
        self._now = int(hours[-1])

    def loss_rate(self, devices: Numbers, classes: Numbers, prior: float = 0.1) -> Levels:
        """The chance that a lease of each device is lost: float32 in (0, 1) for a `prior` (the run's rate) in (0, 1).

        The class's rate is shrunk to `prior` by `CLASS_TRIES` pseudo-leases, the device's to its class's by
        `DEVICE_TRIES`; a device never seen has its class's, a class never seen the prior.
        """
        table = self.outcomes.of(classes)
        shared = (table[:, 1] + CLASS_TRIES * prior) / (table.sum(axis=1) + CLASS_TRIES)
        known = np.flatnonzero(devices < len(self.tries))
        tries, losses = np.zeros(len(devices), np.float32), np.zeros(len(devices), np.float32)
        fade = faded(self._now - self.hour[devices[known]])
        tries[known] = self.tries[devices[known]] * fade
        losses[known] = self.losses[devices[known]] * fade
        rate: Levels = ((losses + DEVICE_TRIES * shared) / (tries + DEVICE_TRIES)).astype(np.float32)
        return rate

    def duration_ms(self, devices: Numbers, classes: Numbers) -> Levels:
        """What a lease of each device usually takes in ms: its own estimate, else its class's median, else NaN."""
        usual = np.full(len(devices), np.nan, np.float32)
        known = devices < len(self.usual_ms)
        usual[known] = self.usual_ms[devices[known]]
        unknown = np.flatnonzero(np.isnan(usual))
        usual[unknown] = self.duration_quantile(classes[unknown], 0.5)
        return usual

    def duration_quantile(self, classes: Numbers, q: float) -> Levels:
        """The `q` quantile of each class's durations in ms, float32, NaN unknown; right to a bin (24 %)."""
        return self.durations.quantile(classes, q, DURATION_EDGES_MS)

    def bandwidth_quantile(self, classes: Numbers, q: float, way: str) -> Levels:
        """The `q` quantile of each class's "download" or "upload" in MB/s, float32, NaN unknown; to a bin (29 %)."""
        table = self.downloads if way == "download" else self.uploads
        return table.quantile(classes, q, BANDWIDTH_EDGES)

    def _grow(self, size: int) -> None:
        while size > len(self.tries):
            for name in _COLUMNS:
                column = getattr(self, name)
                fresh = np.full_like(column, 0.0 if name in ("tries", "losses") else np.nan)
                setattr(self, name, np.concatenate([column, fresh]))
            self.hour = np.concatenate([self.hour, np.zeros_like(self.hour)])

    def _learn_classes(self, seen: Observations, rows: slice, hour: int) -> None:
        classes = seen.classes[rows]
        self.outcomes.add(classes, seen.lost[rows].astype(np.int64), hour)
        for table, values, edges in (
            (self.durations, seen.duration_ms[rows], DURATION_EDGES_MS),
            (self.downloads, seen.download[rows], BANDWIDTH_EDGES),
            (self.uploads, seen.upload[rows], BANDWIDTH_EDGES),
        ):
            told = np.flatnonzero(~np.isnan(values))
            table.add(classes[told], np.searchsorted(edges[1:-1], values[told], side="right"), hour)

    def _learn_devices(self, seen: Observations, rows: Numbers, hours: Numbers) -> None:
        devices = seen.devices[rows]
        fade = faded(hours - self.hour[devices])
        self.tries[devices] = self.tries[devices] * fade + np.float32(1.0)
        self.losses[devices] = self.losses[devices] * fade + seen.lost[rows].astype(np.float32)
        self.hour[devices] = hours
        told = ~np.isnan(seen.duration_ms[rows])
        self.usual_ms[devices[told]] = _nearer(self.usual_ms[devices[told]], seen.duration_ms[rows][told])
        self.last_ms[devices[told]] = seen.duration_ms[rows][told]


class Faded:
    """Counts by class and bin: float32 of shape (classes, bins), halved every `HALF_LIFE_HOURS`."""

    def __init__(self, bins: int) -> None:
        self._known: Levels = np.zeros((16, bins), np.float32)
        self._present: Levels = np.zeros((16, bins), np.float32)
        self._hour = 0

    def add(self, classes: Numbers, bins: Numbers, hour: int) -> None:
        """Count each (class, bin), arrays of shape (n,), in `hour`, which never goes back; class -1 is unknown."""
        if hour > self._hour:
            self._known = (self._known + self._present) * faded(np.array(hour - self._hour))
            self._present = np.zeros_like(self._known)
            self._hour = hour
        classes, bins = classes[classes >= 0], bins[classes >= 0]
        if len(classes) == 0:
            return
        slots = classes % CLASSES_MAX
        while int(slots.max()) >= len(self._known):
            self._known = np.concatenate([self._known, np.zeros_like(self._known)])
            self._present = np.concatenate([self._present, np.zeros_like(self._present)])
        np.add.at(self._present, (slots, bins), np.float32(1.0))

    def of(self, classes: Numbers) -> NDArray[np.float64]:
        """The counts of each class: float64 of shape (n, bins); zeros for one never seen, and for -1."""
        slots = classes % CLASSES_MAX
        counts = np.zeros((len(classes), self._known.shape[1]), np.float64)
        there = (slots < len(self._known)) & (classes >= 0)
        counts[there] = self._known[slots[there]].astype(np.float64) + self._present[slots[there]]
        return counts

    def quantile(self, classes: Numbers, q: float, edges: NDArray[np.float64]) -> Levels:
        """The `q` quantile of each class between `edges` (bins + 1), log-linear within its bin; NaN without counts."""
        distinct, place = np.unique(classes, return_inverse=True)
        counts = self.of(distinct)
        upto = counts.cumsum(axis=1)
        wanted = q * upto[:, -1]
        at = np.minimum((upto < wanted[:, None]).sum(axis=1), counts.shape[1] - 1)
        rows = np.arange(len(distinct))
        inside, held = wanted - (upto[rows, at] - counts[rows, at]), counts[rows, at]
        share = np.divide(inside, held, out=np.zeros_like(inside), where=held > 0)
        value = edges[at] * (edges[at + 1] / edges[at]) ** share
        value[upto[:, -1] == 0.0] = np.nan
        found: Levels = value.astype(np.float32)[place]
        return found


def faded(hours: NDArray[np.integer]) -> Levels:
    """What one observation counts after whole `hours`; from a table, so that it is the same at every place."""
    fade: Levels = _FADE[np.clip(hours, 0, len(_FADE) - 1)]
    return fade


def _nearer(known: Levels, new: Levels) -> Levels:
    """`known` moved towards `new`, which counts as at most `CLIP` times off; `new` itself where nothing is known."""
    clipped = np.clip(new, known / np.float32(CLIP), known * np.float32(CLIP))
    moved: Levels = np.where(np.isnan(known), new, known + np.float32(STEP) * (clipped - known)).astype(np.float32)
    return moved


def _turns(devices: Numbers) -> list[Numbers]:
    """Positions in `devices` such that no device is twice in one turn and each device's rows keep their order."""
    order = np.argsort(devices, kind="stable")
    starts = np.flatnonzero(np.diff(devices[order], prepend=-1))
    turn = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return [order[turn == each] for each in range(int(turn.max()) + 1)]
