"""The plan of the kill test: each device adds 1 at its own place and nothing elsewhere, so a 2 is a double count."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from podium.device.plan import Datasets, PlanConfig, Progress, Result, Tensors


def one_hot(model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
    """One more at the device's place (its only example), after `local.steps` steps of `local.pause_ms`, weight 1."""
    place = cast(Sequence[int], data["place"])[0]
    steps = int(config.local["steps"])
    for step in range(steps):
        time.sleep(float(config.local["pause_ms"]) / 1000)
        yield Progress(step + 1, steps)
    weights = np.array(model["w"], np.float32)
    weights[place] += 1
    yield Result(weights={"w": weights}, weight=1.0, metrics={"trained": (1.0, 1.0)})
