"""When a device that the open rounds refuse for its own part is of use again: it is told to come back then.

Decides: the return windows of whoever took part too recently, in this round already, or as often as it may, has
spent its budget, or lost its last leases. Refused by several rounds, it comes when the first of them could take it; it
comes as everybody does if one of them holds something else against it, or if a run that goes on was not asked.
Never: who is refused (permits.py), nor what everybody else is told (pacing/windows.py). Whoever can be of no use to
any of these runs is told what an idle population is: a new run may want it.
Limits: at most `window_max_ms`. Budgets are free again all at once, so who spent one comes as a crowd that arrives at
that moment would be told to.
"""

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.pacing.windows import PaceView, windows
from podium.core.rounds.wants import soonest_ms, wanting
from podium.core.rows import RoundRow
from podium.core.selection.budgets import NEVER_MS
from podium.core.selection.eligible import Reasons
from podium.core.selection.permits import budget_free_ms, out_of_tries, over_budget, too_often
from podium.core.selection.reasons import REASONS
from podium.core.state import State

Numbers = NDArray[np.int64]

RESTS: NDArray[np.bool_] = np.isin(REASONS, ("separation", "round-done", "spent", "budget", "backoff"))
"""By reason code: whether time alone ends it."""


def rows_resting(reasons: Reasons) -> Numbers:
    """The rows (positions) of `reasons` that are to rest."""
    return RESTS[reasons].nonzero()[0]


def rest_ms(state: State, view: PaceView, devices: Numbers, at_ms: Numbers) -> Numbers:
    """In how long each of `devices`, that heard such a reason at `at_ms`, is of use again: int64 ms, same shape.

    0 and below: at once, for all that is known.
    """
    free = _free_ms(state, view, devices, at_ms)
    left: Numbers = np.minimum(free - at_ms, state.limits.window_max_ms)
    never = np.flatnonzero(free >= NEVER_MS)
    if len(never):
        left[never] = windows(state.limits, replace(view, seats=0), devices[never], at_ms[never])[1]
    return left


def _free_ms(state: State, view: PaceView, devices: Numbers, at_ms: Numbers) -> Numbers:
    """From when on some run could take each of `devices`."""
    rows = wanting(state)
    going = {run for run, _ in state.open if state.runs[run].state == "RUNNING"}
    if going - {row.run for row in rows}:
        return at_ms
    free: Numbers = np.full(len(devices), NEVER_MS)
    for row in rows:
        free = np.minimum(free, _free_of(state, view, row, devices, at_ms))
    return free


def _free_of(state: State, view: PaceView, row: RoundRow, devices: Numbers, at_ms: Numbers) -> Numbers:
    """From when on no bound of the task keeps each of `devices` from `row`, or from the round that follows it."""
    work, run, free = state.open[row.run, row.number], state.runs[row.run], at_ms.copy()
    apart = int(state.task_of(row.run).task.select.separation)
    if apart:
        took = state.fleet.participated_ms[devices]
        free = np.where(took >= 0, np.maximum(free, took + apart), free)
    done = out_of_tries(state, work, devices)
    if done.any():
        free[done] = np.maximum(free[done], row.reporting_ms + soonest_ms(state, row.run, row.number))
    over = over_budget(state, run, devices, at_ms)
    if over is not None and over.any():
        again = budget_free_ms(state, run, devices[over], at_ms[over])
        some = np.flatnonzero(again < NEVER_MS)
        again[some] += windows(state.limits, view, devices[over][some], again[some])[1]
        free[over] = np.maximum(free[over], again)
    free = np.maximum(free, state.losses[row.run].free_ms(devices))
    often = too_often(state, run, devices)
    if often is not None:
        free[often] = NEVER_MS
    return free
