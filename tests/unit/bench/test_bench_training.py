"""The bare training loop does the work it claims: it trains as the simulator's trainer does."""

import numpy as np

from bench.limits.bare_training import BATCH, EXAMPLES, INPUTS, LR, Net
from bench.simulate import BARE, seconds_of
from podium.kernels.sums import choose_grid
from podium.learning import fedavg
from podium.sim.examples import Examples
from podium.sim.training import NumpyTrainer
from tests.unit.examples.by_hand import told

NAMES = ("hidden.weight", "hidden.bias", "weight", "bias")


def test_the_bare_loop_sums_what_the_trainer_sums() -> None:
    choices = np.random.default_rng(2)
    x, y = choices.random((3 * EXAMPLES, INPUTS), np.float32), choices.integers(0, 10, 3 * EXAMPLES)
    net = Net(8)
    config = told("train", {"epochs": 1, "batch": BATCH, "lr": LR}, 0, 1)
    order = np.random.default_rng((1, 1)).permutation(EXAMPLES)  # the plan's; the bare loop takes them as they lie
    for device in range(3):
        rows = device * EXAMPLES + order
        net.device(x[rows], y[rows])
    base = dict(zip(NAMES, net.base, strict=True))
    total = fedavg.init({name: values.shape for name, values in base.items()}, choose_grid(3, 100.0, 8.0))
    examples = Examples(x, y, np.arange(0, len(y) + 1, EXAMPLES), x, y)
    NumpyTrainer(examples, config, 100.0).train(base, np.arange(3), np.full(3, float(EXAMPLES)), 1, total)
    for name, summed in zip(NAMES, net.total, strict=True):
        assert np.abs(summed).max() > 1e-3
        assert np.allclose(summed / (3 * EXAMPLES), fedavg.finish(total)[name], atol=1e-6)


def test_both_programs_of_the_training_bench_end_with_their_seconds() -> None:
    ours = seconds_of(["-m", "bench._training"], 4, 20)
    assert len(ours) == 2
    assert all(each > 0 for each in ours)
    assert seconds_of([BARE], 4, 20)[0] > 0
