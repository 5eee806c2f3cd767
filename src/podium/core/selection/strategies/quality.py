"""Selection by the quality of a device's data: a random sample weighted by its quality score.

Decides: the weight is the quality (scores.py) times the preference; an unknown quality counts as `NEUTRAL`. Never:
keeps a device out for bad data: `requires` does. Weighted, not ranked, so that the same few do not train for ever.
Source: Efraimidis and Spirakis 2006 (weighted.py) for the sampling; what the score is made of is this product's own.
"""

from typing import ClassVar

import msgspec
import numpy as np

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.weighted import smallest, weighted_keys

NEUTRAL = 0.5
"""The quality of data nobody told anything about."""


class Quality(msgspec.Struct, frozen=True):
    """A random sample weighted by data quality and preference."""

    name: ClassVar[str] = "quality"

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """One group, of as many as there are seats."""
        return {0: ask.seats}

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """One group; the key is the draw, weighted."""
        return np.zeros(len(candidates.device), np.int16), _keys(candidates)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """The smallest keys."""
        return smallest(_keys(kept), kept.device, ask.seats)


def _keys(candidates: Candidates) -> Floats:
    quality = np.where(np.isnan(candidates.quality), NEUTRAL, candidates.quality)
    return weighted_keys(candidates.draw, quality * candidates.preference)
