"""Real training of simulated devices, many at once, summed exactly as the plane sums.

Decides: what each device of a cohort would have sent, and what its examples cost under the base. Never: who trains,
what an update weighs, or the next version. The models are those of podium_examples.softmax, its slow twin: softmax
regression, or one hidden layer; the order of the examples is the plan's own.
How it is fast: after any number of steps the first layer has moved by x^T m, where m [examples, units] gathers each
example's slopes times -lr. So no device has weights of its own: its logits are x W + (x x^T + 1) m (the 1 is the bias),
x W is one product over a whole block of devices, and the move is formed once, at the end, in one preallocated model.
Only the last layer behind a hidden one is kept for each device of a block.
What an update is checked for (finite, value_abs_max, norm_max) is checked here as in production, with its codes.
Limits: float32; a device's examples in thousands make x x^T dearer than plain steps. The same cohort in the same order
gives the same bits on one machine; another block or library of linear algebra moves the last bits of a move. The sum of
given moves has no order (kernels/sums.py).
Source: McMahan et al. 2017, Algorithm 1 (ClientUpdate); the form in x x^T is the dual one of the perceptron
(Aizerman, Braverman and Rozonoer 1964).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from podium.device.plan import PlanConfig
from podium.kernels.checks import measure
from podium.kernels.sums import make_scratch
from podium.learning import fedavg
from podium.sim.examples import Examples
from podium_examples.softmax import batches

ROWS_BLOCK = 800
"""Examples worked on at a time: with 1,258 units their activities (4 MB) stay near the third-level cache."""

Floats = NDArray[np.float32]
Model = Mapping[str, Floats]


@dataclass(frozen=True)
class Losses:
    """Cross-entropy in nats of the base on each device's own examples, one row a device, in the order asked for.

    `loss`: its mean; `squared_loss`: the mean of its squares (Oort's statistical utility is examples times the root of
    it); `right`: examples read right; `examples`: how many there are.
    """

    loss: NDArray[np.float64]
    squared_loss: NDArray[np.float64]
    right: NDArray[np.int64]
    examples: NDArray[np.int64]


@dataclass(frozen=True)
class Trained:
    """What a cohort's training came to: `before`, and place in the cohort -> code of each update that is not summed."""

    before: Losses
    refused: dict[int, str]


@dataclass(frozen=True)
class Score:
    """The held-out examples under a model: the share read right, and the mean cross-entropy in nats."""

    accuracy: float
    loss: float


class Trainer(Protocol):
    """What the simulator asks of training."""

    def losses(self, base: Model, devices: NDArray[np.int64]) -> Losses:
        """What `devices` would say of `base` without training."""
        ...

    def train(
        self, base: Model, devices: NDArray[np.int64], weights: NDArray[np.float64], round: int, total: fedavg.State
    ) -> Trained:
        """Train `devices` from `base` and add each move times its weight to `total`, except those refused."""
        ...

    def evaluate(self, model: Model) -> Score:
        """Measure `model` on the held-out examples."""
        ...


