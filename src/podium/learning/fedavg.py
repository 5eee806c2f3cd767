"""FedAvg: the weighted (or uniform) mean of updates, streamed, exact, in the memory of one model.

McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data", Algorithm 1, with
updates (trained minus base) in place of models, so the server's step is base + lr * mean (learning/server.py).
Decides: the state of a sum and its four functions. Never: whether an update is acceptable, or its weight honest.
Convention: the mean is sum(w_k u_k) / sum(w_k) over those who reported. A uniform mean is weight 1 for everyone.
The state is explicit and the sums are exact, so any order of adds and any tree of merges gives the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.kernels import sums
from podium.kernels.sums import Grid, Scratch, Total


@dataclass
class State:
    """A sum under way: one flat total per tensor, the weight in whole steps of the weight grid, how many were added."""

    grid: Grid
    shapes: dict[str, tuple[int, ...]]
    totals: dict[str, Total]
    units: int
    count: int
    scratch: Scratch


def init(shapes: Mapping[str, tuple[int, ...]], grid: Grid) -> State:
    """An empty sum for tensors of these shapes: 8 bytes per element, and never more."""
    totals = {name: grid.zeros(int(np.prod(shape, dtype=np.int64))) for name, shape in shapes.items()}
    return State(grid, dict(shapes), totals, 0, 0, sums.make_scratch())


def add(state: State, update: Mapping[str, NDArray[np.float32]], weight: float) -> None:
    """Add weight * update in place. All of it is added or, with a `ValueError`, nothing.

    `ValueError`: names, shapes or dtypes differ, the weight is out of bounds, or the sum holds its cohort already.
    """
    if state.count >= state.grid.cohort:
        raise ValueError(f"the sum was made for {state.grid.cohort} updates and holds them")
    if update.keys() != state.shapes.keys():
        raise ValueError("the update's tensor names differ from the sum's")
    for name, values in update.items():
        if values.shape != state.shapes[name] or values.dtype != np.float32:
            raise ValueError(f"tensor {name} is {values.dtype}{values.shape}, not float32{state.shapes[name]}")
    units = state.grid.weight_units(weight)
    rounded = state.grid.weight_of(units)
    for name, values in update.items():
        sums.accumulate(state.totals[name], values.reshape(-1), rounded, state.grid, state.scratch)
    state.units += units
    state.count += 1


def merge(a: State, b: State) -> State:
    """Both sums as one, in `a`'s memory; `b` is left as it is. `ValueError` unless they are of one grid and shapes."""
    if a.grid != b.grid or a.shapes != b.shapes:
        raise ValueError("sums of different grids or shapes do not merge")
    if a.count + b.count > a.grid.cohort:
        raise ValueError(f"the sums were made for {a.grid.cohort} updates and hold {a.count + b.count}")
    for name, total in a.totals.items():
        sums.merge(total, b.totals[name])
    a.units += b.units
    a.count += b.count
    return a


def finish(state: State) -> dict[str, NDArray[np.float64]]:
    """The mean of each tensor, float64; the state is left as it is. `ValueError` if the whole weight is zero."""
    return {
        name: sums.mean_of(total, state.units, state.grid).reshape(state.shapes[name])
        for name, total in state.totals.items()
    }
