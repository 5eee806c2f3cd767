"""Handwritten digits over 100 devices, each of which has seen two or three of the ten digits only.

Origin: UCI Machine Learning Repository, Optical Recognition of Handwritten Digits (Alpaydin, Kaynak, 1998; doi
10.24432/C50P49), licence CC BY 4.0: its 1,797 test images of 8 x 8, as scikit-learn's `load_digits` brings them.
Decides: who holds which images, without any draw: the shards of McMahan et al. 2017 (section 3), dealt by a fixed rule.
Images sorted by label (stable) are cut into 200 shards; device i holds shard i, from the digits 0 to 4, and shard
100 + (37 i mod 100), from the digits 5 to 9. Of each shard every fourth image is for testing.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from podium.wire.extras import how_to_install
from podium.wire.problems import OperatorFault
from podium_examples.softmax import Images

DATASET = "digits"
"""The name under which a device holds its images."""

DEVICES = 100
_STRIDE = 37  # coprime to 100, so that every second shard is dealt once
_TEST_EVERY = 4


def data(device: str) -> dict[str, Images]:
    """The data source of device "0" to "99": `podium_examples.digits:data?17`; `OperatorFault(usage)` for others."""
    if not (device.isascii() and device.isdecimal() and int(device) < DEVICES):
        raise OperatorFault("usage", what=f"no device is called {device!r}", why=f"there are 0 to {DEVICES - 1}")
    x, y, shards = _dealt()
    index = int(device)
    mine = (shards[index], shards[DEVICES + _STRIDE * index % DEVICES])
    testing = [np.arange(len(shard)) % _TEST_EVERY == _TEST_EVERY - 1 for shard in mine]
    test = np.concatenate([shard[picked] for shard, picked in zip(mine, testing, strict=True)])
    train = np.concatenate([shard[~picked] for shard, picked in zip(mine, testing, strict=True)])
    return {DATASET: Images(x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])}


@cache
def _dealt() -> tuple[NDArray[np.float32], NDArray[np.int64], list[NDArray[np.int64]]]:
    """All images scaled to 0..1, their labels, and the row numbers of the 200 shards."""
    try:
        from sklearn.datasets import load_digits  # here: it takes a second that init and plan need not pay
    except ImportError as error:
        what = "cannot read the digits"
        raise OperatorFault("not-available", what=what, why=str(error), next=how_to_install("demo")) from error
    images = load_digits()
    labels = images.target.astype(np.int64)
    order = np.argsort(labels, kind="stable")
    return (images.data / 16).astype(np.float32), labels, np.array_split(order, 2 * DEVICES)
