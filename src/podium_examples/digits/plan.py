"""Softmax regression on one device's digits: init, train and evaluate.

Decides: the first model. Never: how it is trained and measured (softmax.py), or which images there are (shards.py).
[local]: epochs (int), batch (int), lr (float).
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig, Progress, Result, Tensors
from podium_examples import softmax
from podium_examples.digits.shards import DATASET
from podium_examples.softmax import Images

PIXELS, CLASSES = 64, 10


def init(seed: int) -> dict[str, NDArray[np.generic]]:
    """The first model: `weight` float32 [64, 10], normal with deviation 0.01 by `seed`; `bias` float32 [10], zero."""
    weight = np.random.default_rng(seed).normal(0.0, 0.01, (PIXELS, CLASSES))
    return {"bias": np.zeros(CLASSES, np.float32), "weight": weight.astype(np.float32)}


def train(model: Tensors, data: Mapping[str, Images], config: PlanConfig) -> Iterator[Progress | Result]:
    """Train from `model` on the device's digits: `softmax.train`."""
    return softmax.train(model, data[DATASET], config)


def evaluate(model: Tensors, data: Mapping[str, Images], config: PlanConfig) -> Iterator[Progress | Result]:
    """Measure `model` on the device's own test digits: `softmax.evaluate`."""
    return softmax.evaluate(model, data[DATASET])
