"""Whether the terms of a task hold together, and whether this release offers them.

Decides: cross-field rules and bounds; what is refused as not yet offered. Never: types and unknown keys (tasks/file.py,
msgspec), CEL expressions (core/selection), whether a plan is installed (device/plan.py), whether a fleet can serve it.
Limits: integers stay within 2^53-1 and floats are finite, because both are signed (wire/canonical.py).
"""

import math
import re
from collections.abc import Iterator

import msgspec

from podium.learning.names import check_bounds, check_steps, cohort_max
from podium.tasks.selecting import select_faults
from podium.tasks.task import Round, Task
from podium.wire.alias_names import LATEST, MOVABLE, nearest
from podium.wire.canonical import INTEGER_MAX
from podium.wire.durations import Duration
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault

PURPOSE_CHARS_MAX = 1_000
"""A purpose and a lawful basis are shown wherever a run is, and are in every journal entry of it."""
_CHARS_MAX, _STALENESS_MAX = Limits().name_chars_max, Limits().staleness_max
_OVER_MOST = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ALIAS = re.compile(rf"{_NAME.pattern}@{_NAME.pattern}")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def check_task(task: Task) -> None:
    """Raise `OperatorFault` for the first term that does not hold (task-invalid, alias-unknown) or is not offered
    (not-available)."""
    for fault in task_faults(task):
        raise fault


def task_faults(task: Task) -> Iterator[OperatorFault]:
    """Every term that does not hold or is not offered, as `check_task` words it; what cannot be signed comes alone."""
    unsigned = list(_number_faults(task))
    yield from unsigned
    if unsigned:
        return
    for check in (_name_faults, _model_faults, _unoffered, _round_faults, _bound_faults):
        yield from check(task)
    yield from select_faults(task.select)


def _refuse(key: str, got: object, why: str) -> OperatorFault:
    shown = f'"{got}"' if isinstance(got, str) else got
    return OperatorFault("task-invalid", what=f"{key} = {shown}", why=why)


