"""A task written in Python: `podium.Task` and its parts, with the words and defaults of the task file.

Decides: how the few words of a Python program become the whole `Task` of podium.tasks. Never: whether the terms hold
(tasks/check.py). Durations may be text such as "5m" or whole ms. Limits: what is not named here is in a task file.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.tasks import task as whole
from podium.wire.canonical import sha256_digest
from podium.wire.durations import Duration, parse_duration
from podium.wire.problems import OperatorFault
from podium.wire.tensors import write_arrays

Scalar = int | float | str | bool


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What a run begins with: one of an `init` function (module:function), an `alias` or `version` of the plane, or
    `data` (safetensors)."""

    init: str = ""
    alias: str = ""
    version: str = ""
    data: bytes = b""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Model":
        """A model of these tensors: canonical name -> array of any shape. `ValueError` for a dtype not carried."""
        return cls(data=write_arrays(arrays))


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """How often one device takes part: at most `times_max` times in a run (0: no bound); with `without_replacement`
    whoever took part least often comes first, whatever the strategy."""

    times_max: int = 0
    without_replacement: bool = False


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one device spends on the task: trainings a day, bytes a month, Wh a day; 0 means no bound."""

    trainings_per_day: int = 0
    bytes_per_month: int = 0
    energy_wh_per_day: float = 0.0


class Select(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices: hard rules (`requires`) and momentary ones (`when`) in CEL; how many at once (`cohort`).

    `cohort` 0: the round's goal, over-selected by `over`. `separation`: the least time between two trainings.
    `prefers`: fact -> weight. `strategy` chooses among those that fit, by its `options`; `stratify`: the fact whose
    values are the strata of "stratified". Of several runs a device goes to the highest `priority`, among equals by
    `weight`. `regions`: where devices may be; none: anywhere.
    """

    requires: str = ""
    when: str = ""
    cohort: int = 0
    over: str | float = "auto"
    separation: str | int = 0
    prefers: dict[str, float] = {}
    strategy: str = "uniform"
    options: dict[str, float] = {}
    stratify: str = ""
    fairness: Fairness = Fairness()
    budgets: Budgets = Budgets()
    weight: float = 1.0
    priority: int = 0
    regions: tuple[str, ...] = ()


class Ramp(msgspec.Struct, frozen=True, kw_only=True):
    """Rounds begin with a goal of `base` that grows by `factor` after each `after` sealed ones, up to the round's."""

    base: int
    factor: float = 2.0
    after: int = 1


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """The run is given up once a `share` of at least `min` leases ended as `kind`."""

    kind: Literal["failed", "declined", "lapsed", "refused", "incompatible"]
    share: float
    min: int


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How many reports make a version, how few still do (0: the goal), and how long each phase may take.

    `ramp`: how the goal grows from round to round. `abort`: which failures end the run. `mode` "buffered": rounds are
    windows of one stream of leases, which may be of bases up to `staleness_max` versions behind.
    """

    goal: int = 1
    minimum: int = 0
    deadline: str | int = "5m"
    form_deadline: str | int = "10m"
    stall: str | int = "60s"
    ramp: Ramp | None = None
    abort: tuple[Abort, ...] = ()
    mode: Literal["sync", "buffered"] = "sync"
    staleness_max: int = 10


class FedAvg(msgspec.Struct, frozen=True, kw_only=True):
    """The mean of the updates, `weighted` by each device's examples (McMahan et al. 2017), and the bounds on one."""

    weighted: bool = True
    value_abs_max: float = 8.0
    norm_max: float = 100.0
    weight_max: float = 10_000.0


