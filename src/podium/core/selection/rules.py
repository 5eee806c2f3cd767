"""Eligibility rules: `requires` and `when` in CEL, one clause at a time, with a reason for each.

Decides: whether a device's facts satisfy a rule, and which clause they fail. A clause that names a fact the device did
not tell is false with reason "unknown". Never: who is chosen among the eligible. Limits: `CLAUSES_MAX` clauses a rule,
`RULE_CHARS_MAX` characters. Source: the Common Expression Language, https://cel.dev; compiled and type-checked by its
own library. Facts are typed variables, so a misspelt fact or a comparison of unlike types is refused at submission.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np
from cel_expr_python import cel
from numpy.typing import NDArray

from podium.core.fleet.facts import DATASETS, Facts
from podium.core.fleet.telemetry import LEVELS, QUALITIES, SWITCHES
from podium.tasks.task import Task
from podium.wire.problems import OperatorFault

UNKNOWN = 2
CLAUSES_MAX = 32
RULE_CHARS_MAX = 4_096

_TEXTS = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
STANDING: dict[str, cel.Type] = {
    "device.os": cel.Type.STRING,
    "device.architecture": cel.Type.STRING,
    "device.variant": cel.Type.STRING,
    "device.ram_mb": cel.Type.INT,
    "device.cores": cel.Type.INT,
    "device.accelerator": cel.Type.STRING,
    "device.agent": cel.Type.STRING,
    "device.runtimes": _TEXTS,
    "device.plans": _TEXTS,
    "device.datasets": cel.Type.Map(cel.Type.STRING, cel.Type.INT),
    "device.site": cel.Type.STRING,
    "device.labels": _TEXTS,
    "device.region": cel.Type.STRING,
    "device.label_coverage": cel.Type.DOUBLE,
    "device.missing_rate": cel.Type.DOUBLE,
    "device.freshness_h": cel.Type.DOUBLE,
}
"""Facts that hold for a session's length."""
MOMENTARY: dict[str, cel.Type] = {
    "device.battery": cel.Type.DOUBLE,
    "device.charging": cel.Type.BOOL,
    "device.metered": cel.Type.BOOL,
    "device.ram_free_mb": cel.Type.DOUBLE,
    "device.disk_free_mb": cel.Type.DOUBLE,
    "device.thermal_c": cel.Type.DOUBLE,
    "device.download_mb_s": cel.Type.DOUBLE,
    "device.upload_mb_s": cel.Type.DOUBLE,
    "device.latency_ms": cel.Type.DOUBLE,
}
"""Facts of one check-in."""


class Failing(msgspec.Struct, frozen=True):
    """The number of the clause that failed, and whether it did for want of a fact."""

    index: int
    unknown: bool


class FactColumns(msgspec.Struct, frozen=True):
    """Facts of n devices in columns: see eligible.py."""

    sets: NDArray[np.int32]
    facts_of: Callable[[int], Facts]
    columns: Mapping[str, NDArray[np.generic]]
    datasets: Mapping[str, NDArray[np.int32]]


