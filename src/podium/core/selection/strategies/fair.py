"""Fairness above any strategy: how often one device may take part in a run, and who comes before whom.

Decides: with a `times_max`, who may be nominated at all; with `without_replacement`, that whoever took part less often
comes before whoever took part more often, in nomination and in choice, whatever the strategy prefers (also before a
stratum's quota): nobody is kept twice while somebody nominated has not been once. Never: the minimum separation and
budgets per device (admission). Limit: a strategy's key is told apart among those of equal participations to 1 in 2^30.
Source: sampling without replacement by passes over the fleet ("random reshuffling", Mishchenko et al. 2020; its
federated form is Malinovsky et al. 2023, "Federated learning with regularized client participation").
"""

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk, Strategy
from podium.tasks.task import Fairness

_BELOW_ONE = 1.0 - 2.0**-30


def may_take_part(fairness: Fairness, times: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Who may be nominated after so many participations in the run (int32): a mask (bool, same shape)."""
    if fairness.times_max == 0:
        return np.ones(len(times), np.bool_)
    return times < fairness.times_max


class LeastOftenFirst(msgspec.Struct, frozen=True):
    """`strategy`, asked again for each number of participations, the least first."""

    strategy: Strategy

    @property
    def name(self) -> str:
        """The strategy's own name."""
        return self.strategy.name

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """The strategy's."""
        return self.strategy.groups(ask)

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """The strategy's groups; the key is the number of participations, then the strategy's key folded below 1."""
        groups, keys = self.strategy.nominate(ask, candidates)
        return groups, candidates.times.astype(np.float64) + np.minimum(keys / (1.0 + keys), _BELOW_ONE)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """The strategy's choice among those that took part least often, then among the next, until seats are full."""
        chosen: list[Numbers] = [np.empty(0, np.int64)]
        left = ask.seats
        for times in np.unique(kept.times):
            if left <= 0:
                break
            rows = np.flatnonzero(kept.times == times)
            part = rows[self.strategy.choose(replace(ask, seats=left), kept.at(rows))]
            chosen.append(part)
            left -= len(part)
        return np.concatenate(chosen)
