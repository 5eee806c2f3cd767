"""The aggregation role of a simulation in which cohorts train for real.

Decides: which of a cohort train, what each of those tells of the base and moves it by, and the version that comes of
it, with the production sum (learning/fedavg.py) and server step. Never: who is in the cohort (the core). Versions are
kept while a round that is based on them is open, or somebody works on one.
Limits: the plans of examples.py; float32.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.rows import granting_round
from podium.core.said import MetricSums
from podium.device.plan import PlanConfig, load_init
from podium.kernels.sums import choose_grid
from podium.learning import fedavg, server
from podium.learning.names import cohort_max
from podium.sim.engine import Added, Key, digest_of, require_same
from podium.sim.examples import Examples, examples_of
from podium.sim.training import Model, NumpyTrainer
from podium.tasks.task import Task
from podium.wire.problems import OperatorFault

LOCAL = ("epochs", "batch", "lr")
FIRST = "sha256:0"
"""The digest under which a simulated run's first version goes."""


class TrainingEngine:
    """Trains some `trained` devices of each cohort, those whose draws are small; all of it if there are as many."""

    def __init__(self, task: Task, trained: int) -> None:
        """`OperatorFault`: not-available for a plan that cannot be trained in simulation, task-invalid without its
        [local] terms."""
        terms = task.aggregate
        self.examples: Examples = examples_of(task.task.plan)
        self.scores: dict[Key, tuple[float, float]] = {}
        self._weighted = bool(terms.steps[-1].get("weighted", True))
        self._weight_max = terms.weight_max
        self._lr = float(terms.optimizer.get("lr", 1.0))
        self._share = min(1.0, trained / task.round.goal)
        self._seed = task.run.seed
        if lacking := [name for name in LOCAL if name not in task.local]:
            why = f"training in simulation reads {', '.join(LOCAL)} there"
            raise OperatorFault("task-invalid", what=f"[local] lacks {', '.join(lacking)}", why=why)
        config = PlanConfig(local=task.local, round=0, seed=task.run.seed, task=task.task.name, kind=task.task.kind)
        self._trainer = NumpyTrainer(self.examples, config, terms.norm_max)
        cohort = cohort_max(task.round.goal, task.round.concurrency, task.select.over)
        self._grid = choose_grid(cohort, terms.weight_max, terms.value_abs_max)
        first = load_init(task.model.init)(task.run.seed)
        self._models: dict[str, Model] = {FIRST: {name: values.astype(np.float32) for name, values in first.items()}}
        self._bases: dict[Key, str] = {}
        self._sums: dict[Key, fedavg.State] = {}
        self._added: dict[Key, set[str]] = {}

    @property
    def model_bytes(self) -> int:
        """Bytes of a version."""
        return sum(values.nbytes for values in self._models[FIRST].values())

    def begin(self, key: Key, base: str) -> None:
        """See `SimEngine`."""
        self._bases[key] = base

    def measure(self, key: Key, devices: NDArray[np.int64]) -> list[tuple[float, MetricSums]]:
        """See `SimEngine`."""
        if key not in self._bases:  # its round is over: nobody reads what it says
            return []
        said = self._trainer.losses(self._models[self._bases[key]], devices)
        told: list[tuple[float, MetricSums]] = []
        for place, count in enumerate(said.examples.tolist()):
            sums = {
                "accuracy": (float(said.right[place]), float(count)),
                "loss": (float(said.loss[place]) * count, float(count)),
                "squared_loss": (float(said.squared_loss[place]) * count, float(count)),
            }
            told.append((min(float(count), self._weight_max) if self._weighted else 1.0, sums))
        return told

    def judge(self, key: Key, updates: Sequence[Added]) -> list[str]:
        """See `SimEngine`."""
        if key not in self._sums:
            shapes = {name: values.shape for name, values in self._models[FIRST].items()}
            self._sums[key] = fedavg.init(shapes, self._grid)
        added = self._added.setdefault(key, set())
        codes = ["not-finite" if corrupt else "" for _, _, corrupt in updates]
        granted: dict[int, list[int]] = {}  # round that granted the lease, whose base it trained -> places
        for place, (lease, _, corrupt) in enumerate(updates):
            if lease not in added and not corrupt:
                granted.setdefault(granting_round(lease), []).append(place)
        for number, fresh in granted.items():
            self._train(key, number, updates, fresh, codes)
        added.update(updates[place][0] for fresh in granted.values() for place in fresh if not codes[place])
        return codes

    def _train(self, key: Key, number: int, updates: Sequence[Added], fresh: Sequence[int], codes: list[str]) -> None:
        """Add what those of `updates` at `fresh` moved the base of round `number` by to the sum of `key`."""
        base, total = self._models[self._bases[key[0], number]], self._sums[key]
        devices = np.array([updates[place][1] for place in fresh], np.int64)
        trains = uniform(self._seed, f"train/{number}", devices) < self._share
        weights = np.minimum(self.examples.counts(devices).astype(np.float64), self._weight_max)
        weights = weights if self._weighted else np.ones(len(devices))
        chosen = np.flatnonzero(trains)
        refused = self._trainer.train(base, devices[chosen], weights[chosen], number, total).refused
        for at, code in refused.items():
            codes[fresh[int(chosen[at])]] = code

    def finish(self, key: Key, leases: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
        """See `SimEngine`."""
        require_same(key, self._added.get(key, set()), leases)
        model = self._models[self._bases[key]]
        if self._sums[key].count:  # a small sample of a cohort may be nobody: such a round moves nothing
            mean = fedavg.finish(self._sums[key])
            model = {
                name: np.asarray(server.sgd(values, mean[name], self._lr), np.float32) for name, values in model.items()
            }
        flat = np.concatenate([model[name].reshape(-1) for name in sorted(model)]).astype(np.float64)
        digest = digest_of(key, flat)
        self._models[digest] = model
        score = self._trainer.evaluate(model)
        self.scores[key] = (score.accuracy, score.loss)
        return digest, flat

    def drop(self, key: Key, bases: Sequence[Key]) -> None:
        """See `SimEngine`."""
        self._sums.pop(key, None)
        self._added.pop(key, None)
        if [base for base in bases if self._bases.pop(base, None) is not None]:
            newest = list(self._models)[-1]
            needed = {FIRST, newest, *self._bases.values()}
            self._models = {digest: model for digest, model in self._models.items() if digest in needed}
