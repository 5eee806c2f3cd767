"""Strategies compared side by side: each simulated with each seed, measured against what the baseline reached.

Decides: the comparison file, the runs it asks for, and the table: virtual time to the accuracy that the baseline has at
the end of its budget, and bytes, waste and fairness up to then. Never: simulates (the caller hands that in), or draws.
What came of a comparison names the digest of each strategy's task, so that a stored table can be held to its file.
A comparison file is TOML: [compare] says which task, fleet and seeds; each [strategies.NAME] is laid over the task
file, section by section, key by key. The budget is the task's `run.rounds`, which a strategy may change too. An
accuracy is the mean of the last `window` rounds', so that one lucky round does not end a race. Baseline and others are
paired by seed: the same fleet, the same first model.
"""

import math
import statistics
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from podium.sim.report import RoundReport, SimReport, gini
from podium.tasks.digest import task_digest
from podium.tasks.file import judge_table, read_text
from podium.tasks.task import Task
from podium.wire.problems import OperatorFault


class Job(NamedTuple):
    """One run to simulate."""

    task: Task
    devices: int
    seed: int
    trace: str


Simulate = Callable[[Sequence[Job]], Iterable[SimReport]]
"""Simulates each run; reports come in the order of the runs, each as soon as it and all before it are there."""