class NumpyTrainer(Trainer):
    """Trains blocks of devices that hold equally many examples; device d holds shard d modulo the shards there are."""

    def __init__(self, examples: Examples, config: PlanConfig, norm_max: float) -> None:
        """`config`: [local] with epochs, batch and lr, and the seed of the examples' order; its round is not read."""
        self._examples = examples
        self._config = config
        self._norm_max = norm_max
        self._scratch = make_scratch()

    def losses(self, base: Model, devices: NDArray[np.int64]) -> Losses:
        """What `devices` would say of `base` without training."""
        said = _unsaid(self._examples.counts(devices))
        for places, rows in self._blocks(devices):
            x, y = self._examples.x[rows], self._examples.y[rows]
            _say(said, places, _log_chances(_logits(base, _first(base, x))), y)
        return said

    def train(
        self, base: Model, devices: NDArray[np.int64], weights: NDArray[np.float64], round: int, total: fedavg.State
    ) -> Trained:
        """Train `devices` (int64 [n], each any number of times) from `base`; add move times weight (float64 [n]).

        `total` is of the base's shapes. `ValueError` as of `fedavg.add`: a weight out of bounds, or the sum is full.
        """
        said, refused = _unsaid(self._examples.counts(devices)), {}
        move = {name: np.empty_like(values) for name, values in base.items()}
        for places, rows in self._blocks(devices):
            block = _Block(base, self._examples.x[rows], self._examples.y[rows])
            _say(said, places, _log_chances(_logits(base, block.start)), block.y)
            config = self._config
            told = PlanConfig(local=config.local, round=round, seed=config.seed, task=config.task, kind=config.kind)
            for step in batches(told, rows.shape[1]):
                block.step(step, float(config.local["lr"]))
            norms = block.norms()
            for place in range(len(places)):
                block.move(place, move)
                code = self._refusal(move, float(norms[place]), total.grid.value_abs_max)
                if code:
                    refused[int(places[place])] = code
                else:
                    fedavg.add(total, move, float(weights[places[place]]))
        return Trained(said, refused)

    def evaluate(self, model: Model) -> Score:
        """Measure `model` on the held-out examples."""
        x, y = self._examples.x_held[None], self._examples.y_held[None]
        said = _unsaid(np.array([y.shape[1]]))
        _say(said, np.array([0]), _log_chances(_logits(model, _first(model, x))), y)
        return Score(accuracy=float(said.right[0] / y.shape[1]), loss=float(said.loss[0]))

    def _blocks(self, devices: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(places in the cohort, rows [devices, examples]) of devices with equally many examples."""
        counts = self._examples.counts(devices)
        for count in np.unique(counts):
            places = np.flatnonzero(counts == count)
            some = max(1, ROWS_BLOCK // int(count))
            for start in range(0, len(places), some):
                part = places[start : start + some]
                yield part, self._examples.first(devices[part])[:, None] + np.arange(count)

    def _refusal(self, move: Model, norm: float, value_abs_max: float) -> str:
        """The code production would refuse the move with, or "". No value is above the norm: few are looked at."""
        if not norm <= 0.99 * min(value_abs_max, self._norm_max):  # float32's error is far below the hundredth
            measured = [measure(values.reshape(-1), self._scratch) for values in move.values()]
            if not all(math.isfinite(each.abs_max) for each in measured):
                return "not-finite"
            if max(each.abs_max for each in measured) > value_abs_max:
                return "value-bound"
            if math.sqrt(sum(each.squared_norm for each in measured)) > self._norm_max:
                return "norm-bound"
        return ""


class _Block:
    """Devices under training: x float32 [devices, examples, features], y int64 [devices, examples]."""

    def __init__(self, base: Model, x: Floats, y: NDArray[np.int64]) -> None:
        self.base, self.x, self.y = base, x, y
        self.start = _first(base, x)
        self.gram: Floats = x @ x.transpose(0, 2, 1)
        self.gram += 1
        self.moved: Floats = np.zeros_like(self.start)
        self.hidden = "hidden.weight" in base
        if self.hidden:  # each device's own last layer
            self.weight = np.repeat(base["weight"][None], len(x), axis=0)
            self.bias = np.repeat(base["bias"][None], len(x), axis=0)

    def step(self, rows: NDArray[np.int64], lr: float) -> None:
        """One step of gradient descent of every device on its own examples at `rows`."""
        now: Floats = np.matmul(self.gram[:, rows], self.moved)
        now += self.start[:, rows]
        if not self.hidden:
            error = _error(now, self.y[:, rows])
            error *= np.float32(lr / len(rows))
            self.moved[:, rows] -= error
            return
        active: Floats = np.maximum(now, 0, out=now)
        logits: Floats = np.matmul(active, self.weight)
        logits += self.bias[:, None]
        error = _error(logits, self.y[:, rows])
        error *= np.float32(lr / len(rows))
        back: Floats = error @ self.weight.transpose(0, 2, 1)
        back *= active > 0
        self.moved[:, rows] -= back
        self.weight -= active.transpose(0, 2, 1) @ error
        self.bias -= error.sum(axis=1)

    def norms(self) -> NDArray[np.float64]:
        """The norm of each device's move, float64 [devices], without forming it: |x^T m|^2 = m . (x x^T m)."""
        squares = np.einsum("deu,deu->d", self.moved, self.gram @ self.moved).astype(np.float64)
        if self.hidden:
            squares += ((self.weight - self.base["weight"]) ** 2).sum(axis=(1, 2), dtype=np.float64)
            squares += ((self.bias - self.base["bias"]) ** 2).sum(axis=1, dtype=np.float64)
        norms: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
        return norms

    def move(self, place: int, move: Mapping[str, Floats]) -> None:
        """Write the move (trained minus base) of the device at `place` into `move`, of the base's shapes."""
        prefix = "hidden." if self.hidden else ""
        np.matmul(self.x[place].T, self.moved[place], out=move[f"{prefix}weight"])
        np.sum(self.moved[place], axis=0, out=move[f"{prefix}bias"])
        if self.hidden:
            np.subtract(self.weight[place], self.base["weight"], out=move["weight"])
            np.subtract(self.bias[place], self.base["bias"], out=move["bias"])


def _first(model: Model, x: Floats) -> Floats:
    """The first layer's sums [devices, examples, units]: one product over all of them."""
    prefix = "hidden." if "hidden.weight" in model else ""
    sums: Floats = (x.reshape(-1, x.shape[-1]) @ model[f"{prefix}weight"]).reshape(*x.shape[:2], -1)
    sums += model[f"{prefix}bias"]
    return sums


def _logits(model: Model, first: Floats) -> Floats:
    """The logits [devices, examples, classes] behind the first layer's sums, which are left as they are."""
    if "hidden.weight" not in model:
        return first
    logits: Floats = np.maximum(first, 0) @ model["weight"] + model["bias"]
    return logits


def _log_chances(logits: Floats) -> Floats:
    """Log-probabilities; the greatest logit is taken off first, so that nothing overflows."""
    shifted: Floats = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _error(logits: Floats, y: NDArray[np.int64]) -> Floats:
    """The slope of each example's cross-entropy by its logits: probabilities minus the truth."""
    error = np.exp(_log_chances(logits))
    np.put_along_axis(error, y[..., None], np.take_along_axis(error, y[..., None], -1) - 1, -1)
    return error


def _unsaid(examples: NDArray[np.int64]) -> Losses:
    return Losses(np.zeros(len(examples)), np.zeros(len(examples)), np.zeros_like(examples), examples)


def _say(said: Losses, places: NDArray[np.int64], chances: Floats, y: NDArray[np.int64]) -> None:
    """Enter what the log-probabilities [devices, examples, classes] mean for the devices at `places`."""
    nats = -np.take_along_axis(chances, y[..., None], -1)[..., 0].astype(np.float64)
    said.loss[places] = nats.mean(axis=1)
    said.squared_loss[places] = (nats**2).mean(axis=1)
    said.right[places] = (chances.argmax(axis=-1) == y).sum(axis=1)
