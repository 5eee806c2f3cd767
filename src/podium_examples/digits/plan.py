"""Softmax regression on one device's digits: init, train and evaluate, in numpy.

Decides: model, loss and steps. Never: which images there are (shards.py) nor what becomes of the result.
p(digit) = softmax(x . weight + bias); mini-batch gradient descent on the mean cross-entropy.
[local]: epochs (int), batch (int), lr (float).
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors
from podium_examples.digits.shards import CLASSES, DATASET, Digits

PIXELS = 64

Model = dict[str, NDArray[np.float64]]


def init(seed: int) -> dict[str, NDArray[np.generic]]:
    """The first model: `weight` float32 [64, 10], normal with deviation 0.01 by `seed`; `bias` float32 [10], zero."""
    weight = np.random.default_rng(seed).normal(0.0, 0.01, (PIXELS, CLASSES))
    return {"bias": np.zeros(CLASSES, np.float32), "weight": weight.astype(np.float32)}


def train(model: Tensors, data: Mapping[str, Digits], config: PlanConfig) -> Iterator[Progress | Result]:
    """Train from `model`; progress after each epoch (counted in batches); weight = training images.

    The metrics are those of `model` as it came, on the device's own test images.
    """
    images = data[DATASET]
    trained = _floats(model)
    epochs, batch, lr = int(config.local["epochs"]), int(config.local["batch"]), float(config.local["lr"])
    choices = np.random.default_rng((config.seed, config.round))
    steps = -(-len(images) // batch)
    yield Progress(0, epochs * steps)
    for epoch in range(1, epochs + 1):
        order = choices.permutation(len(images))
        for start in range(0, len(images), batch):
            picked = order[start : start + batch]
            for name, slope in gradient(trained, images.x_train[picked], images.y_train[picked]).items():
                trained[name] -= lr * slope
        yield Progress(epoch * steps, epochs * steps)
    weights = {name: values.astype(np.float32) for name, values in trained.items()}
    yield Result(weights=weights, weight=float(len(images)), metrics=measure(_floats(model), images))


def evaluate(model: Tensors, data: Mapping[str, Digits], config: PlanConfig) -> Iterator[Progress | Result]:
    """Measure `model` on the device's own test images; no tensors; weight = test images."""
    images = data[DATASET]
    yield Progress(0, 1)
    yield Result(weights=None, weight=float(len(images.y_test)), metrics=measure(_floats(model), images))


def measure(model: Model, images: Digits) -> dict[str, tuple[float, float]]:
    """Sums over the test images: accuracy = (images right, images), loss = (cross-entropy in nats, images)."""
    logits, count = _log_chances(model, images.x_test), float(len(images.y_test))
    right = np.sum(logits.argmax(axis=1) == images.y_test)
    nats = -np.sum(logits[np.arange(len(images.y_test)), images.y_test])
    return {"accuracy": (float(right), count), "loss": (float(nats), count)}


def gradient(model: Model, x: NDArray[np.float32], y: NDArray[np.int64]) -> Model:
    """The gradient of the mean cross-entropy, by name, in the shapes of `model`."""
    error = np.exp(_log_chances(model, x))
    error[np.arange(len(y)), y] -= 1.0
    return {"bias": error.mean(axis=0), "weight": x.T @ error / len(y)}


def _log_chances(model: Model, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities [images, 10]; the greatest logit is taken off first, so that nothing overflows."""
    logits = x @ model["weight"] + model["bias"]
    logits -= logits.max(axis=1, keepdims=True)
    chances: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return chances


def _floats(model: Tensors) -> Model:
    return {name: values.astype(np.float64) for name, values in model.items()}
