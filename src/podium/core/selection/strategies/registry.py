"""Strategies by name: the built-in ones, and how a task's strategy is made.

Decides: which file a name means, and that the task's options complete the defaults of tasks/selecting.py. Never: finds
strategies of the users' own (adapters/strategies.py does); they are handed in. Limit: a name is looked up once a task.
"""

from collections.abc import Mapping

from podium.core.selection.strategies.fair import LeastOftenFirst
from podium.core.selection.strategies.oort import Oort
from podium.core.selection.strategies.power_of_choice import PowerOfChoice
from podium.core.selection.strategies.quality import Quality
from podium.core.selection.strategies.strategy import Maker, Strategy
from podium.core.selection.strategies.stratified import Stratified
from podium.core.selection.strategies.uniform import Uniform
from podium.tasks.selecting import STRATEGIES, nearest_of
from podium.tasks.task import Select
from podium.wire.problems import OperatorFault

BUILT_IN: dict[str, Maker] = {
    "uniform": Uniform,
    "stratified": Stratified,
    "oort": Oort,
    "power_of_choice": PowerOfChoice,
    "quality": Quality,
}


def make_strategy(select: Select, own: Mapping[str, Maker]) -> Strategy:
    """The strategy that `select` names, with its options and fairness; `own` are the users' by name.

    `OperatorFault(task-invalid)` if this plane has none of that name, or it does not take these options.
    """
    makers = {**own, **BUILT_IN}
    if select.strategy not in makers:
        nearest = nearest_of(select.strategy, makers)
        why = f'the nearest of those installed is "{nearest}" ({", ".join(sorted(makers))})'
        raise OperatorFault("task-invalid", what=f'select.strategy = "{select.strategy}"', why=why)
    defaults = {name: option.default for name, option in STRATEGIES.get(select.strategy, {}).items()}
    try:
        strategy = makers[select.strategy](**{**defaults, **select.options})
    except (TypeError, ValueError) as error:
        raise OperatorFault("task-invalid", what=f"select.options = {select.options}", why=str(error)) from error
    return LeastOftenFirst(strategy) if select.fairness.without_replacement else strategy
