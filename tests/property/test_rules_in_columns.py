"""Random rules on random columns: the evaluation in columns says of each row what the CEL library says of its facts.

The cells reached are counted: each operator with each of its outcomes, each pair of outcomes under `&&` and `||`, and
each operator that is unknown although its operands are known.
"""

from collections import Counter

import numpy as np
import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.fleet.facts import Facts
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.declared import DATA, MOMENTARY, STANDING
from podium.core.selection.rules import Rule, compile_rules
from tests.support.core_made import task
from tests.support.rules_made import Made, clauses_made, facts_made, facts_of_row

ENVIRONMENT = cel.NewEnv(variables={**STANDING, **DATA, **MOMENTARY})
SEEDS = st.integers(0, 2**32 - 1)
Cell = tuple[str, ...]
LOGICAL = ("true", "false", "unknown")
TRUTHS = ("!", "==", "!=", "<", "<=", ">", ">=", "in", "text", "list", "map", "?:")
INTS = ("int+", "int-", "int*", "int/", "int%", "-int", "int()")
OTHERS = ("size()", "double()", "double+", "double-", "double*", "double/", "-double", "text+", "?:")
CELLS: set[Cell] = {(op, outcome) for op in TRUTHS for outcome in LOGICAL}
CELLS |= {(op, outcome) for op in (*INTS, *OTHERS) for outcome in ("value", "unknown")}
CELLS |= {(op, "unknown of known") for op in INTS}
CELLS |= {(op, first, second) for op in ("&&", "||") for first in LOGICAL for second in LOGICAL}


def code(rule: Rule, facts: Facts) -> int:
    """What the library says, as the code of `first_failing`."""
    failing = rule.failing(facts)
    return -1 if failing is None else 2 * failing.index + failing.unknown


def hold(clauses: list[Made], facts: FactColumns) -> None:
    """Compare every row of a batch, and of the batch cut in pieces."""
    rule = compile_rules(task(when=" && ".join(f"({each.text})" for each in clauses))).when
    expected = [code(rule, facts_of_row(facts, row)) for row in range(len(facts.sets))]
    assert len(rule.clauses) == len(clauses)
    assert rule.first_failing(facts).tolist() == expected
    pieces = [rule.first_failing(facts.of(rows)) for rows in np.array_split(np.arange(len(expected)), 5)]
    assert np.concatenate(pieces).tolist() == expected


def outcome(made: Made, facts: list[Facts], reached: Counter[Cell]) -> list[str]:
    """What the library says of one expression for each row, counting the cells of it and of what is below."""
    below = [outcome(part, facts, reached) for part in made.parts]
    expression = ENVIRONMENT.compile(made.text)
    found = []
    for row, known in enumerate(facts):
        value = expression.eval(data=known)
        plain = None if value.type() == cel.Type.ERROR else value.value()
        said = "unknown" if plain is None else str(plain).lower() if isinstance(plain, bool) else "value"
        parts = [each[row] for each in below]
        found.append(said)
        reached[(made.op, *parts) if made.op in ("&&", "||") else (made.op, said)] += 1
        reached[made.op, "unknown of known"] += said == "unknown" and "unknown" not in parts
    return found


def test_rules_in_columns_are_the_library_row_by_row() -> None:
    reached: Counter[Cell] = Counter()

    @settings(max_examples=300, derandomize=True)
    @given(clauses_made(), SEEDS)
    def run(clauses: list[Made], seed: int) -> None:
        facts = facts_made(seed)
        hold(clauses, facts)
        known = [facts_of_row(facts, row) for row in range(len(facts.sets))]
        for each in clauses:
            outcome(each, known, reached)

    run()
    assert sorted(CELLS - {cell for cell, count in reached.items() if count}) == []


@pytest.mark.parametrize(
    "rule",
    [
        "device.charging ? dyn(1) : dyn(true)",
        "dyn(device.charging)",
        "has(device.labels.bed) == device.charging && !has(device.labels.nothing)",
        "type(device.charging) == bool || device.missing_rate > 0.5",
        "device.labels.exists(k, device.labels[k] == 'linux' || device.charging)",
        "device.labels.all(k, k.matches('^w.*d$')) && device.datasets.hearts >= 1",
        "[1, 2].map(n, n * 2).exists(n, n == device.cores) || device.charging",
        "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z') && size(device.datasets) > 1",
        "uint(device.cores) > 1u && device.battery >= 0.3",
        "{true: device.os, false: device.site}[device.charging] == 'linux'",
        "(device.charging ? [device.os] : []).size() == 1",
        "device.battery == double(device.cores) || device.battery in [double(device.cores), 0.0 / 0.0]",
        "device.battery != 0.0 / 0.0 && 1.0 / (device.battery - device.battery) != 1.0",
        "int(device.thermal_c * 1e30) == 0 || int(device.thermal_c) == 7",
    ],
)
def test_what_has_no_array_operation_is_the_library_row_by_row(rule: str) -> None:
    hold([Made(rule, "rule"), Made("device.charging", "fact")], facts_made(1))


@pytest.mark.long
@settings(max_examples=1_500)
@given(clauses_made(depth=5), SEEDS)
def test_deeper_rules_in_columns_are_the_library_row_by_row(clauses: list[Made], seed: int) -> None:
    hold(clauses, facts_made(seed, rows=100))