def _numbers(value: object, key: str) -> Iterator[tuple[str, int | float]]:
    """Every number of a task with its dotted key."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, tuple | list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{key}[{place}]")
    elif isinstance(value, int | float):
        yield key, value


def _number_faults(task: Task) -> Iterator[OperatorFault]:
    for key, number in _numbers(task, ""):
        if isinstance(number, float) and not math.isfinite(number):
            yield _refuse(key, number, "every number of a task is finite")
        if isinstance(number, int) and abs(number) > INTEGER_MAX:
            yield _refuse(key, number, "whole numbers stay within 2^53-1, because the task is signed")


def _name_faults(task: Task) -> Iterator[OperatorFault]:
    head = task.task
    named = [("task.name", head.name)]
    named += [(f"data.datasets[{place}]", name) for place, name in enumerate(task.data.datasets)]
    for key, name in named:
        if not _NAME.fullmatch(name) or len(name) > _CHARS_MAX:
            why = f"a name is letters, digits, '.', '_' and '-', begins with a letter or digit, <= {_CHARS_MAX} long"
            yield _refuse(key, name, why)
    if len(set(task.data.datasets)) != len(task.data.datasets):
        yield _refuse("data.datasets", list(task.data.datasets), "a dataset is named once")
    if not head.purpose.strip():
        yield _refuse("task.purpose", head.purpose, "a task says what it is for")
    for key, text in (("task.purpose", head.purpose), ("task.basis", head.basis)):
        if len(text) > PURPOSE_CHARS_MAX:
            yield OperatorFault(
                "task-invalid", what=f"{key} is {len(text):,} long", why=f"at most {PURPOSE_CHARS_MAX:,}"
            )
    if not _FUNCTION.fullmatch(head.plan):
        yield _refuse("task.plan", head.plan, "a plan is named module:function")
    for place, digest in enumerate(head.plan_digests):
        if not _DIGEST.fullmatch(digest):
            yield _refuse(f"task.plan_digests[{place}]", digest, "a digest is sha256: and 64 hex digits")


def _model_faults(task: Task) -> Iterator[OperatorFault]:
    model = task.model
    given = [name for name in model.__struct_fields__ if getattr(model, name)]
    if len(given) != 1:
        yield OperatorFault(
            "task-invalid",
            what=f"[model] names {' and '.join(given) or 'no source'}",
            why="a model has exactly one source: init, file, alias or version",
        )
    if model.init and not _FUNCTION.fullmatch(model.init):
        yield _refuse("model.init", model.init, "an init function is named module:function")
    if model.version and not _DIGEST.fullmatch(model.version):
        yield _refuse("model.version", model.version, "a version is sha256: and 64 hex digits")
    if model.alias and not _ALIAS.fullmatch(model.alias):
        yield _refuse("model.alias", model.alias, "an alias is written model@alias")
    elif model.alias and (name := model.alias.partition("@")[2]) not in (*MOVABLE, LATEST):
        yield OperatorFault(
            "alias-unknown",
            what=f'model.alias = "{model.alias}"',
            why=f"the nearest known one is {nearest(name)}; there are {', '.join(MOVABLE)} and {LATEST}",
        )


def _unoffered(task: Task) -> Iterator[OperatorFault]:
    """What this release does not do, with the key and the values offered: never ignore a term."""
    terms: tuple[tuple[str, object, tuple[object, ...]], ...] = (
        ("task.kind", task.task.kind, ("train", "evaluate")),
        ("aggregate.secure", task.aggregate.secure, (False,)),
        ("privacy", task.privacy and task.privacy.mechanism, (None,)),
        ("select.sampling", task.select.sampling, ("none",)),
    )
    for key, got, offered in terms:
        if got not in offered:
            shown = " or ".join(_toml(value) for value in offered)
            yield OperatorFault(
                "not-available",
                what=f"{key} = {_toml(got)} is not offered yet",
                why=f"this release offers {shown}",
                next=f"set {key} to {shown}" if offered != (None,) else f"remove [{key}]",
            )


def _toml(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _round_faults(task: Task) -> Iterator[OperatorFault]:
    terms = task.round
    if terms.goal < 1:
        yield _refuse("round.goal", terms.goal, "a version is made of at least one report")
    if not 0 <= terms.minimum <= terms.goal:
        yield _refuse("round.minimum", terms.minimum, f"it is at most round.goal, {terms.goal}; 0 means as many")
    if terms.concurrency < 0:
        yield _refuse("round.concurrency", terms.concurrency, "it is 0 (the goal, over-selected) or a count of devices")
    yield from _adaptive_faults(task)
    yield from _mode_faults(task)
    deadlines: tuple[tuple[str, Duration], ...] = (
        ("round.form_deadline", terms.form_deadline),
        ("round.report_deadline", terms.report_deadline),
        ("round.stall", terms.stall),
        ("run.deadline", task.run.deadline),
    )
    for key, duration in deadlines:
        if duration <= 0:
            yield _refuse(key, f"{int(duration)}ms", "a deadline is above zero: nothing waits for ever")
    if terms.report_deadline < terms.stall:
        why = f"it is at least round.stall ({int(terms.stall)}ms)"
        yield _refuse("round.report_deadline", f"{int(terms.report_deadline)}ms", why)


def _mode_faults(task: Task) -> Iterator[OperatorFault]:
    """Buffered rounds form no cohort: what says how to choose or to grow one does not go with them."""
    terms, select = task.round, task.select
    if terms.mode == "sync":
        if terms.staleness_max != Round().staleness_max:
            yield _refuse("round.staleness_max", terms.staleness_max, 'it is a term of round.mode = "buffered"')
        return
    if task.task.kind != "train":
        yield _refuse("round.mode", terms.mode, "only training is buffered: an evaluation measures one version")
    if terms.concurrency == 0:
        why = "buffered rounds keep so many devices at work at all times: it is at least 1"
        yield _refuse("round.concurrency", terms.concurrency, why)
    if not 0 <= terms.staleness_max <= _STALENESS_MAX:
        yield _refuse("round.staleness_max", terms.staleness_max, f"it is at least 0 and at most {_STALENESS_MAX}")
    if terms.ramp is not None:
        yield _refuse("round.ramp.base", terms.ramp.base, "buffered rounds form no cohort that could grow")
    chosen = {
        "select.strategy": (select.strategy, "uniform"),
        "select.over": (select.over, "auto"),
        "select.stratify": (select.stratify, ""),
        "select.prefers": (select.prefers, {}),
        "select.fairness.without_replacement": (select.fairness.without_replacement, False),
    }
    for key, (got, default) in chosen.items():
        if got != default:
            yield _refuse(
                key, got, "buffered rounds choose no cohort: whoever comes and may take part fills a free seat"
            )


def _adaptive_faults(task: Task) -> Iterator[OperatorFault]:
    ramp = task.round.ramp
    if ramp is not None:
        if not 1 <= ramp.base <= max(1, task.round.goal):
            yield _refuse("round.ramp.base", ramp.base, f"it is at least 1 and at most round.goal, {task.round.goal}")
        if ramp.factor < 1.0:
            yield _refuse("round.ramp.factor", ramp.factor, "it is at least 1: rounds do not shrink")
        if ramp.after < 1:
            yield _refuse("round.ramp.after", ramp.after, "it is at least 1")
    kinds = [each.kind for each in task.round.abort]
    for place, each in enumerate(task.round.abort):
        key = f"round.abort[{place}]"
        if each.kind in kinds[:place]:
            yield _refuse(f"{key}.kind", each.kind, "a kind is named once")
        if not 0.0 < each.share <= 1.0:
            yield _refuse(f"{key}.share", each.share, "it is above 0 and at most 1")
        if each.min < 1:
            yield _refuse(f"{key}.min", each.min, "it is at least 1")


def _bound_faults(task: Task) -> Iterator[OperatorFault]:
    aggregate, run = task.aggregate, task.run
    bounds = {name: getattr(aggregate, name) for name in ("value_abs_max", "norm_max", "weight_max")}
    for name, bound in bounds.items():
        if bound <= 0:
            yield _refuse(f"aggregate.{name}", bound, "a bound is above zero")
    over = task.select.over
    fits = over == "auto" or 1 <= over <= _OVER_MOST
    if not fits:
        yield _refuse("select.over", over, f'it is "auto" or a factor of at least 1 and at most {_OVER_MOST}')
    try:
        check_steps(aggregate.steps, aggregate.optimizer)
        if fits and min(bounds.values()) > 0:
            cohort = cohort_max(task.round.goal, task.round.concurrency, task.select.over)
            check_bounds(cohort, aggregate.weight_max, aggregate.value_abs_max)
    except ValueError as error:
        yield OperatorFault("task-invalid", what="[aggregate] does not hold", why=str(error))
    least: tuple[tuple[str, int, int], ...] = (
        ("data.examples_min", task.data.examples_min, 0),
        ("select.separation", task.select.separation, 0),
        ("run.rounds", run.rounds, 1),
        ("run.abandoned_max", run.abandoned_max, 1),
        ("run.seed", run.seed, 0),
    )
    for key, got, lowest in least:
        if got < lowest:
            yield _refuse(key, int(got), f"it is at least {lowest}")
    if run.target is not None and not _NAME.fullmatch(run.target.metric):
        yield _refuse("run.target.metric", run.target.metric, "it names a metric that the plan reports")
