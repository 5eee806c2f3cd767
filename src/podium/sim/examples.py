"""The examples that simulated devices train on, as columns: those of the plans that can be trained in blocks.

Decides: which plans those are, and how devices' examples lie in memory. Never: what the examples are (podium_examples).
A fleet larger than the data shares it: device d holds shard d modulo the shards.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.wire.problems import OperatorFault
from podium_examples.digits import shards as digits
from podium_examples.mnist import shards as mnist
from podium_examples.softmax import Images

Source = tuple[Callable[[str], dict[str, Images]], str, int]

SOURCES: dict[str, Source] = {
    "podium_examples.digits:train": (digits.data, digits.DATASET, digits.DEVICES),
    "podium_examples.mnist:train": (mnist.data, mnist.DATASET, mnist.DEVICES),
}
"""Plan -> (its devices' data source, the dataset's name, how many devices there are)."""


@dataclass(frozen=True)
class Examples:
    """x float32 [rows, features], y int64 [rows]; shard s holds the rows `starts[s]` to `starts[s + 1]`, at least one.

    `x_held`, `y_held`: the examples nobody trains on, which measure a model.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    starts: NDArray[np.int64]
    x_held: NDArray[np.float32]
    y_held: NDArray[np.int64]

    def first(self, devices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first row of each device, int64."""
        return self.starts[devices % (len(self.starts) - 1)]

    def counts(self, devices: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many examples each device holds, int64."""
        return self.starts[devices % (len(self.starts) - 1) + 1] - self.first(devices)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self.starts) - 1

    def coverage(self) -> NDArray[np.float64]:
        """The share of all labels that each shard holds, float64 [shards]."""
        held: NDArray[np.float64] = (self.label_counts() > 0).mean(axis=1)
        return held

    def label_counts(self) -> NDArray[np.int64]:
        """How many examples of each label each shard holds, int64 [shards, labels]: a device's label coverage."""
        shards = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        counts = np.zeros((len(self.starts) - 1, int(self.y.max()) + 1), np.int64)
        np.add.at(counts, (shards, self.y), 1)
        return counts


def examples_of(plan: str) -> Examples:
    """The examples that the devices of `plan` hold, as its own data source gives them.

    `OperatorFault(not-available)` for a plan that has no block form, and for data that is not installed.
    """
    if plan not in SOURCES:
        why = f"real training in simulation is there for {', '.join(sorted(SOURCES))}"
        raise OperatorFault("not-available", what=f"cannot train {plan} in simulation", why=why)
    source, dataset, devices = SOURCES[plan]
    held = [source(str(number))[dataset] for number in range(devices)]
    return Examples(
        x=np.concatenate([each.x_train for each in held]),
        y=np.concatenate([each.y_train for each in held]),
        starts=np.concatenate([[0], np.cumsum([len(each) for each in held])]).astype(np.int64),
        x_held=np.concatenate([each.x_test for each in held]),
        y_held=np.concatenate([each.y_test for each in held]),
    )
