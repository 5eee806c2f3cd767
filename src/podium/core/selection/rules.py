"""Eligibility rules: `requires` and `when` in CEL, one clause at a time, with a reason for each.

Decides: whether a device's facts satisfy a rule, and which clause they fail: `failing` for one device, `first_failing`
for a batch, to the same end. A clause that needs a fact the device did not tell is false with reason "unknown".
Never: who is chosen among the eligible. Limits: `CLAUSES_MAX` clauses a rule, `RULE_CHARS_MAX` characters, `ANDS_MAX`
joined conditions, those in brackets among them; what columnwise.py cannot compute for many devices is refused.
Source: the Common Expression Language, https://cel.dev; parsed, type-checked and compiled by its own library. Facts are
typed variables, so a misspelt fact or a comparison of unlike types is refused at submission.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
import numpy as np
from cel_expr_python import cel
from numpy.typing import NDArray

from podium.core.fleet.facts import Facts
from podium.core.selection.columnwise import Clause, FactColumns, NotInColumns, View, evaluated
from podium.core.selection.declared import DATA, MOMENTARY, OWN, STANDING, SWITCHES
from podium.core.selection.expressions import TooDeep, and_offsets
from podium.core.selection.standing import Crowded, Part, Standing
from podium.tasks.task import Task
from podium.wire.problems import OperatorFault

CLAUSES_MAX = 32
ANDS_MAX = 128
RULE_CHARS_MAX = 4_096
ROWS_FEW = 256
"""Up to so many rows it costs more to gather those that are left than to evaluate the others too."""
UNKNOWN = 2
"""The verdict on a row that did not tell what a clause needs."""
SATISFIED = -1
"""The code of a row that satisfies a rule."""


class Failing(msgspec.Struct, frozen=True):
    """The number of the clause that failed, and whether it did for want of a fact."""

    index: int
    unknown: bool


class Rule:
    """One compiled rule: its top-level clauses in order."""

    def __init__(self, text: str, environment: cel.Env, where: str) -> None:
        self.clauses = split_clauses(text, where)
        self._compiled = [_compile(clause, environment, where) for clause in self.clauses]
        self._standing = Standing()
        made = [
            _in_columns(clause, expression, environment, self._standing, where)
            for clause, expression in zip(self.clauses, self._compiled, strict=True)
        ]
        self._operations = [clause.operation for clause in made]
        # the clauses before the first that a check-in has to do with fail alike for a fact set: one look-up for all
        self._lasting = next((place for place, clause in enumerate(made) if not clause.lasting), len(made))
        if self._lasting:
            first = partial(_first_code, self._compiled[: self._lasting])
            self._first_lasting = self._standing.add(Part(first, (), np.int16))

    def failing(self, facts: Facts) -> Failing | None:
        """The first clause that `facts` do not satisfy, or None."""
        return next(self.failings(facts), None)

    def failings(self, facts: Facts) -> Iterator[Failing]:
        """Every clause that `facts` do not satisfy, in order, evaluated as it is asked for."""
        return _failings(self._compiled, facts)

    def first_failing(self, facts: FactColumns) -> NDArray[np.int16]:
        """What `failing` says of each row, as an int16: -1 for None, else 2 * clause + (1 if a fact was unknown).

        As soon as fewer than half of many rows are left, the clauses after it are evaluated for those alone.
        """
        if not self.clauses or not len(facts.sets):
            return np.full(len(facts.sets), SATISFIED, np.int16)
        try:
            places = self._standing.places(facts.sets, facts.facts_of)
        except Crowded:
            halves = (facts.of(half) for half in np.array_split(np.arange(len(facts.sets)), 2))
            return np.concatenate([self.first_failing(half) for half in halves])
        if self._lasting:
            codes: NDArray[np.int16] = self._standing.column(self._first_lasting, places, None)[0]
        else:
            codes = np.full(len(places), SATISFIED, np.int16)
        self._fail(codes, View(facts, places))
        return codes

    def verdicts(self, facts: FactColumns) -> list[NDArray[np.int8]]:
        """What `failings` says, clause by clause: per row 0 where it holds, 1 where it does not, `UNKNOWN`."""
        try:
            view = View(facts, self._standing.places(facts.sets, facts.facts_of))
        except Crowded:
            halves = [self.verdicts(facts.of(half)) for half in np.array_split(np.arange(len(facts.sets)), 2)]
            return [np.concatenate(parts) for parts in zip(*halves, strict=True)]
        told = (operation(view) for operation in self._operations)
        return [np.where(holds, 0, 1 if unknown is None else 1 + unknown).astype(np.int8) for holds, unknown in told]

    def _fail(self, codes: NDArray[np.int16], view: View) -> None:
        """Write the code of the first clause that fails into `codes`, which tell what the lasting ones say."""
        rows, holds = None, codes < 0
        for index in range(self._lasting, len(self._operations)):
            left = np.count_nonzero(holds)
            if left == 0:
                return
            if view.size > ROWS_FEW and 2 * left < view.size:
                at = holds.nonzero()[0]
                rows = at if rows is None else rows[at]
                view, holds = view.of(at), np.ones(left, np.bool_)
            values, unknown = self._operations[index](view)
            at = (holds > values).nonzero()[0]
            if len(at):
                codes[at if rows is None else rows[at]] = 2 * index if unknown is None else 2 * index + unknown[at]
                holds &= values


def _failings(clauses: Sequence[cel.Expression], facts: Facts) -> Iterator[Failing]:
    for index, expression in enumerate(clauses):
        value = evaluated(expression, facts)
        if value is None:
            yield Failing(index, unknown=True)
        elif value.value() is not True:
            yield Failing(index, unknown=False)


def _first_code(clauses: Sequence[cel.Expression], facts: Facts) -> int:
    """The first of `clauses` that fails as `first_failing` tells it."""
    found = next(_failings(clauses, facts), None)
    return SATISFIED if found is None else 2 * found.index + found.unknown


class Rules(msgspec.Struct, frozen=True):
    """The two rules of a task."""

    requires: Rule
    when: Rule


def compile_rules(task: Task) -> Rules:
    """The compiled rules of `task`; `OperatorFault(expression-invalid)` names the clause and the library's reason.

    `requires` may name standing facts only: it is evaluated once a session.
    """
    lasting = cel.NewEnv(variables={**STANDING, **DATA})
    every = cel.NewEnv(variables={**STANDING, **DATA, **MOMENTARY})
    return Rules(
        requires=Rule(task.select.requires, lasting, "select.requires"),
        when=Rule(task.select.when, every, "select.when"),
    )


def _compile(clause: str, environment: cel.Env, where: str) -> cel.Expression:
    try:
        expression = environment.compile(clause)
    except RuntimeError as error:
        raise _refused(clause, where, error) from error
    if expression.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise OperatorFault(
            "expression-invalid", what=f"{where}: {clause}", why=f"it gives {expression.return_type()}, not a boolean"
        )
    return expression


def _in_columns(
    clause: str, expression: cel.Expression, environment: cel.Env, standing: Standing, where: str
) -> Clause:
    try:
        return Clause(expression, environment, standing)
    except TooDeep as error:
        raise OperatorFault("expression-invalid", what=f"{where}: {clause}", why="it is nested too deeply") from error
    except NotInColumns as error:
        raise OperatorFault(
            "expression-invalid",
            what=f"{where}: {clause}",
            why=f"{error} cannot be computed for many devices at once, since each device has its own "
            + ", ".join(sorted(error.part.facts & OWN - SWITCHES)),
            next="ask for numbers and switches with comparisons, arithmetic, &&, ||, !, ?:, in, int() and double(), "
            "and for device.datasets with [], has(), in and size()",
        ) from error


def _refused(text: str, where: str, error: RuntimeError) -> OperatorFault:
    """What the library has against `text`."""
    reason = str(error).removeprefix("INVALID_ARGUMENT: ERROR: ").splitlines()[0]
    known = ", ".join(sorted({*STANDING, *DATA, *MOMENTARY}))
    return OperatorFault("expression-invalid", what=f"{where}: {text}", why=reason, next=f"the facts are {known}")


def split_clauses(text: str, where: str) -> list[str]:
    """The operands of the top-level `&&` of `text`; one clause if `||` or `?` stands at the top level.

    The library parses; its tree tells where each `&&` stands, but not whether it stands in brackets. What is before one
    that does has a bracket open and cannot be parsed alone, so clauses are the least parts that can.
    `OperatorFault(expression-invalid)` if the rule is too long or cannot be parsed.
    """
    if len(text) > RULE_CHARS_MAX:
        raise OperatorFault("expression-invalid", what=where, why=f"it is longer than {RULE_CHARS_MAX} characters")
    if not text.strip():
        return []
    clauses, start, syntax = [], 0, cel.NewEnv(variables={})
    try:
        cuts = and_offsets(syntax.compile(text, disable_check=True).serialize())
    except RuntimeError as error:
        raise _refused(text, where, error) from error
    if len(cuts) > ANDS_MAX:
        raise OperatorFault("expression-invalid", what=where, why=f"it has more than {ANDS_MAX} && in a row")
    for cut in cuts:
        if _parses(text[start:cut], syntax):
            clauses.append(text[start:cut].strip())
            start = cut + len("&&")
    clauses.append(text[start:].strip())
    if len(clauses) > CLAUSES_MAX:
        raise OperatorFault("expression-invalid", what=where, why=f"it has more than {CLAUSES_MAX} clauses")
    return clauses


def _parses(text: str, syntax: cel.Env) -> bool:
    try:
        syntax.compile(text, disable_check=True)
    except RuntimeError:
        return False
    return True
