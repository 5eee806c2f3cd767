"""Stratified selection: each stratum gets its share of the seats, and a random sample within.

Decides: seats by `strata_shares` with the largest remainder (ties: the smaller stratum number); what a stratum cannot
fill goes to those that still have candidates, by their shares again, and last to devices of an unknown stratum or one
without a share. Within a stratum the sample is weighted by preference. Never: what the strata or their shares are.
Limits: strata are numbered 1 to `STRATA_MAX`; each keeps as many nominees as there are seats, so that any may fill up.
Source: Cochran 1977, "Sampling techniques", chapter 5 (proportional allocation); the largest remainder is Hamilton's.
"""

from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.weighted import smallest, weighted_keys

STRATA_MAX = 255


class Stratified(msgspec.Struct, frozen=True):
    """A quota for each stratum, and a random sample within it. Group 0: no known stratum with a share."""

    name: ClassVar[str] = "stratified"

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """One group a stratum, and group 0."""
        return {0: ask.seats, **dict.fromkeys(_shares(ask), ask.seats)}

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """The stratum's group; the key is the draw, weighted by preference."""
        return _groups(ask, candidates), weighted_keys(candidates.draw, candidates.preference)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """The smallest keys of each stratum, as many as its quota; strata in order, the unknown ones last."""
        groups, keys = _groups(ask, kept), weighted_keys(kept.draw, kept.preference)
        rows = {number: np.flatnonzero(groups == number) for number in [*_shares(ask), 0]}
        quota = quotas(_shares(ask), {number: len(each) for number, each in rows.items()}, ask.seats)
        chosen = [each[smallest(keys[each], kept.device[each], quota[number])] for number, each in rows.items()]
        return np.concatenate(chosen)


def quotas(shares: dict[int, float], available: dict[int, int], seats: int) -> dict[int, int]:
    """Stratum -> seats: by `shares`, never more than `available`; group 0 gets what no stratum with a share can use."""
    given = dict.fromkeys(available, 0)
    left = min(seats, sum(available.values()))
    while left > 0:
        open_ = {number: share for number, share in shares.items() if given[number] < available[number]} or {0: 1.0}
        dealt = largest_remainder(open_, left)
        for number, part in dealt.items():
            given[number] = min(available[number], given[number] + part)
        left = min(seats, sum(available.values())) - sum(given.values())
    return given


def largest_remainder(shares: dict[int, float], seats: int) -> dict[int, int]:
    """Exactly `seats` dealt by `shares` (above 0): whole parts, then the largest remainders, ties: smaller number."""
    total = sum(shares.values())
    exact = {number: seats * share / total for number, share in shares.items()}
    dealt = {number: int(part) for number, part in exact.items()}
    order = sorted(exact, key=lambda number: (dealt[number] - exact[number], number))
    for number in order[: seats - sum(dealt.values())]:
        dealt[number] += 1
    return dealt


def _shares(ask: RoundAsk) -> dict[int, float]:
    return {
        number: share for number, share in sorted(ask.strata_shares.items()) if 1 <= number <= STRATA_MAX and share > 0
    }


def _groups(ask: RoundAsk, candidates: Candidates) -> Groups:
    group_of: NDArray[np.int16] = np.zeros(STRATA_MAX + 2, np.int16)
    for number in _shares(ask):
        group_of[number] = number
    # beyond the last stratum stands another element that leads to group 0
    groups: Groups = group_of[np.clip(candidates.stratum, 0, STRATA_MAX + 1)]
    return groups
