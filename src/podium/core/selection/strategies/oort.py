"""Oort: whoever's data teach the most per second, and a decaying share of newcomers.

Decides: exploited are devices that told a utility: score = min(utility, cap) / cap + sqrt(0.1 ln(round) / last round),
times (preferred / duration)^alpha for one slower than preferred, times the preference. Those within `CUTOFF` of the
score of the last seat are sampled, weighted by score. Explored are the others, a share of max(explore_least, explore *
decay^(round - 1)) of the seats, sampled by speed where it is known, and less the more often one took part and told no
utility. Seats that one side cannot fill go to the other.
The bonus divides by the number of the round of last participation, as the paper does: the longer ago, the larger.
Utilities are divided by the cap, so that score and bonus are of one size; without a cap they stand as told.
Never: a utility that nobody told. Limit: of the exploited the best `POOL` times the seats are kept, so the sampling is
among these. Source: Lai et al. 2021, "Oort: efficient federated learning via guided participant selection" (OSDI),
sections 4.2 to 4.4 and algorithm 1.
"""

from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.weighted import smallest, weighted_keys

EXPLOIT, EXPLORE = 0, 1
CUTOFF = 0.95
"""Scores down to this share of the last seat's are sampled."""
POOL = 4
"""How many of the best are kept for one seat."""
SPEED_MOST = 10.0
"""An unexplored device counts as at most so many times as fast as preferred."""


TIE = 1e-6
"""Scores that differ by less are one: the draw decides. Capped utilities tie by the thousand, and a device's number
must not decide among them for ever."""
UTILITY_MOST = 1e30
"""Above it a told utility counts as so much: infinity would be a rank that no other can reach."""


class Oort(msgspec.Struct, frozen=True):
    """Utility per time, with exploration. `alpha` punishes slowness; the other three are the share of newcomers."""

    alpha: float
    explore: float
    explore_least: float
    decay: float
    name: ClassVar[str] = "oort"

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """The best of those known, and newcomers."""
        return {EXPLOIT: POOL * ask.seats, EXPLORE: ask.seats}

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """Known ones by score, newcomers by a draw weighted by speed."""
        new = np.isnan(candidates.utility)
        ranked = 1.0 / (1.0 + self.scores(ask, candidates)) + TIE * candidates.draw
        keys = np.where(new, self._newcomer_keys(ask, candidates), ranked)
        return np.where(new, np.int16(EXPLORE), np.int16(EXPLOIT)), keys

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """The exploited, smallest key first, then the explored."""
        new = np.flatnonzero(np.isnan(kept.utility))
        known = np.flatnonzero(~np.isnan(kept.utility))
        explored = min(len(new), round(self.explore_share(ask) * ask.seats))
        exploited = min(len(known), ask.seats - explored)
        explored = min(len(new), ask.seats - exploited)
        best, newcomers = kept.at(known), kept.at(new)
        first = known[self._exploited(ask, best, exploited)]
        then = new[smallest(self._newcomer_keys(ask, newcomers), newcomers.device, explored)]
        return np.concatenate([first, then])

    def explore_share(self, ask: RoundAsk) -> float:
        """The share of the seats that newcomers get in this round, 0 to 1."""
        return max(self.explore_least, self.explore * self.decay ** (ask.round - 1))

    def scores(self, ask: RoundAsk, candidates: Candidates) -> Floats:
        """Utility per time of each candidate (float64, >= 0); NaN for one that told no utility."""
        scale = ask.utility_cap if 0 < ask.utility_cap < np.inf else 1.0
        capped = np.clip(candidates.utility.astype(np.float64), 0.0, min(ask.utility_cap, UTILITY_MOST)) / scale
        bonus = np.sqrt(0.1 * np.log(max(1, ask.round)) / np.maximum(candidates.last_round, 1))
        # fmax takes the other operand where the duration is unknown: nobody is punished for what is not known
        slowness = np.fmax(candidates.duration_ms / ask.preferred_ms, 1.0).astype(np.float64)
        score: Floats = (capped + bonus) * slowness**-self.alpha * candidates.preference
        return score

    def _exploited(self, ask: RoundAsk, known: Candidates, count: int) -> Numbers:
        if count == 0:
            return np.empty(0, np.int64)
        scores = self.scores(ask, known)
        cutoff = CUTOFF * np.partition(scores, len(scores) - count)[len(scores) - count]
        pool: NDArray[np.int64] = np.flatnonzero(scores >= cutoff)
        keys = weighted_keys(known.draw[pool], scores[pool] / max(float(scores.max()), 1e-12))
        return pool[smallest(keys, known.device[pool], count)]

    def _newcomer_keys(self, ask: RoundAsk, candidates: Candidates) -> Floats:
        speed = ask.preferred_ms / np.maximum(candidates.duration_ms, 1.0)
        weight = np.where(np.isnan(speed), 1.0, np.minimum(speed, SPEED_MOST))
        return weighted_keys(candidates.draw, weight * candidates.preference / (1 + candidates.times))
