"""Power of choice: of a random set of candidates, those with the highest last loss take part.

Decides: `candidates` times as many as there are seats are drawn at random (weighted by preference), and the cohort is
the ones of them that never took part, then the highest losses, ties by draw. One that took part and told no loss counts
as the median of those that did: not telling is no way to the front. Never: asks a device for its loss before
the round: the last one it told stands in for it (the paper's variant rpow-d). Candidates 1.0 is the uniform strategy.
Limit: a higher share of candidates learns faster and less evenly; the paper's d between the cohort and the whole fleet.
Source: Cho, Wang and Joshi 2020, "Client selection in federated learning: convergence analysis and power_of_choice
selection strategies", section 4.
"""

import math
from typing import ClassVar

import msgspec
import numpy as np

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.weighted import weighted_keys


class PowerOfChoice(msgspec.Struct, frozen=True):
    """The highest losses of a random set that has `candidates` devices for each seat."""

    candidates: float
    name: ClassVar[str] = "power_of_choice"

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """One group: the random set."""
        return {0: math.ceil(self.candidates * ask.seats)}

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """One group; the key is the draw, weighted by preference."""
        return np.zeros(len(candidates.device), np.int16), weighted_keys(candidates.draw, candidates.preference)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """Those never seen first, then the highest losses; ties by key, then device."""
        told = kept.loss[~np.isnan(kept.loss)]
        usual = np.median(told) if len(told) else np.float32(0.0)
        unseen = np.where(kept.times == 0, np.inf, usual)
        loss = np.where(np.isnan(kept.loss), unseen, kept.loss)
        keys = weighted_keys(kept.draw, kept.preference)
        order: Numbers = np.lexsort((kept.device, keys, -loss))[: ask.seats]
        return order
