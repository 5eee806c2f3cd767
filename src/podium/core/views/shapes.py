"""Session shapes: what became of a lease as a short string, a mark for each thing that happened, and their drift.

Decides: a lease's shape, from its state and reason alone, which an ended round keeps: so a shape is the same while a
round is open, when it is over, and after a restart. Never: why a device did it. A mark stands only for what the record
proves: a device that failed or declined may have got further than its shape says.
Limits: the newest `ROUNDS_SEEN` rounds of a run; a drift is told from `SAMPLE_MIN` leases on either side of its newest
`ROUNDS_NEW` ended rounds. What the plane took back ("x") and what is still under way count on neither.
Source: shapes after Bonawitz et al. 2019, "Towards federated learning at scale", section 5; the population stability
index is sum((p - q) ln(p / q)) over shapes, each count with half a lease more; from 0.2 on a distribution is commonly
said to have shifted. For n leases on either side it is about chi-square / (n / 2), so 0.2 at 200 is a chi-square of 20.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from podium.core.rounds import rounds
from podium.core.rounds.table import ROUND_OPEN
from podium.core.rows import RoundRow, RunRow
from podium.core.state import State

LEGEND: dict[str, str] = {
    "-": "checked in and was given a lease",
    "v": "accepted it: it fetches the base version",
    "[": "training began",
    "]": "training ended",
    "+": "the upload began",
    "^": "the update was stored",
    "#": "the update was refused when it was opened",
    "!": "the device told of a failure",
    "*": "nothing moved for too long: the offer or the lease lapsed",
    "/": "the device declined",
    "~": "the device cannot run it",
    "x": "the plane took the lease back",
}
"""Mark -> what happened."""
SHAPES: dict[str, str] = {
    "OFFERED": "-",
    "HELD": "-v",
    "REPORTED": "-v[]+^",
    "ACCEPTED": "-v[]+^",
    "REFUSED": "-v[]+^#",
    "LAPSED:offer": "-*",
    "LAPSED:stall": "-v*",
    "FAILED:plan-raised": "-v[!",
    "FAILED": "-!",
    "DECLINED": "-/",
    "INCOMPATIBLE": "-~",
    "LAPSED": "-*",
    "SUPERSEDED": "-x",
    "REVOKED": "-x",
}
"""State, or state and reason, of a lease -> its shape; the narrower goes first."""
UNDECIDED = ("-", "-v", "-x")
ROUNDS_SEEN = 64
ROUNDS_NEW = 8
SAMPLE_MIN = 200
DRIFT_MAX = 0.2


def shape_of(state: str, reason: str) -> str:
    """The shape of a lease in that state."""
    return SHAPES.get(f"{state}:{reason}") or SHAPES[state]


def meaning(shape: str) -> str:
    """What each mark of `shape` says, in order."""
    return "; ".join(LEGEND[mark] for mark in shape)


def shapes_of(outcomes: Mapping[str, int]) -> dict[str, int]:
    """Shape -> leases, the most first; `outcomes`: "STATE" or "STATE:reason" -> leases, as a round keeps them."""
    counts = Counter[str]()
    for name, count in outcomes.items():
        state, _, reason = name.partition(":")
        counts[shape_of(state, reason)] += count
    return dict(counts.most_common())


class RunShapes(NamedTuple):
    """Shape -> leases of a run's newest rounds: of all, of its newest ended ones, of those before them."""

    every: dict[str, int]
    newest: dict[str, int]
    before: dict[str, int]


def run_shapes(state: State, run: RunRow) -> RunShapes:
    """The shapes of a run's newest rounds, the most first."""
    every, sides, ended = Counter[str](), (Counter[str](), Counter[str]()), 0
    for number in range(run.rounds_opened, max(0, run.rounds_opened - ROUNDS_SEEN), -1):
        row = state.rounds.get((run.id, number))
        if row is None:
            break
        seen = shapes_of(_outcomes(state, row))
        every.update(seen)
        if row.state not in ROUND_OPEN and seen:
            sides[ended >= ROUNDS_NEW].update(seen)
            ended += 1
    return RunShapes(dict(every.most_common()), *map(dict, sides))


def _outcomes(state: State, row: RoundRow) -> dict[str, int]:
    work = state.open.get((row.run, row.number))
    return rounds.outcomes(work) if work else row.outcomes


def drift(seen: RunShapes) -> float:
    """The population stability index of the newest against those before; -1 if either side has too few leases."""
    shares = _shares(seen)
    if shares is None:
        return -1.0
    return sum((new - old) * math.log(new / old) for new, old in shares.values())


def most_moved(seen: RunShapes) -> tuple[str, float, float]:
    """The shape whose share changed most, and its share of the newest and of those before; "" of too few leases."""
    shares = _shares(seen) or {"": (0.0, 0.0)}
    name = max(shares, key=lambda each: abs(shares[each][0] - shares[each][1]))
    return name, *shares[name]


def _shares(seen: RunShapes) -> dict[str, tuple[float, float]] | None:
    names = sorted((seen.newest.keys() | seen.before.keys()) - set(UNDECIDED))
    counts = [[side.get(name, 0) for name in names] for side in (seen.newest, seen.before)]
    if min(map(sum, counts)) < SAMPLE_MIN:
        return None
    shares = [[(count + 0.5) / (sum(side) + 0.5 * len(names)) for count in side] for side in counts]
    return dict(zip(names, zip(*shares, strict=True), strict=True))
