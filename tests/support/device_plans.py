"""Plans for the tests of the device: small, exact, and each with one way of behaving. Loaded by name only."""

import time
from collections.abc import Iterator

import numpy as np

from podium.device.plan import Datasets, PlanConfig, Progress, Result, Tensors


def add_one(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Every number plus one (`local.add` if given), in `local.steps` steps of `local.pause_ms`."""
    steps = int(config.local.get("steps", 2))
    for step in range(steps):
        time.sleep(float(config.local.get("pause_ms", 0)) / 1000)
        yield Progress(step + 1, steps)
    add = np.float32(config.local.get("add", 1.0))
    weights = {name: np.add(value, add) if value.dtype.kind == "f" else value for name, value in model.items()}
    examples = float(sum(len(item) for item in data.values())) or 1.0
    yield Result(weights=weights, weight=examples, metrics={"loss": (0.5 * examples, examples)})


def measure(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """An evaluation: the mean of all numbers."""
    yield Progress(1, 1)
    numbers = np.concatenate([np.ravel(value) for value in model.values()])
    yield Result(weights=None, weight=2.0, metrics={"mean": (float(numbers.sum()), float(numbers.size))})


def raise_late(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Raises after its first step, with a long message."""
    yield Progress(1, 2)
    raise ValueError("the data is broken " + "x" * int(config.local.get("length", 0)))


def leave(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Tries to end the process."""
    yield Progress(1, 2)
    raise SystemExit(3)


def no_result(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Ends without a result."""
    yield Progress(1, 1)


def wrong_shape(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Gives every tensor flat."""
    yield Result(weights={name: np.append(np.ravel(value), 0) for name, value in model.items()}, weight=1.0)


def in_place(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Writes to the base version, which no plan may."""
    for value in model.values():
        np.add(value, 1, out=value)
    yield Result(weights=model, weight=1.0)


def not_finite(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """Gives NaN."""
    yield Result(weights={name: np.full_like(value, np.nan) for name, value in model.items()}, weight=1.0)
