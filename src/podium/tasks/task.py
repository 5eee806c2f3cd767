"""The task: what to learn or measure, on whose data, under which terms.

Decides: the shape of a task, its defaults, and its one digest over every term. Never: whether a fleet can
serve it (core/selection) nor how it is read from a file (tasks/file.py).
One struct serves the file, the wire and the core. In canonical form (tasks/digest.py) a duration is whole ms and a
float is `{"decimal": "<ECMAScript Number-to-string>"}`, so that `0.1` and `"0.1"` stay two things.
"""

from typing import Literal

import msgspec

from podium.wire.durations import Duration


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class Head(Section, frozen=True, kw_only=True):
    """[task]: name, kind, plan (`module:function`), purpose and lawful basis."""

    name: str
    plan: str
    purpose: str
    kind: Literal["train", "evaluate", "analytics"] = "train"
    plan_digests: tuple[str, ...] = ()
    basis: str = ""


class ModelSource(Section, frozen=True, kw_only=True):
    """[model]: exactly one of an `init` function, a safetensors `file`, an `alias` or a `version` digest."""

    init: str = ""
    file: str = ""
    alias: str = ""
    version: str = ""


class Data(Section, frozen=True, kw_only=True):
    """[data]: dataset names a device must hold, and how many examples at least."""

    datasets: tuple[str, ...] = ()
    examples_min: int = 0


class Fairness(Section, frozen=True, kw_only=True):
    """[select.fairness]: at most `times_max` participations of a device in a run (0: no bound); with
    `without_replacement` whoever took part least often comes first, whatever the strategy."""

    times_max: int = 0
    without_replacement: bool = False


class Budgets(Section, frozen=True, kw_only=True):
    """[select.budgets]: the most that one device spends on this task; 0 means no bound."""

    trainings_per_day: int = 0
    bytes_per_month: int = 0
    energy_wh_per_day: float = 0.0


class Select(Section, frozen=True, kw_only=True):
    """[select]: hard (`requires`) and momentary (`when`) rules in CEL, preferences, strategy, over-selection.

    `stratify` names the fact whose values are the strata; `options` are the strategy's (tasks/selecting.py). Of several
    runs a device goes to the highest `priority`, among equals by `weight`. `regions`: where devices may be; none: all.
    """

    requires: str = ""
    when: str = ""
    prefers: dict[str, float] = {}
    strategy: str = "uniform"
    over: Literal["auto"] | float = "auto"
    separation: Duration = Duration(0)
    sampling: Literal["none", "poisson"] = "none"
    stratify: str = ""
    fairness: Fairness = Fairness()
    budgets: Budgets = Budgets()
    options: dict[str, float] = {}
    weight: float = 1.0
    priority: int = 0
    regions: tuple[str, ...] = ()


class Ramp(Section, frozen=True, kw_only=True):
    """[round] ramp: rounds begin with a goal of `base` and grow by `factor` after each `after` sealed ones."""

    base: int
    factor: float = 2.0
    after: int = 1


class Abort(Section, frozen=True, kw_only=True):
    """One of [round] abort: the run is given up once a `share` of at least `min` leases ended as `kind`."""

    kind: Literal["failed", "declined", "lapsed", "refused", "incompatible"]
    share: float
    min: int


class Round(Section, frozen=True, kw_only=True):
    """[round]: how many train at once, how many reports make a version, and how long each may take; how rounds grow
    (`ramp`), and which failures end the run (`abort`). Buffered rounds are windows of one stream of leases: each takes
    the next `goal` updates, also of devices that began up to `staleness_max` versions before."""

    mode: Literal["sync", "buffered"] = "sync"
    concurrency: int = 0  # 0: as many as the goal, over-selected; buffered: so many at all times
    goal: int = 1
    minimum: int = 0  # 0: the goal
    form_deadline: Duration = Duration(600_000)
    report_deadline: Duration = Duration(300_000)
    stall: Duration = Duration(60_000)
    ramp: Ramp | None = None
    abort: tuple[Abort, ...] = ()
    staleness_max: int = 10  # versions that the base of a buffered update may be behind


def weighted_mean() -> tuple[dict[str, int | float | str | bool], ...]:
    """The default steps: one weighted mean (FedAvg)."""
    return ({"rule": "mean", "weighted": True},)


def plain_sgd() -> dict[str, int | float | str | bool]:
    """The default server optimiser: the mean is added as it is."""
    return {"rule": "sgd", "lr": 1.0}


class Aggregate(Section, frozen=True, kw_only=True):
    """[aggregate]: the steps from updates to a mean, the server optimiser, and the bounds on one update."""

    steps: tuple[dict[str, int | float | str | bool], ...] = msgspec.field(default_factory=weighted_mean)
    optimizer: dict[str, int | float | str | bool] = msgspec.field(default_factory=plain_sgd)
    secure: bool | Literal["external"] = False
    value_abs_max: float = 8.0
    norm_max: float = 100.0
    weight_max: float = 10_000.0


class Privacy(Section, frozen=True, kw_only=True):
    """[privacy]: absent means none."""

    mechanism: str
    epsilon: float
    delta: float
    unit: Literal["device", "record"] = "device"


class Target(Section, frozen=True, kw_only=True):
    """A stop rule: the run ends once the pooled `metric` of a sealed round is `at_least` so much."""

    metric: str
    at_least: float


class RunRules(Section, frozen=True, kw_only=True):
    """[run]: when the run ends. `seed` moves choices only, never privacy."""

    rounds: int = 1
    target: Target | None = None
    deadline: Duration = Duration(86_400_000)
    abandoned_max: int = 5
    seed: int = 0


class Task(Section, frozen=True, kw_only=True):
    """A whole task. `local` is handed to the plan as it stands: numbers, strings and booleans by name."""

    task: Head
    model: ModelSource
    data: Data = Data()
    select: Select = Select()
    round: Round = Round()
    local: dict[str, int | float | str | bool] = {}
    aggregate: Aggregate = Aggregate()
    privacy: Privacy | None = None
    run: RunRules = RunRules()
