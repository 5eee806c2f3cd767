"""What a task lets one device do at most: how soon again, how often in a round and a run, what it may spend,
and when it is tried again after losing its leases.

Decides: who has reached a bound at a moment; admission asks at each check-in, and the grant again of whoever was
nominated. Never: what a lease costs (budgets.py), nor whom else a bound holds back.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.open_round import BARRED, OpenRound
from podium.core.rows import RoundRow, RunRow
from podium.core.selection.budgets import NEVER_MS
from podium.core.selection.eligible import Reasons
from podium.core.selection.reasons import CODE
from podium.core.selection.strategies.fair import may_take_part
from podium.core.state import State
from podium.tasks.task import Budgets

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def withheld(state: State, row: RoundRow, devices: Numbers, at_ms: Numbers) -> Reasons:
    """Which bound each of `devices` (int64) has reached for the round at `at_ms` (int64, same shape): int16 codes.

    CODE["offered"]: none. The columns of the open round hold every device (`OpenRound.grow`).
    """
    work, task, run = state.open[row.run, row.number], state.task_of(row.run).task, state.runs[row.run]
    codes: Reasons = np.zeros(len(devices), np.int16)  # CODE["offered"]
    if state.privacy.epsilon_left(run, task) <= 0:
        codes[:] = CODE["privacy"]
        return codes
    if task.select.separation:
        took = state.fleet.participated_ms[devices]
        codes[(took >= 0) & (at_ms - took < task.select.separation)] = CODE["separation"]
    if work.count:  # some lease stands or stood in the round
        codes[out_of_tries(state, work, devices)] = CODE["round-done"]
    often, spent = too_often(state, run, devices), over_budget(state, run, devices, at_ms)
    lost = state.losses[row.run].resting(devices, at_ms)
    for mask, reason in ((often, "spent"), (spent, "budget"), (lost, "backoff")):
        if mask is not None:
            codes[mask & (codes == CODE["offered"])] = CODE[reason]
    return codes


def out_of_tries(state: State, work: OpenRound, devices: Numbers) -> Mask:
    """Which of `devices` (int64) may take no further lease of the round `work` (bool, same shape)."""
    tried: Mask = work.attempts[devices] >= min(BARRED, state.limits.leases_per_device_max)
    return tried


def too_often(state: State, run: RunRow, devices: Numbers) -> Mask | None:
    """Which of `devices` (int64) took part in `run` as often as they may (bool, same shape); None: no such bound."""
    fairness, learned = state.task_of(run.id).task.select.fairness, state.experience.get(run.id)
    if not fairness.times_max or learned is None:
        return None
    learned.grow(state.fleet.size)
    return ~may_take_part(fairness, learned.times[devices])


def over_budget(state: State, run: RunRow, devices: Numbers, at_ms: Numbers) -> Mask | None:
    """Which of `devices` have spent what they may on the task of `run` at `at_ms`; None: no such bound."""
    task = state.task_of(run.id)
    budgets, spent = task.task.select.budgets, state.spent.get(task.id)
    if budgets == Budgets():
        return None
    if spent is None:
        return np.full(len(devices), 0 < budgets.bytes_per_month < 2 * state.bytes_of(run.base), np.bool_)
    return spent.over(budgets, devices, at_ms, state.bytes_of(run.base))


def budget_free_ms(state: State, run: RunRow, devices: Numbers, at_ms: Numbers) -> Numbers:
    """From when on each of `devices`, that are over a budget of the task of `run`, may spend again: as `Spent.free_ms`.

    Where nobody has spent anything it is because the base alone takes more.
    """
    task = state.task_of(run.id)
    spent = state.spent.get(task.id)
    if spent is None:
        return np.full(len(devices), NEVER_MS)
    return spent.free_ms(task.task.select.budgets, devices, at_ms, state.bytes_of(run.base))
