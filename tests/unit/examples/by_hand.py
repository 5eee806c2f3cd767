"""Federated averaging by hand: the examples' plans without any plane."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors

Dataset = TypeVar("Dataset")
Plan = Callable[[Tensors, Mapping[str, Dataset], PlanConfig], Iterator[Progress | Result]]
Weights = dict[str, NDArray[np.generic]]


def told(kind: str, local: dict[str, int | float | str | bool], round: int, seed: int) -> PlanConfig:
    """What the plan of task "t" is told."""
    return PlanConfig(local=local, round=round, seed=seed, task="t", kind=kind)


def outcome(plan: Plan[Dataset], model: Tensors, data: Mapping[str, Dataset], config: PlanConfig) -> Result:
    """Run a plan, hold it to its contract (progress grows to its total, one result, last), and return the result."""
    *moves, result = plan(model, data, config)
    assert isinstance(result, Result)
    assert moves
    done = [move.done for move in moves if isinstance(move, Progress)]
    assert len(done) == len(moves)
    assert done == sorted(done)
    assert len({move.total for move in moves if isinstance(move, Progress)}) == 1
    return result


def average(base: Tensors, results: Sequence[Result]) -> Weights:
    """The next model: base plus the weighted mean of (trained - base), float32 (McMahan et al. 2017)."""
    total = sum(result.weight for result in results)
    following: Weights = {}
    for name, values in base.items():
        start = values.astype(np.float64)
        moved = np.zeros_like(start)
        for result in results:
            assert result.weights is not None
            moved += result.weight * (result.weights[name].astype(np.float64) - start)
        following[name] = (start + moved / total).astype(np.float32)
    return following


def pooled(results: Sequence[Result], metric: str) -> float:
    """The metric over all devices: sum of numerators over sum of denominators."""
    sums = np.array([result.metrics[metric] for result in results]).sum(axis=0)
    return float(sums[0] / sums[1])
