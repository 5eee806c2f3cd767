"""What ended leases taught, in the order in which they ended: the estimates of reliability.py, fed in bulk.

Decides: when what was noted is learned: before anybody reads it, so that nothing depends on how leases came in batches.
Never: what counts as a loss (state.py notes). How long work takes is kept by run as well: one task's pace says nothing
of another's. Limits: durations count once there are `DURATIONS_MIN` of a class, or of the run; after a restart classes
are known again only as devices come, so that what was learned of them begins anew.
"""

import numpy as np

from podium.core.fleet.reliability import (
    BINS,
    DURATION_EDGES_MS,
    HOUR_MS,
    Faded,
    Levels,
    Numbers,
    Observations,
    Reliability,
)

NOTED_MAX = 4_096
DURATIONS_MIN = 20
"""With fewer, the p95 of a class's durations, or of a run's, is hearsay."""
SLOW = 0.95
"""Who takes longer than this share of its like is slow."""


class Learned:
    """What was noted and what it came to; `Faded` durations by run are forgotten with it."""

    def __init__(self) -> None:
        self._reliability = Reliability()
        self._durations: dict[str, Faded] = {}
        self._pooled: dict[str, Faded] = {}  # the same of all classes together, as class 0
        self._noted: list[tuple[str, int, int, bool, float, int]] = []

    def note(self, run: str, device: int, group: int, lost: bool, duration_ms: float, at_ms: int) -> None:
        """A lease of `device` (of class `group`, -1 unknown) ended: without a report, or with one after `duration_ms`
        (NaN unknown)."""
        self._noted.append((run, device, group, lost, duration_ms, at_ms))
        if len(self._noted) >= NOTED_MAX:
            self._learn()

    def reliability(self) -> Reliability:
        """The estimates, with everything noted learned."""
        self._learn()
        return self._reliability

    def durations(self, run: str, classes: Numbers, q: float) -> Levels:
        """The `q` quantile of each class's durations in `run` in ms: float32, shape of `classes`, NaN unknown."""
        self._learn()
        known = self._durations.get(run)
        if known is None:
            return np.full(len(classes), np.nan, np.float32)
        distinct, place = np.unique(classes, return_inverse=True)
        found = known.quantile(distinct, q, DURATION_EDGES_MS)
        found[known.of(distinct).sum(axis=1) < DURATIONS_MIN] = np.nan
        return found[place]

    def slowest(self, run: str, classes: Numbers) -> Levels:
        """The p95 of each class's durations in `run` in ms: float32, shape of `classes`.

        A class that told too little counts as all of the run together: a fleet of many small classes (labels make
        them) would else never know any. NaN only while the run as a whole has told too little.
        """
        found = self.durations(run, classes, SLOW)
        pooled = self._pooled.get(run)
        every = np.zeros(1, np.int64)
        if pooled is not None and pooled.of(every).sum() >= DURATIONS_MIN:
            found = np.where(np.isnan(found), pooled.quantile(every, SLOW, DURATION_EDGES_MS), found)
        return found

    def forget(self, run: str) -> None:
        """`run` is over."""
        self._learn()
        self._durations.pop(run, None)
        self._pooled.pop(run, None)

    def _learn(self) -> None:
        if not self._noted:
            return
        runs, devices, classes, lost, durations, at = zip(*self._noted, strict=True)
        self._noted = []
        unknown = np.full(len(devices), np.nan, np.float32)
        seen = Observations(
            devices=np.array(devices, np.int64),
            classes=np.array(classes, np.int64),
            lost=np.array(lost, np.bool_),
            duration_ms=np.array(durations, np.float32),
            download=unknown,
            upload=unknown,
            at_ms=np.array(at, np.int64),
        )
        self._reliability.observe(seen)
        told, names = ~np.isnan(seen.duration_ms) & (seen.classes >= 0), np.array(runs)
        for run in dict.fromkeys(runs):
            rows = np.flatnonzero(told & (names == run))
            if len(rows) == 0:
                continue
            table = self._durations.setdefault(run, Faded(BINS))
            pooled = self._pooled.setdefault(run, Faded(BINS))
            hours = np.maximum.accumulate(seen.at_ms[rows] // HOUR_MS)
            bins = np.searchsorted(DURATION_EDGES_MS[1:-1], seen.duration_ms[rows], side="right")
            for hour in np.unique(hours):
                classes = seen.classes[rows][hours == hour]
                table.add(classes, bins[hours == hour], int(hour))
                pooled.add(np.zeros_like(classes), bins[hours == hour], int(hour))
