"""Training in simulation as a program of its own, so that the threads of its linear algebra are the caller's choice.

`python -m bench._training UNITS DEVICES` prints the seconds that `NumpyTrainer` took for a cohort, and how many of them
went into the exact sum. Model, examples and steps are those of limits/bare_training.py.
"""

import sys
import time

import numpy as np

from bench.limits.bare_training import BATCH, CLASSES, EXAMPLES, INPUTS, LR, Net
from podium.device.plan import PlanConfig
from podium.kernels.sums import choose_grid
from podium.learning import fedavg
from podium.sim.examples import Examples
from podium.sim.training import NumpyTrainer


def main() -> None:
    """Train the devices; print the seconds of all of it and of adding alone."""
    units, devices = int(sys.argv[1]), int(sys.argv[2])
    choices = np.random.default_rng(1)
    x = choices.random((devices * EXAMPLES, INPUTS), np.float32)
    y = choices.integers(0, CLASSES, devices * EXAMPLES)
    examples = Examples(x, y, np.arange(0, len(y) + 1, EXAMPLES), x[:EXAMPLES], y[:EXAMPLES])
    names = ("hidden.weight", "hidden.bias", "weight", "bias")
    base = dict(zip(names, Net(units).base, strict=True))
    local: dict[str, int | float | str | bool] = {"epochs": 1, "batch": BATCH, "lr": LR}
    config = PlanConfig(local=local, round=1, seed=1, task="bench", kind="train")
    trainer = NumpyTrainer(examples, config, norm_max=100.0)
    total = fedavg.init({name: values.shape for name, values in base.items()}, choose_grid(2 * devices + 16, 1e4, 8.0))
    cohort, weights = np.arange(devices), np.full(devices, float(EXAMPLES))
    trainer.train(base, cohort[:16], weights[:16], 1, total)
    started = time.perf_counter()
    trained = trainer.train(base, cohort, weights, 1, total)
    between = time.perf_counter()
    for _ in range(devices):
        fedavg.add(total, base, float(EXAMPLES))
    ended = time.perf_counter()
    if trained.refused:
        raise ValueError(f"{len(trained.refused)} updates are refused: the bench measures too little")
    sys.stdout.write(f"{between - started:.6f} {ended - between:.6f}\n")


if __name__ == "__main__":
    main()
