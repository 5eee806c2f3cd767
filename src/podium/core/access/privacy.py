"""The privacy budget as selection sees it: whether a run may still be given what devices tell.

Decides: nothing yet; `Unlimited` stands in until learning accounts for what a run spends. Never: how a budget is spent.
"""

import math
from typing import Protocol

from podium.core.rows import RunRow
from podium.tasks.task import Task


class PrivacyBudget(Protocol):
    """What is left of a run's budget; pure, so that a replay of the same events tells the same."""

    def epsilon_left(self, run: RunRow, task: Task) -> float:
        """How much epsilon `run` may still spend; at 0 or below no device takes part any more."""
        ...


class Unlimited:
    """The budget of a plane that accounts for none."""

    def epsilon_left(self, run: RunRow, task: Task) -> float:
        """Infinite."""
        return math.inf
