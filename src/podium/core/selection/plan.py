"""The plan of a cohort: proposed from a frozen view, linted, and only then committed.

Decides: what a strategy's choice has to be before anybody commits it. Never: who is chosen (strategies), what becomes
of the plan (rounds). Limit: reasons are counted, never listed by device: a million waited and a thousand were chosen.
Source: plans over an immutable view and one committer, after the Nomad scheduler.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.selection.strategies.strategy import Candidates, RoundAsk, Strategy
from podium.wire.problems import Bug

Numbers = NDArray[np.int64]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is made from: the kept devices (int64), how many were nominated, the seats, the round's minimum."""

    kept: Numbers
    nominees: int
    seats: int
    minimum: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen device numbers (int64), best first, and reason code -> how many nominees were not chosen for it."""

    devices: Numbers
    unchosen: dict[str, int]


def propose(strategy: Strategy, ask: RoundAsk, kept: Candidates, nominees: int) -> Plan:
    """The plan of `strategy` for `ask` from the `kept` of `nominees`; `Bug` if it chooses no position of the view."""
    places = strategy.choose(ask, kept)
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise Bug(f"strategy {strategy.name} chose {places.dtype} of shape {places.shape}, not a list of positions")
    if len(places) and (int(places.min()) < 0 or int(places.max()) >= len(kept.device)):
        raise Bug(f"strategy {strategy.name} chose outside its view of {len(kept.device)}")
    return Plan(devices=kept.device[places], unchosen={"full": nominees - len(places)})


def lint(plan: Plan, view: View) -> None:
    """Raise `Bug` naming what is wrong unless `plan` may be committed.

    No device twice, none outside the view, at most the seats, at least the minimum if so many were kept and have a
    seat, and a reason for every nominee that was not chosen.
    """
    chosen = len(plan.devices)
    if len(np.unique(plan.devices)) != chosen:
        raise Bug(f"a plan of {chosen} devices names one twice")
    outside = plan.devices[~np.isin(plan.devices, view.kept)]
    if len(outside):
        raise Bug(f"a plan names {outside[:3].tolist()}, who are not kept")
    if chosen > view.seats:
        raise Bug(f"a plan names {chosen} devices for {view.seats} seats")
    least = min(view.minimum, len(view.kept), view.seats)
    if chosen < least:
        raise Bug(f"a plan names {chosen} devices, the round needs {least} of {len(view.kept)} kept")
    if chosen + sum(plan.unchosen.values()) != view.nominees or min(plan.unchosen.values(), default=0) < 0:
        raise Bug(f"a plan of {chosen} devices gives reasons for {plan.unchosen} of {view.nominees} nominees")
