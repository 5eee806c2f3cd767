"""Logistic regression on one hospital's rows: init, train and evaluate, in numpy.

Decides: model, loss and steps. Never: which rows there are (table.py) nor what becomes of the result.
p(disease) = sigmoid(x . weight + bias); mini-batch gradient descent on the mean cross-entropy.
[local]: epochs (int), batch (int), lr (float).
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors
from podium_examples.hospital.table import DATASET, FEATURES, Hospital

Model = dict[str, NDArray[np.float64]]


def init(seed: int) -> dict[str, NDArray[np.generic]]:
    """The first model: `weight` float32 [13], normal with deviation 0.01 by `seed`, and `bias` float32 [1], zero."""
    weight = np.random.default_rng(seed).normal(0.0, 0.01, len(FEATURES))
    return {"bias": np.zeros(1, np.float32), "weight": weight.astype(np.float32)}


def train(model: Tensors, data: Mapping[str, Hospital], config: PlanConfig) -> Iterator[Progress | Result]:
    """Train from `model`; progress after each epoch (counted in batches); weight = training rows.

    The metrics are those of `model` as it came, on the hospital's own test rows: the plane learns how good a version
    is from the round that starts from it.
    """
    rows = data[DATASET]
    trained = _floats(model)
    epochs, batch, lr = int(config.local["epochs"]), int(config.local["batch"]), float(config.local["lr"])
    choices = np.random.default_rng((config.seed, config.round))
    steps = -(-len(rows) // batch)
    yield Progress(0, epochs * steps)
    for epoch in range(1, epochs + 1):
        order = choices.permutation(len(rows))
        for start in range(0, len(rows), batch):
            picked = order[start : start + batch]
            for name, slope in gradient(trained, rows.x_train[picked], rows.y_train[picked]).items():
                trained[name] -= lr * slope
        yield Progress(epoch * steps, epochs * steps)
    weights = {name: values.astype(np.float32) for name, values in trained.items()}
    yield Result(weights=weights, weight=float(len(rows)), metrics=measure(_floats(model), rows))


def evaluate(model: Tensors, data: Mapping[str, Hospital], config: PlanConfig) -> Iterator[Progress | Result]:
    """Measure `model` on the hospital's own test rows; no tensors; weight = test rows."""
    rows = data[DATASET]
    yield Progress(0, 1)
    yield Result(weights=None, weight=float(len(rows.y_test)), metrics=measure(_floats(model), rows))


def measure(model: Model, rows: Hospital) -> dict[str, tuple[float, float]]:
    """Sums over the test rows: accuracy = (rows right at threshold 1/2, rows), loss = (cross-entropy in nats, rows)."""
    logits, y = _logits(model, rows.x_test), rows.y_test
    count = float(len(y))
    return {
        "accuracy": (float(np.sum((logits > 0) == (y > 0.5))), count),
        "loss": (float(np.sum(np.logaddexp(0.0, logits) - y * logits)), count),
    }


def gradient(model: Model, x: NDArray[np.float32], y: NDArray[np.float32]) -> Model:
    """The gradient of the mean cross-entropy, by name, in the shapes of `model`."""
    error = 0.5 * (1.0 + np.tanh(0.5 * _logits(model, x))) - y  # tanh: a sigmoid that never overflows
    return {"bias": np.array([error.mean()]), "weight": x.T @ error / len(y)}


def _logits(model: Model, x: NDArray[np.float32]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = x @ model["weight"] + model["bias"][0]
    return logits


def _floats(model: Tensors) -> Model:
    return {name: values.astype(np.float64) for name, values in model.items()}