class Task(msgspec.Struct, frozen=True):
    """A task. `local` goes to the plan as it stands; `target`: (metric, at least) ends the run early."""

    name: str
    model: Model
    plan: str
    purpose: str
    kind: str = "train"
    datasets: tuple[str, ...] = ()
    examples_min: int = 0
    select: Select = Select()
    round: Round = Round()
    aggregate: FedAvg = FedAvg()
    local: dict[str, Scalar] = {}
    rounds: int = 1
    target: tuple[str, float] | None = None
    deadline: str | int = "24h"
    seed: int = 0

    def whole(self) -> whole.Task:
        """The same task with every term; `OperatorFault(task-invalid)` for a duration or kind that is none."""
        if self.kind not in ("train", "evaluate"):
            raise OperatorFault("task-invalid", what=f'kind = "{self.kind}"', why='it is "train" or "evaluate"')
        return whole.Task(
            task=whole.Head(
                name=self.name,
                plan=self.plan,
                purpose=self.purpose,
                kind="train" if self.kind == "train" else "evaluate",
            ),
            model=_source(self.model),
            data=whole.Data(datasets=tuple(self.datasets), examples_min=self.examples_min),
            select=_select(self.select),
            round=_round(self.round, self.select.cohort),
            local=dict(self.local),
            aggregate=whole.Aggregate(
                steps=({"rule": "mean", "weighted": self.aggregate.weighted},),
                value_abs_max=self.aggregate.value_abs_max,
                norm_max=self.aggregate.norm_max,
                weight_max=self.aggregate.weight_max,
            ),
            run=whole.RunRules(
                rounds=self.rounds,
                target=whole.Target(metric=self.target[0], at_least=self.target[1]) if self.target else None,
                deadline=_ms("deadline", self.deadline),
                seed=self.seed,
            ),
        )


def _select(told: Select) -> whole.Select:
    return whole.Select(
        requires=told.requires,
        when=told.when,
        prefers=_floats(told.prefers),
        strategy=told.strategy,
        over=_over(told.over),
        separation=_ms("select.separation", told.separation),
        stratify=told.stratify,
        fairness=whole.Fairness(
            times_max=told.fairness.times_max, without_replacement=told.fairness.without_replacement
        ),
        budgets=whole.Budgets(
            trainings_per_day=told.budgets.trainings_per_day,
            bytes_per_month=told.budgets.bytes_per_month,
            energy_wh_per_day=float(told.budgets.energy_wh_per_day),
        ),
        options=_floats(told.options),
        weight=float(told.weight),
        priority=told.priority,
        regions=tuple(told.regions),
    )


def _floats(given: Mapping[str, float]) -> dict[str, float]:
    """Numbers as the task file has them: 1 and 1.0 are one term, so they have one digest."""
    return {name: float(value) for name, value in given.items()}


def _round(told: Round, cohort: int) -> whole.Round:
    ramp = told.ramp
    return whole.Round(
        mode=told.mode,
        concurrency=cohort,
        goal=told.goal,
        minimum=told.minimum or told.goal,
        form_deadline=_ms("round.form_deadline", told.form_deadline),
        report_deadline=_ms("round.deadline", told.deadline),
        stall=_ms("round.stall", told.stall),
        ramp=None if ramp is None else whole.Ramp(base=ramp.base, factor=float(ramp.factor), after=ramp.after),
        abort=tuple(whole.Abort(kind=each.kind, share=float(each.share), min=each.min) for each in told.abort),
        staleness_max=told.staleness_max,
    )


def _source(model: Model) -> whole.ModelSource:
    """A model given as bytes is the version of their digest."""
    version = sha256_digest(model.data) if model.data else model.version
    return whole.ModelSource(init=model.init, alias=model.alias, version=version)


def _over(given: str | float) -> Literal["auto"] | float:
    if isinstance(given, str):
        if given == "auto":
            return "auto"
        raise OperatorFault("task-invalid", what=f'select.over = "{given}"', why='it is "auto" or a factor')
    return given


def _ms(key: str, given: str | int) -> Duration:
    if isinstance(given, int):
        return Duration(given)
    try:
        return parse_duration(given)
    except ValueError as error:
        raise OperatorFault("task-invalid", what=f'{key} = "{given}"', why=str(error)) from error
