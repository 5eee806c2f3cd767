"""Server optimisers: from the mean of the updates to the next version.

Decides: how far the version moves. Never: what the mean is. This release offers plain SGD.
"""

import numpy as np
from numpy.typing import NDArray


def sgd(base: NDArray[np.generic], mean: NDArray[np.float64], lr: float) -> NDArray[np.generic]:
    """base + lr * mean, in the base's shape and dtype. With lr = 1 this is FedAvg's server step.

    Reddi et al. 2021, "Adaptive federated optimization", Algorithm 1 with SGD as server optimiser (the mean is the
    pseudo-gradient, already of descent's sign). Computed in float64 and rounded once.
    `OverflowError` if the result is not finite in the base's dtype.
    """
    with np.errstate(over="ignore"):
        # asarray: numpy turns a sum of scalars (shape ()) into no array at all
        moved = np.asarray(base.astype(np.float64) + lr * mean).astype(base.dtype)
    if not np.isfinite(moved.astype(np.float64, copy=False)).all():
        raise OverflowError(f"the next version is beyond {base.dtype}: lower aggregate.optimizer.lr or value_abs_max")
    return moved
