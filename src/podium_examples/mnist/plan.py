"""Softmax regression, or a network with one hidden layer, on one device's MNIST images: init, train and evaluate.

Decides: the first models. Never: how they are trained and measured (softmax.py), or which images there are (shards.py).
[local]: epochs (int), batch (int), lr (float).
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors
from podium_examples import softmax
from podium_examples.mnist.shards import DATASET
from podium_examples.softmax import Images

PIXELS, CLASSES = 784, 10
HIDDEN = 126
"""Units of the hidden layer: 100,180 parameters in all."""


def init(seed: int) -> dict[str, NDArray[np.generic]]:
    """The first softmax regression: `weight` float32 [784, 10] and `bias` [10], zero: the loss is convex."""
    return {"bias": np.zeros(CLASSES, np.float32), "weight": np.zeros((PIXELS, CLASSES), np.float32)}


def init_hidden(seed: int) -> dict[str, NDArray[np.generic]]:
    """The first network with `HIDDEN` units by `seed`: normal, deviation sqrt(2 / inputs), float32 (He et al. 2015).

    `hidden.weight` [784, 126], `hidden.bias` [126] and `bias` [10] zero, `weight` [126, 10].
    """
    choices = np.random.default_rng(seed)
    return {
        "hidden.weight": choices.normal(0.0, (2 / PIXELS) ** 0.5, (PIXELS, HIDDEN)).astype(np.float32),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "weight": choices.normal(0.0, (2 / HIDDEN) ** 0.5, (HIDDEN, CLASSES)).astype(np.float32),
        "bias": np.zeros(CLASSES, np.float32),
    }


def train(model: Tensors, data: Mapping[str, Images], config: PlanConfig) -> Iterator[Progress | Result]:
    """Train from `model` on the device's images: `softmax.train`."""
    return softmax.train(model, data[DATASET], config)


def evaluate(model: Tensors, data: Mapping[str, Images], config: PlanConfig) -> Iterator[Progress | Result]:
    """Measure `model` on the device's own held-out images: `softmax.evaluate`."""
    return softmax.evaluate(model, data[DATASET])
