"""A plan that trains nothing: what remains of a round is the plane's and the protocol's."""

from collections.abc import Iterator

from podium.device.plan import Datasets, PlanConfig, Progress, Result, Tensors


def train(model: Tensors, data: Datasets, config: PlanConfig) -> Iterator[Progress | Result]:
    """Give the base back as it is, with weight 1."""
    yield Progress(1, 1)
    yield Result(weights=model, weight=1.0)