class Rule:
    """One compiled rule: its top-level clauses in order."""

    def __init__(self, text: str, environment: cel.Env, where: str) -> None:
        self.clauses = split_clauses(text, where)
        self._compiled = [_compile(clause, environment, where) for clause in self.clauses]

    def first_failing(self, facts: FactColumns) -> NDArray[np.int16]:
        """Per row -1, or 2 * clause + 1 if unknown for the first failing clause."""
        codes = np.full(len(facts.sets), -1, np.int16)
        for row, number in enumerate(facts.sets):
            held = facts.facts_of(int(number))
            names = held.get(DATASETS, {})
            assert isinstance(names, dict)
            told = {**held, DATASETS: {name: int(facts.datasets[name][row]) for name in names}}
            for name in (*LEVELS, *QUALITIES):
                level = facts.columns[f"device.{name}"][row].item()
                told |= {f"device.{name}": level} if level == level else {}
            for name in SWITCHES:
                switch = facts.columns[f"device.{name}"][row].item()
                told |= {f"device.{name}": bool(switch)} if switch >= 0 else {}
            failing = self.failing(told)
            if failing is not None:
                codes[row] = 2 * failing.index + failing.unknown
        return codes

    def each(self, facts: FactColumns) -> Iterator[NDArray[np.int8]]:
        """For each clause in order a verdict per row: 0 it holds, 1 it does not, `UNKNOWN`."""
        for index in range(len(self.clauses)):
            one = Rule.__new__(Rule)
            one.clauses, one._compiled = self.clauses[index : index + 1], self._compiled[index : index + 1]
            codes = one.first_failing(facts)
            yield (codes + 1).astype(np.int8)

    def failing(self, facts: Facts) -> Failing | None:
        """The first clause that `facts` do not satisfy, or None."""
        return next(self.failings(facts), None)

    def failings(self, facts: Facts) -> Iterator[Failing]:
        """Every clause that `facts` do not satisfy, in order, evaluated as it is asked for."""
        for index, expression in enumerate(self._compiled):
            value = expression.eval(data=facts)
            if value.type() == cel.Type.ERROR:
                yield Failing(index, unknown=True)
            elif value.value() is not True:
                yield Failing(index, unknown=False)


class Rules(msgspec.Struct, frozen=True):
    """The two rules of a task."""

    requires: Rule
    when: Rule


def compile_rules(task: Task) -> Rules:
    """The compiled rules of `task`; `OperatorFault(expression-invalid)` names the clause and the library's reason.

    `requires` may name standing facts only: it is evaluated once a session.
    """
    standing = cel.NewEnv(variables=STANDING)
    every = cel.NewEnv(variables={**STANDING, **MOMENTARY})
    return Rules(
        requires=Rule(task.select.requires, standing, "select.requires"),
        when=Rule(task.select.when, every, "select.when"),
    )


def _compile(clause: str, environment: cel.Env, where: str) -> cel.Expression:
    try:
        expression = environment.compile(clause)
    except RuntimeError as error:
        reason = str(error).removeprefix("INVALID_ARGUMENT: ERROR: ").splitlines()[0]
        known = ", ".join(sorted(name for name in {**STANDING, **MOMENTARY}))
        raise OperatorFault(
            "expression-invalid", what=f"{where}: {clause}", why=reason, next=f"the facts are {known}"
        ) from error
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise OperatorFault(
            "expression-invalid", what=f"{where}: {clause}", why=f"it gives {expression.return_type()}, not a boolean"
        )
    return expression


def split_clauses(text: str, where: str) -> list[str]:
    """The operands of the top-level `&&` of `text`; one clause if `||` or `?` stands at the top level.

    Only string quotes, brackets and comments are followed, the language is the library's; a rule with a comment at
    the top level is one clause. `OperatorFault(expression-invalid)` if the rule is too long or an operand is missing.
    """
    if len(text) > RULE_CHARS_MAX:
        raise OperatorFault("expression-invalid", what=where, why=f"it is longer than {RULE_CHARS_MAX} characters")
    cuts = _top_level_ands(text)
    parts = [text[start:end].strip() for start, end in zip([0, *(cut + 2 for cut in cuts)], [*cuts, None], strict=True)]
    clauses = parts if text.strip() else []
    if "" in clauses:
        raise OperatorFault("expression-invalid", what=f"{where}: {text}", why="an && has nothing beside it")
    if len(clauses) > CLAUSES_MAX:
        raise OperatorFault("expression-invalid", what=where, why=f"it has more than {CLAUSES_MAX} clauses")
    return clauses


def _top_level_ands(text: str) -> list[int]:
    depth, quote, at, cuts = 0, "", 0, []
    while at < len(text):
        char, pair = text[at], text[at : at + 2]
        if quote:
            at += 1 if char == "\\" else 0
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and (pair in ("||", "//") or char == "?"):
            return []
        elif depth == 0 and pair == "&&":
            cuts.append(at)
            at += 1
        at += 1
    return cuts
