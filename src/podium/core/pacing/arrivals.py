"""When devices arrive: a forecast over the day, learned from their check-ins.

Decides: expected arrivals and how many devices wait, in quarter hours of the plane's day (ms modulo 86,400,000),
weighted over days. Never: a window (windows.py). Limits: one form of day; a week has seven alike. Silence of up to a
day counts as no arrivals; a longer one (the plane was down) teaches nothing, nor does the first quarter, begun midway.
How many wait is not learned in the first `AWAY_MS`: those who have yet to come a second time would be missing.
Counts are whole numbers until their quarter is over, so cutting or joining batches changes nothing.
Source: devices waiting = arrival rate x time between their check-ins (Little 1961, "A proof for the queuing formula
L = lambda W"). The time is measured rather than that told: when windows change, the two differ for one window.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Shares = NDArray[np.float64]

DAY_MS = 86_400_000
QUARTER_MS = 900_000
QUARTERS = DAY_MS // QUARTER_MS
NEW_DAY = 0.3
"""The weight of the newest day; each one before has 0.7 of the next."""
AWAY_MS = 5_400_000
"""Who was not seen for longer was away, not waiting: one and a half times the longest usual window."""
SMOOTH = 5
"""Devices waiting are the mean of so many quarters, about the longest window: else a herd, which lengthens the windows
of those in it alone, would keep itself together."""
ANCHOR_SWING = 4.4
"""Until a day is learned, the first number of waiting devices is the day's middle, up to so many times more or less:
sqrt(60 min / 5 min) = 3.5 is what windows can level, and a quarter more."""


class Arrivals:
    """What is known of each quarter hour: float64 arrays of `QUARTERS`, NaN before it was seen."""

    def __init__(self) -> None:
        self.counts: Shares = np.full(QUARTERS, np.nan)
        self.waiting: Shares = np.full(QUARTERS, np.nan)
        self.smooth: Shares = np.full(QUARTERS, np.nan)
        self.anchor = np.nan
        self._quarter = -1
        self._whole = False
        self._settled_ms = 0
        self._count = 0
        self._waited_ms = 0
        self._last_count = np.nan
        self._recent: list[float] = []

    def observe(self, at_ms: Numbers, before_ms: Numbers) -> None:
        """Check-ins at `at_ms` (int64, ascending) of devices last seen at `before_ms` (int64, -1 never), shape (n,)."""
        if len(at_ms) == 0:
            return
        quarters = at_ms // QUARTER_MS
        waited = np.where((before_ms >= 0) & (at_ms - before_ms <= AWAY_MS), at_ms - before_ms, 0)
        starts = np.flatnonzero(np.diff(quarters, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(at_ms)], strict=True):
            self._turn(int(quarters[start]))
            self._count += int(end - start)
            self._waited_ms += int(waited[start:end].sum())

    def rate_per_s(self, at_ms: int) -> float:
        """Arrivals a second expected at `at_ms`: as learned, else those of the last whole quarter, else 0."""
        return float(np.nan_to_num(self._expected(self.counts, self._last_count, at_ms))) * 1000 / QUARTER_MS

    def online(self, at_ms: int, population: int) -> float:
        """How many devices wait at `at_ms`, by Little's law: as learned, else in the last whole quarter.

        Before there is one: `population`, all that might.
        """
        expected = self._expected(self.smooth, float(np.mean(self._recent)) if self._recent else np.nan, at_ms)
        return float(population) if np.isnan(expected) else min(expected, float(population))

    def forecast(self, from_ms: int, until_ms: int) -> float:
        """The arrivals expected in [`from_ms`, `until_ms`)."""
        total, start = 0.0, from_ms
        while start < until_ms:
            end = min(until_ms, (start // QUARTER_MS + 1) * QUARTER_MS)
            total += self.rate_per_s((start // QUARTER_MS) * QUARTER_MS + QUARTER_MS // 2) * (end - start) / 1000
            start = end
        return total

    def band(self, online: float) -> tuple[float, float, bool]:
        """The fewest and most devices that wait over the day, and whether they were learned.

        Before a whole day was seen both are the anchor: the first number seen, else `online`.
        """
        if not np.isnan(self.smooth).any():
            return float(self.smooth.min()), float(self.smooth.max()), True
        middle = online if np.isnan(self.anchor) else float(self.anchor)
        return middle, middle, False

    def _expected(self, learned: Shares, last: float, at_ms: int) -> float:
        """What was learned, on the line between the middles of two quarters; `last` while either is not known."""
        position = (at_ms % DAY_MS) / QUARTER_MS - 0.5
        low = int(np.floor(position))
        share = position - low
        value = (1.0 - share) * learned[low % QUARTERS] + share * learned[(low + 1) % QUARTERS]
        return float(last if np.isnan(value) else value)

    def _turn(self, quarter: int) -> None:
        """Go on to `quarter`; what was counted in the one before, and the silence between, is learned."""
        if quarter <= self._quarter:
            return
        if self._quarter < 0 or quarter - self._quarter > QUARTERS:
            self._whole, self._settled_ms = False, quarter * QUARTER_MS + AWAY_MS
        else:
            if self._whole:
                self._learn(self._quarter, self._count, self._waited_ms / QUARTER_MS)
            for silent in range(self._quarter + 1, quarter):
                self._learn(silent, 0, 0.0)
            self._whole = True
        self._quarter, self._count, self._waited_ms = quarter, 0, 0

    def _learn(self, quarter: int, count: int, waiting: float) -> None:
        place = quarter % QUARTERS
        self._last_count = float(count)
        _move(self.counts, place, float(count))
        if quarter * QUARTER_MS < self._settled_ms:
            return
        _move(self.waiting, place, waiting)
        # the quarters on either side; one that is not known yet makes the mean unknown
        reach = np.arange(-(SMOOTH // 2), SMOOTH // 2 + 1)
        near = (place + reach) % QUARTERS
        self.smooth[near] = self.waiting[(near[:, None] + reach) % QUARTERS].mean(axis=1)
        self._recent = [*self._recent[1 - SMOOTH :], waiting]
        level = float(np.mean(self._recent))
        if np.isnan(self.anchor) or not self.anchor / ANCHOR_SWING <= level <= self.anchor * ANCHOR_SWING:
            self.anchor = level if level > 0 else np.nan


def _move(learned: Shares, place: int, new: float) -> None:
    known = learned[place]
    learned[place] = new if np.isnan(known) else known + NEW_DAY * (new - known)