Table = dict[str, dict[str, object]]
"""A task file as TOML says it: section -> key -> value."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[compare]. `task` lies beside the file; `window`: rounds an accuracy is the mean of."""

    task: str
    devices: int
    seeds: tuple[int, ...]
    baseline: str = "uniform"
    trace: str = "flat"
    window: int = 5


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy of a file: what it lays over the task, as lines `section.key = value`, and its task's digest."""

    laid: tuple[str, ...]
    digest: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison file, whole: its terms, and each strategy with its checked task, in the order of the file."""

    terms: Terms
    strategies: dict[str, Strategy]
    tasks: dict[str, Task]

    def runs(self) -> list[tuple[str, int]]:
        """(strategy, seed) of every run, by seed, the baseline first."""
        names = sorted(self.tasks, key=lambda name: name != self.terms.baseline)
        return [(name, seed) for seed in self.terms.seeds for name in names]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what it cost to reach `target`, or (reached_ms None) what all of it cost without reaching it.

    `curve`: (virtual ms, accuracy over the window) of each round. `waste`: the share of devices' time on leases that
    brought nothing. `gini`: of accepted updates by device. `accuracy`: at the end of the run, reached or not.
    """

    strategy: str
    seed: int
    target: float
    reached_ms: int | None
    rounds: int
    bytes_up: int
    bytes_down: int
    waste: float
    gini: float
    accuracy: float
    curve: tuple[tuple[int, float], ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy over its seeds: medians; `times` is reached_ms over the baseline's, by the seeds that have both."""

    strategy: str
    seeds: int
    reached: int
    reached_ms: float | None
    times: float | None
    bytes_up: float
    bytes_down: float
    waste: float
    gini: float
    accuracy: float


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison came to, with all that it was asked: its file's terms and strategies, runs and medians."""

    terms: Terms
    strategies: dict[str, Strategy]
    summaries: tuple[Summary, ...]
    rows: tuple[Measured, ...]


def read_comparison(path: Path, seeds: int = 0) -> Comparison:
    """The comparison file at `path`, and the task file it names; only its first `seeds` seeds, 0: all of them.

    `OperatorFault`: file-unreadable; task-invalid for what the file says wrongly, or the first fault of a strategy's
    task, which then names the strategy.
    """
    whole = _table(path)
    try:
        terms = msgspec.convert(whole.get("compare"), Terms)
        laid = msgspec.convert(whole.get("strategies"), dict[str, Table])
    except msgspec.ValidationError as error:
        raise OperatorFault("task-invalid", what=f"{path} is no comparison", why=str(error)) from error
    if terms.baseline not in laid or min(terms.seeds, default=-1) < 0 or terms.window < 1 or terms.devices < 1:
        why = f"it has devices and a window above zero, seeds from zero, and a [strategies.{terms.baseline}]"
        raise OperatorFault("task-invalid", what=f"{path} is no comparison", why=why)
    base = _table(path.parent / terms.task)
    tasks = {name: _task(base, each, f"{path}: strategy {name}") for name, each in laid.items()}
    return Comparison(
        terms=replace(terms, seeds=terms.seeds[: seeds or None]),
        strategies={name: Strategy(laid=_lines(laid[name]), digest=task_digest(task)) for name, task in tasks.items()},
        tasks=tasks,
    )


def is_comparison(path: Path) -> bool:
    """Whether the TOML file at `path` is one; `OperatorFault` if it is no TOML."""
    return "compare" in _table(path)


def run_comparison(comparison: Comparison, simulate: Simulate) -> Iterator[Measured]:
    """Each run of `comparison.runs()`, in that order; one is told as soon as it and those before it are measured.

    `OperatorFault(task-invalid)` if the baseline seals no round with a seed: then there is nothing to reach.
    """
    terms, target = comparison.terms, math.nan
    runs = comparison.runs()
    jobs = [Job(comparison.tasks[name], terms.devices, seed, terms.trace) for name, seed in runs]
    for (name, seed), report in zip(runs, simulate(jobs), strict=True):
        if name == terms.baseline:
            if not report.rounds:
                why = f"{name} seals no round with seed {seed}"
                raise OperatorFault("task-invalid", what="there is nothing to reach", why=why)
            target = _smooth(report.rounds, terms.window)[-1]
        yield measured(name, seed, report, target, terms.window)


def compared(comparison: Comparison, rows: Sequence[Measured]) -> Compared:
    """What `rows`, the runs of `comparison`, came to."""
    return Compared(
        terms=comparison.terms,
        strategies=comparison.strategies,
        summaries=tuple(summaries(rows, comparison.terms.baseline)),
        rows=tuple(rows),
    )


def measured(strategy: str, seed: int, report: SimReport, target: float, window: int) -> Measured:
    """What `report` needed to reach the accuracy `target`."""
    smooth = _smooth(report.rounds, window)
    # the first rounds have no whole window: their mean counts as soon as there is one, or at the very end
    reached = next(
        (at for at, value in enumerate(smooth) if value >= target and at + 1 >= min(window, len(smooth))), None
    )
    until = report.rounds if reached is None else report.rounds[: reached + 1]
    wasted = sum(each.device_ms_wasted for each in until)
    spent = wasted + sum(each.device_ms_used for each in until)
    return Measured(
        strategy=strategy,
        seed=seed,
        target=target,
        reached_ms=None if reached is None else report.rounds[reached].sealed_ms,
        rounds=len(until),
        bytes_up=sum(each.bytes_up for each in until),
        bytes_down=sum(each.bytes_down for each in until),
        waste=wasted / spent if spent else 0.0,
        gini=gini(report.participation(len(until))),
        accuracy=smooth[-1] if smooth else 0.0,
        curve=tuple((each.sealed_ms, value) for each, value in zip(report.rounds, smooth, strict=True)),
    )


def summaries(rows: Sequence[Measured], baseline: str) -> list[Summary]:
    """One row for each strategy, in the order in which they come."""
    own = {row.seed: row.reached_ms for row in rows if row.strategy == baseline}
    return [
        _summary([row for row in rows if row.strategy == name], own)
        for name in dict.fromkeys(row.strategy for row in rows)
    ]


def _summary(rows: Sequence[Measured], own: Mapping[int, int | None]) -> Summary:
    times = [row.reached_ms for row in rows if row.reached_ms is not None]
    pairs = [(row.reached_ms, own.get(row.seed)) for row in rows]
    ratios = [mine / theirs for mine, theirs in pairs if mine is not None and theirs]
    return Summary(
        strategy=rows[0].strategy,
        seeds=len(rows),
        reached=len(times),
        reached_ms=statistics.median(times) if times else None,
        times=statistics.median(ratios) if ratios else None,
        bytes_up=statistics.median(row.bytes_up for row in rows),
        bytes_down=statistics.median(row.bytes_down for row in rows),
        waste=statistics.median(row.waste for row in rows),
        gini=statistics.median(row.gini for row in rows),
        accuracy=statistics.median(row.accuracy for row in rows),
    )


def _smooth(rounds: Sequence[RoundReport], window: int) -> list[float]:
    """The mean accuracy of the last `window` rounds, or of as many as there are, at each round."""
    spans = (rounds[max(0, end - window) : end] for end in range(1, len(rounds) + 1))
    # fsum: equal accuracies have equal means, whatever came before
    return [math.fsum(each.accuracy for each in span) / len(span) for span in spans]


def _table(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise OperatorFault("task-invalid", what=f"{path} is not TOML", why=str(error)) from error


def _lines(section: Mapping[str, object], prefix: str = "") -> tuple[str, ...]:
    """What a strategy lays over the task, one line a key: `select.options.alpha = 2.0`."""
    lines: list[str] = []
    for key, value in section.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {msgspec.json.encode(value).decode()}")
    return tuple(lines)


def _task(base: Mapping[str, object], strategy: Table, source: str) -> Task:
    """The task file's table with a strategy laid over it, checked."""
    laid = dict(base)
    for section, terms in strategy.items():
        below = laid.get(section)
        laid[section] = (below if isinstance(below, dict) else {}) | terms
    task, faults = judge_table(laid, source)
    if task is None or faults:
        raise faults[0]
    return task
