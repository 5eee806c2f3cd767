"""Uniform selection: a simple random sample of those that fit.

Decides: the smallest keyed draws take part; with `prefers` the sample is weighted by the preference. Never: looks at
utility, loss or speed. The strategy that no other may be worse than.
Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data", algorithm 1
(a random set of clients each round).
"""

from typing import ClassVar

import msgspec
import numpy as np

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.weighted import smallest, weighted_keys


class Uniform(msgspec.Struct, frozen=True):
    """A simple random sample, weighted by preference."""

    name: ClassVar[str] = "uniform"

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """One group, of as many as there are seats."""
        return {0: ask.seats}

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """One group; the key is the draw, weighted."""
        return np.zeros(len(candidates.device), np.int16), weighted_keys(candidates.draw, candidates.preference)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """The smallest keys."""
        return smallest(weighted_keys(kept.draw, kept.preference), kept.device, ask.seats)
