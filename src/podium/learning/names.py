"""The aggregation rules and server optimisers of this release, by name, with their parameters.

Decides: what a task may ask for in `[aggregate]`, and how many updates one sum must bear. Never: how a rule computes
(one file per rule). Rules: `mean(weighted)`, one step (fedavg.py). Optimisers: `sgd(lr)` (server.py).
"""

import math
from collections.abc import Mapping, Sequence

from podium.kernels.sums import choose_grid

Parameter = int | float | str | bool
Rule = Mapping[str, Parameter]

RULES: dict[str, dict[str, type]] = {"mean": {"weighted": bool}}
"""Rule -> parameter -> what it is."""
OPTIMIZERS: dict[str, dict[str, type]] = {"sgd": {"lr": float}}
"""Server optimiser -> parameter -> what it is."""
OVER_AUTO_MAX = 4.0
"""`select.over = "auto"` never asks for more leases than this many times the seats."""


def check_steps(steps: Sequence[Rule], optimizer: Rule) -> None:
    """Raise `ValueError` saying which rule or parameter of `[aggregate]` this release does not offer, and what it does.

    `steps` is one `mean`; `optimizer` is `sgd` with a finite `lr` above zero.
    """
    for step in steps:
        _check_rule(step, RULES, "aggregate.steps")
    if len(steps) != 1:
        raise ValueError(f"aggregate.steps has {len(steps)} rules: this release offers exactly one, mean")
    _check_rule(optimizer, OPTIMIZERS, "aggregate.optimizer")
    lr = float(optimizer.get("lr", 1.0))
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"aggregate.optimizer.lr is {lr}: it is a finite number above zero")


def check_bounds(cohort: int, weight_max: float, value_abs_max: float) -> None:
    """Raise `ValueError` if no exact sum can bear `cohort` updates within these bounds; says what to lower."""
    choose_grid(cohort, weight_max, value_abs_max)


def cohort_max(goal: int, concurrency: int, over: float | str) -> int:
    """The most updates that one round can add: the goal, and every lease that may be in flight when it is reached.

    `concurrency` 0 means the goal; `over` is a factor or "auto".
    """
    seats = max(goal, concurrency)
    return goal + math.ceil(seats * (OVER_AUTO_MAX if isinstance(over, str) else max(over, OVER_AUTO_MAX)))


def is_weighted(steps: Sequence[Rule]) -> bool:
    """Whether the steps' mean weighs updates (FedAvg's own way, the default) or counts each as one."""
    return bool(steps[0].get("weighted", True))


def _check_rule(rule: Rule, offered: Mapping[str, Mapping[str, type]], where: str) -> None:
    name = rule.get("rule", "")
    if not isinstance(name, str) or name not in offered:
        raise ValueError(f"{where} names the rule {name!r}: this release offers {', '.join(sorted(offered))}")
    parameters = offered[name]
    for key, value in rule.items():
        if key == "rule":
            continue
        if key not in parameters:
            known = ", ".join(sorted(parameters))
            raise ValueError(f"{where}: the rule {name} has no parameter {key!r}: it takes {known}")
        kind = parameters[key]
        if isinstance(value, bool) != (kind is bool) or isinstance(value, str) != (kind is str):
            words = {bool: "true or false", float: "a number", str: "a text"}[kind]
            raise ValueError(f"{where}: {key} of the rule {name} is {value!r}: it is {words}")
