"""Classification of images by softmax, with or without one hidden layer: what the digits and MNIST examples share.

Decides: what a device holds, the loss, the steps and their order, and what is measured. Never: which images there are,
under which name a device holds them, or the first model (each example's own).
p(digit) = softmax(a . weight + bias), with a = x, or a = max(0, x . hidden.weight + hidden.bias) where the model has a
hidden layer; mini-batch gradient descent on the mean cross-entropy, numpy, float64. Its fast twin is
podium.sim.training.
[local]: epochs (int), batch (int), lr (float).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors

Model = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Images:
    """One device's images: x float32 [images, pixels] in 0..1, y int64 [images] in 0..9; `len` = training images."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y_train)


def train(model: Tensors, images: Images, config: PlanConfig) -> Iterator[Progress | Result]:
    """Train from `model`; progress after each step; weight = training images.

    The metrics are those of `model` as it came, on the device's own held-out images.
    """
    trained, lr = _floats(model), float(config.local["lr"])
    steps = batches(config, len(images))
    yield Progress(0, len(steps))
    for step, rows in enumerate(steps, start=1):
        for name, slope in gradient(trained, images.x_train[rows], images.y_train[rows]).items():
            trained[name] -= lr * slope
        yield Progress(step, len(steps))
    weights = {name: values.astype(np.float32) for name, values in trained.items()}
    yield Result(weights=weights, weight=float(len(images)), metrics=measure(_floats(model), images))


def evaluate(model: Tensors, images: Images) -> Iterator[Progress | Result]:
    """Measure `model` on the device's own held-out images; no tensors; weight = those images."""
    yield Progress(0, 1)
    yield Result(weights=None, weight=float(len(images.y_test)), metrics=measure(_floats(model), images))


def batches(config: PlanConfig, examples: int) -> list[NDArray[np.int64]]:
    """The rows of each step, in order: `epochs` permutations of the examples by (seed, round), cut into batches."""
    epochs, batch = int(config.local["epochs"]), int(config.local["batch"])
    choices = np.random.default_rng((config.seed, config.round))
    orders = [choices.permutation(examples) for _ in range(epochs)]
    return [order[start : start + batch] for order in orders for start in range(0, examples, batch)]


def measure(model: Model, images: Images) -> dict[str, tuple[float, float]]:
    """Sums over the held-out images: accuracy = (images right, images), loss = (cross-entropy in nats, images)."""
    chances, count = _log_chances(model, _active(model, images.x_test)), float(len(images.y_test))
    right = np.sum(chances.argmax(axis=1) == images.y_test)
    nats = -np.sum(chances[np.arange(len(images.y_test)), images.y_test])
    return {"accuracy": (float(right), count), "loss": (float(nats), count)}


def gradient(model: Model, x: NDArray[np.float32], y: NDArray[np.int64]) -> Model:
    """The gradient of the mean cross-entropy, by name, in the shapes of `model`."""
    active = _active(model, x)
    error = np.exp(_log_chances(model, active))
    error[np.arange(len(y)), y] -= 1.0
    error /= len(y)
    slopes = {"bias": error.sum(axis=0), "weight": active.T @ error}
    if "hidden.weight" in model:
        back = (error @ model["weight"].T) * (active > 0)
        slopes |= {"hidden.bias": back.sum(axis=0), "hidden.weight": x.T.astype(np.float64) @ back}
    return slopes


def _active(model: Model, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the last layer sees: the hidden layer's activity, or the pixels themselves."""
    wide = x.astype(np.float64)
    if "hidden.weight" not in model:
        return wide
    return np.maximum(wide @ model["hidden.weight"] + model["hidden.bias"], 0.0)


def _log_chances(model: Model, active: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-probabilities [images, 10]; the greatest logit is taken off first, so that nothing overflows."""
    logits = active @ model["weight"] + model["bias"]
    logits -= logits.max(axis=1, keepdims=True)
    chances: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return chances


def _floats(model: Tensors) -> Model:
    return {name: values.astype(np.float64) for name, values in model.items()}
