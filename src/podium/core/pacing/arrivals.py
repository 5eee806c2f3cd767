"""What is known of a population's day: check-ins and devices waiting, in quarter hours of the plane's day.

Decides: expected arrivals, and the fewest and most devices of a day, in quarter hours (ms modulo 86,400,000), weighted
over days. Never: a window (windows.py), nor who waits now (pace.py). Limits: one form of day; a week has seven alike.
Silence of up to a day counts as no arrivals; a longer one (the plane was down) teaches nothing, nor does the first
quarter, begun midway. What a day came to is taken over at the plane's midnight, so that one day has one rate.
Counts are whole numbers until their quarter is over, so cutting or joining batches changes nothing.
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
KNOWN_LEAST = 0.9
"""So much of a day tells its fewest and most: the first hours of a plane, when who waits is not known yet, may lack."""
ANCHOR_SWING = 4.4
"""Until a day is learned, it may come to so many times more or less than the first number of waiting devices:
sqrt(60 min / 5 min) = 3.5 is what windows can level, and a quarter more."""


class Arrivals:
    """What is known of each quarter hour: float64 arrays of `QUARTERS`, NaN before it was seen."""

    def __init__(self) -> None:
        self.counts: Shares = np.full(QUARTERS, np.nan)
        self.waiting: Shares = np.full(QUARTERS, np.nan)
        self.anchor = np.nan
        self._band = (np.nan, np.nan)
        self._quarter = -1
        self._whole = False
        self._count = 0
        self._waited, self._looks = 0, 0
        self._last_count = np.nan

    def observe(self, at_ms: Numbers) -> None:
        """Check-ins at `at_ms` (int64, ascending), shape (n,)."""
        start = 0
        while start < len(at_ms):
            quarter = int(at_ms[start]) // QUARTER_MS
            end = int(at_ms.searchsorted((quarter + 1) * QUARTER_MS))
            self._turn(quarter)
            self._count += end - start
            start = end

    def note(self, at_ms: int, waiting: int) -> None:
        """So many devices wait at `at_ms`, which is not before the last check-in that was observed."""
        self._turn(at_ms // QUARTER_MS)
        self._waited, self._looks = self._waited + waiting, self._looks + 1
        if np.isnan(self.anchor) or not self.anchor / ANCHOR_SWING <= waiting <= self.anchor * ANCHOR_SWING:
            self.anchor = float(waiting) if waiting > 0 else np.nan

    def rate_per_s(self, at_ms: int) -> float:
        """Arrivals a second expected at `at_ms`: as learned, else those of the last whole quarter, else 0."""
        return float(np.nan_to_num(self._expected(self.counts, self._last_count, at_ms))) * 1000 / QUARTER_MS

    def forecast(self, from_ms: int, until_ms: int) -> float:
        """The arrivals expected in [`from_ms`, `until_ms`)."""
        total, start = 0.0, from_ms
        while start < until_ms:
            end = min(until_ms, (start // QUARTER_MS + 1) * QUARTER_MS)
            total += self.rate_per_s((start // QUARTER_MS) * QUARTER_MS + QUARTER_MS // 2) * (end - start) / 1000
            start = end
        return total

    def band(self, online: float, enrolled: float) -> tuple[float, float, bool]:
        """The fewest and most devices that wait over the day, and whether they were learned.

        Before a day was seen they are as far from the anchor (the first number noted, else `online`) as they may be;
        no more than are `enrolled`.
        """
        if not np.isnan(self._band[0]):
            return *self._band, True
        middle = online if np.isnan(self.anchor) else float(self.anchor)
        return middle / ANCHOR_SWING, max(middle, min(middle * ANCHOR_SWING, enrolled)), False

    def tomorrow(self) -> tuple[float, float, bool]:
        """The band that is taken over when the day is over; not learned where too little of a day was seen."""
        known = self.waiting[~np.isnan(self.waiting)]
        if len(known) < KNOWN_LEAST * QUARTERS:
            return np.nan, np.nan, False
        return float(known.min()), float(known.max()), True

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
            self._whole = False
        else:
            if self._whole:
                self._learn(self._quarter, self._count, self._waited / self._looks if self._looks else np.nan)
            for silent in range(self._quarter + 1, quarter):
                self._learn(silent, 0, 0.0)
            self._whole = True
            if quarter // QUARTERS > self._quarter // QUARTERS:
                low, high, learned = self.tomorrow()
                self._band = (low, high) if learned else self._band
        self._quarter, self._count, self._waited, self._looks = quarter, 0, 0, 0

    def _learn(self, quarter: int, count: int, waiting: float) -> None:
        place = quarter % QUARTERS
        self._last_count = float(count)
        _move(self.counts, place, float(count))
        if not np.isnan(waiting):
            _move(self.waiting, place, waiting)


def _move(learned: Shares, place: int, new: float) -> None:
    known = learned[place]
    learned[place] = new if np.isnan(known) else known + NEW_DAY * (new - known)
