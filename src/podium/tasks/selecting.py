"""The words of `[select]` beyond its rules: strategies with their options, and the facts that `prefers` may weigh.

Decides: which strategies, options and preferences a task may name, their defaults and bounds, and what a wrong one is
told. Never: how a strategy chooses (core/selection/strategies), whether this release offers it (tasks/check.py), or
whether a plane has a strategy of the users' own: these have a dot in their name, so that a misspelt built-in never
passes for one.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

import msgspec

from podium.tasks.task import Select
from podium.wire.problems import OperatorFault


class Option(msgspec.Struct, frozen=True):
    """One option of a strategy: its default, and the least and greatest value it may have."""

    default: float
    least: float
    most: float


STRATEGIES: dict[str, dict[str, Option]] = {
    "uniform": {},
    "stratified": {},
    "oort": {
        "alpha": Option(2.0, 0.0, 10.0),
        "explore": Option(0.9, 0.0, 1.0),
        "explore_least": Option(0.2, 0.0, 1.0),
        "decay": Option(0.98, 0.0, 1.0),
    },
    "power_of_choice": {"candidates": Option(2.0, 1.0, 100.0)},
    "quality": {},
}
"""Built-in strategy -> its options. `candidates`: how many are compared for one seat."""


class Scale(msgspec.Struct, frozen=True):
    """How a fact becomes a score: 0 at `low` and below, 1 at `high` and above, in between by value or by logarithm.

    `falling`: less is better, so the score is 1 at `low` and 0 at `high`.
    """

    low: float
    high: float
    log: bool = False
    falling: bool = False


PREFERS: dict[str, Scale] = {
    "battery": Scale(0.0, 1.0),
    "charging": Scale(0.0, 1.0),
    "metered": Scale(0.0, 1.0, falling=True),
    "ram_mb": Scale(512.0, 65_536.0, log=True),
    "ram_free_mb": Scale(256.0, 16_384.0, log=True),
    "disk_free_mb": Scale(256.0, 262_144.0, log=True),
    "cores": Scale(1.0, 64.0, log=True),
    "thermal_c": Scale(25.0, 45.0, falling=True),
    "download_mb_s": Scale(0.01, 100.0, log=True),
    "upload_mb_s": Scale(0.01, 100.0, log=True),
    "latency_ms": Scale(10.0, 2_000.0, log=True, falling=True),
    "examples": Scale(1.0, 10_000.0, log=True),
    "label_coverage": Scale(0.0, 1.0),
    "missing_rate": Scale(0.0, 1.0, falling=True),
    "freshness_h": Scale(1.0, 720.0, log=True, falling=True),
}
"""Fact -> its scale. A switch is 0 or 1; bounds span what devices from a controller to a server tell."""

PREFER_MOST = 1e6
WEIGHT_LEAST, WEIGHT_MOST = 0.01, 100.0
PRIORITY_MOST = 1_000
_OWN = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")
_STRATUM = re.compile(r"device\.(os|architecture|variant|accelerator|agent|site|region)|device\.labels\['[^'\\]+'\]")


def is_own(strategy: str) -> bool:
    """Whether `strategy` names one of the users' own: words joined by dots, such as "acme.nightly"."""
    return _OWN.fullmatch(strategy) is not None


def nearest_of(name: str, known: Iterable[str]) -> str:
    """The one of `known` that is most like `name`."""
    return max(known, key=lambda each: (SequenceMatcher(None, name.lower(), each).ratio(), each))


def select_faults(select: Select) -> Iterator[OperatorFault]:
    """Every term of `select` beyond its rules that does not hold (task-invalid), whether offered yet or not."""
    yield from _strategy_faults(select)
    for name, weight in select.prefers.items():
        key = f"select.prefers.{name}"
        if name not in PREFERS:
            yield _refuse(key, weight, f"no such fact; the nearest is {nearest_of(name, PREFERS)}")
        elif not 0 < weight <= PREFER_MOST:
            yield _refuse(key, weight, f"a weight is above zero and at most {PREFER_MOST:,.0f}")
    least: tuple[tuple[str, float], ...] = (
        ("fairness.times_max", select.fairness.times_max),
        ("budgets.trainings_per_day", select.budgets.trainings_per_day),
        ("budgets.bytes_per_month", select.budgets.bytes_per_month),
        ("budgets.energy_wh_per_day", select.budgets.energy_wh_per_day),
    )
    if not WEIGHT_LEAST <= select.weight <= WEIGHT_MOST:
        yield _refuse("select.weight", select.weight, f"it is within {WEIGHT_LEAST} and {WEIGHT_MOST}")
    if abs(select.priority) > PRIORITY_MOST:
        yield _refuse("select.priority", select.priority, f"it is within -{PRIORITY_MOST} and {PRIORITY_MOST}")
    for place, region in enumerate(select.regions):
        if not region:
            yield _refuse(f"select.regions[{place}]", '""', "a region has a name: it is the device's label `region`")
    for key, got in least:
        if got < 0:
            yield _refuse(f"select.{key}", got, "it is at least 0; 0 means no bound")


def _strategy_faults(select: Select) -> Iterator[OperatorFault]:
    name = select.strategy
    if (name == "stratified") != bool(select.stratify):
        why = 'strategy = "stratified" names its fact here, and no other strategy does'
        yield _refuse("select.stratify", f'"{select.stratify}"', why)
    elif select.stratify and not _STRATUM.fullmatch(select.stratify):
        why = "it names one standing fact: device.region, device.site, device.os, device.labels['locale'] and the like"
        yield _refuse("select.stratify", f'"{select.stratify}"', why)
    if name not in STRATEGIES:
        if not is_own(name):
            why = f'no such strategy; the nearest is "{nearest_of(name, STRATEGIES)}" (one of your own has a dot)'
            yield _refuse("select.strategy", f'"{name}"', why)
        return
    options = STRATEGIES[name]
    for key, got in select.options.items():
        at = f"select.options.{key}"
        if key not in options:
            some = f"the nearest is {nearest_of(key, options)}" if options else "it has none"
            yield _refuse(at, got, f"{name} has no such option; {some}")
        elif not options[key].least <= got <= options[key].most:
            yield _refuse(at, got, f"it is within {options[key].least} and {options[key].most}")


def _refuse(key: str, got: object, why: str) -> OperatorFault:
    return OperatorFault("task-invalid", what=f"{key} = {got}", why=why)
