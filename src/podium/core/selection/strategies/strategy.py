"""What a selection strategy is: a group and a key for each nominee, then a cohort out of the kept ones.

Decides: the columns a strategy sees and the three questions it answers. Never: who may be nominated (admission), who
is kept (seats.py), whether a choice stands (plan.py). A strategy is pure: `nominate` looks at each candidate alone, so
that order of arrival, batches and gateways change nothing; chance is the candidate's keyed `draw` and nothing else.
Limits: group numbers fit int16; keys are finite and at least 0, the smaller the better; `preferred_ms` is above zero.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Groups = NDArray[np.int16]
Floats = NDArray[np.float64]


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen view of candidates: columns of one length, one element a candidate, aligned.

    `draw`: keyed and uniform in [0, 1), the same for whoever asks. `utility`: statistical utility told after the last
    participation, examples * sqrt(mean squared loss); NaN: never. `loss`: last training loss; NaN: never told.
    `duration_ms`: expected from grant to report; NaN: unknown. `last_round`: the run's round of the last participation;
    -1: never. `times`: participations in this run. `quality`: of its data, 0 to 1; NaN: unknown. `stratum`: its number;
    0: unknown. `preference`: the weighted `prefers` score, 0 to 1; 1 without `prefers`.
    """

    device: Numbers
    draw: Floats
    utility: NDArray[np.float32]
    loss: NDArray[np.float32]
    duration_ms: NDArray[np.float32]
    last_round: NDArray[np.int32]
    times: NDArray[np.int32]
    quality: NDArray[np.float32]
    stratum: NDArray[np.int32]
    preference: NDArray[np.float32]

    def at(self, rows: Numbers) -> "Candidates":
        """The candidates at positions `rows` (int64), in that order."""
        return Candidates(**{name: getattr(self, name)[rows] for name in self.__struct_fields__})


class RoundAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a round asks for: its number (from 1), `seats` (the cohort with over-selection), and the fleet's measures.

    `preferred_ms`: a duration that costs nothing. `utility_cap`: 95th percentile of the told utilities, inf if unknown.
    `strata_shares`: stratum number (1 to 255) -> its share of the seats; only their proportions count.
    """

    round: int
    seats: int
    preferred_ms: float
    utility_cap: float
    strata_shares: dict[int, float]


class Strategy(Protocol):
    """Who takes part: nominees' groups and keys, and the cohort out of those kept."""

    @property
    def name(self) -> str:
        """The name a task gives in `select.strategy`."""

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        """Group -> how many nominees are kept in it; at least `ask.seats` each, so that any may fill the cohort."""

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        """A group (int16) and a key (float64, >= 0) for each candidate; the smallest keys of a group are kept."""

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        """Positions in `kept` (int64), each once, at most `ask.seats`, best first."""


Maker = Callable[..., Strategy]
"""Makes a strategy from its options, numbers by name: a class with these fields, or a function."""
