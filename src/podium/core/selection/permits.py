"""What a task lets one device do at most: how often in a run, and what it may spend on the task.

Decides: who has reached a bound at a moment; admission asks at each check-in, so at the grant too. Never: what a lease
costs (budgets.py), nor whom else a bound holds back. None: the task has no such bound.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.rows import RunRow
from podium.core.selection.strategies.fair import may_take_part
from podium.core.state import State
from podium.tasks.task import Budgets

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def too_often(state: State, run: RunRow, devices: Numbers) -> Mask | None:
    """Which of `devices` (int64) took part in `run` as often as they may (bool, same shape)."""
    fairness, learned = state.task_of(run.id).task.select.fairness, state.experience.get(run.id)
    if not fairness.times_max or learned is None:
        return None
    learned.grow(state.fleet.size)
    return ~may_take_part(fairness, learned.times[devices])


def over_budget(state: State, run: RunRow, devices: Numbers, at_ms: Numbers) -> Mask | None:
    """Which of `devices` (int64) have spent what they may on the task of `run` at `at_ms` (int64, same shape)."""
    task = state.task_of(run.id)
    budgets, spent = task.task.select.budgets, state.spent.get(task.id)
    if budgets == Budgets():
        return None
    if spent is None:
        return np.full(len(devices), 0 < budgets.bytes_per_month < 2 * state.bytes_of(run.base), np.bool_)
    return spent.over(budgets, devices, at_ms, state.bytes_of(run.base))
