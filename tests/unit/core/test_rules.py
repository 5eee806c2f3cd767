"""Eligibility rules: clauses and their reasons, unknown facts, and what is refused at submission."""

import numpy as np
import pytest

from podium.core.fleet.facts import Facts
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.rules import ANDS_MAX, CLAUSES_MAX, RULE_CHARS_MAX, Failing, compile_rules, split_clauses
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

FACTS: Facts = {
    "device.os": "linux",
    "device.ram_mb": 4096,
    "device.labels": {"ward": "3"},
    "device.datasets": {"hearts": 120},
    "device.runtimes": {},
    "device.battery": 0.5,
    "device.charging": True,
}


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("  ", []),
        ("a", ["a"]),
        ("a && b&&c", ["a", "b", "c"]),
        ("(a && b) && c", ["(a && b)", "c"]),
        ("a && b || c", ["a && b || c"]),
        ("(a || b) && c", ["(a || b)", "c"]),
        ("a ? b : c && d", ["a ? b : c && d"]),
        ("x == 'a && b' && c", ["x == 'a && b'", "c"]),
        ('x == "it\'s || so" && c', ['x == "it\'s || so"', "c"]),
        (r"x == 'don\'t && no' && c", [r"x == 'don\'t && no'", "c"]),
        ("x in ['a', 'b'] && y[{'k': 1}.k] && c", ["x in ['a', 'b']", "y[{'k': 1}.k]", "c"]),
        ("x == '(' && c", ["x == '('", "c"]),
        ("a // b && c", ["a // b && c"]),
        ("x == 'http://y' && c", ["x == 'http://y'", "c"]),
        ("x == '\U0001d4b3é' && c", ["x == '\U0001d4b3é'", "c"]),
        ("a && (b && (c && d)) && [e && f][0] && g", ["a", "(b && (c && d))", "[e && f][0]", "g"]),
        ("(a // )\n && b) && c", ["(a // )\n && b)", "c"]),
    ],
)
def test_clauses_are_the_operands_of_the_outermost_and(text: str, clauses: list[str]) -> None:
    assert split_clauses(text, "select.when") == clauses


@pytest.mark.parametrize("text", ["a &&", "&& a", "a && && b", "&&"])
def test_an_and_with_nothing_beside_it_is_refused(text: str) -> None:
    with pytest.raises(OperatorFault, match="Syntax error"):
        split_clauses(text, "select.when")


def test_long_rules_are_refused() -> None:
    assert len(split_clauses(" && ".join(["a"] * CLAUSES_MAX), "w")) == CLAUSES_MAX
    with pytest.raises(OperatorFault, match="more than 32 clauses"):
        split_clauses(" && ".join(["a"] * (CLAUSES_MAX + 1)), "w")
    assert len(split_clauses(f"({' && '.join(['a'] * (ANDS_MAX + 1))})", "w")) == 1
    with pytest.raises(OperatorFault, match="more than 128 && in a row"):
        split_clauses(f"({' && '.join(['a'] * (ANDS_MAX + 2))})", "w")
    split_clauses("a" * RULE_CHARS_MAX, "w")
    with pytest.raises(OperatorFault, match="longer than 4096 characters"):
        split_clauses("a" * (RULE_CHARS_MAX + 1), "w")


@pytest.mark.parametrize(
    ("rule", "failing"),
    [
        ("", None),
        ("device.ram_mb >= 4096 && device.os in ['android', 'linux']", None),
        ("device.ram_mb >= 4096 && device.os == 'android'", Failing(1, unknown=False)),
        ("device.ram_mb > 4096 && device.os == 'android'", Failing(0, unknown=False)),
        ("device.cores > 2", Failing(0, unknown=True)),
        ("device.os == 'linux' && device.labels['ward'] == '3'", None),
        ("device.os == 'linux' && device.labels['bed'] == '3'", Failing(1, unknown=True)),
        ("'bed' in device.labels", Failing(0, unknown=False)),
        ("device.datasets['hearts'] >= 100", None),
        ("device.cores > 2 || device.os == 'linux'", None),
        ("device.os == 'linux && android'", Failing(0, unknown=False)),
    ],
)
def test_the_first_clause_that_fails_is_named(rule: str, failing: Failing | None) -> None:
    assert compile_rules(task(requires=rule)).requires.failing(FACTS) == failing


def test_when_may_name_momentary_facts_and_requires_may_not() -> None:
    rules = compile_rules(task(when="device.charging && device.battery > 0.4 && device.os == 'linux'"))
    assert rules.when.failing(FACTS) is None
    assert rules.when.failing({**FACTS, "device.battery": 0.3}) == Failing(1, unknown=False)
    with pytest.raises(OperatorFault, match=r"select.requires: device.charging"):
        compile_rules(task(requires="device.charging"))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("device.ram_gb > 2", "undeclared reference"),
        ("device.ram_mb > 'a'", "no matching overload"),
        ("device.ram_mb", "it gives INT, not a boolean"),
        ("device.os ==", "Syntax error"),
        ("device.os == 'linux", "Syntax error"),
        ("device.ram_mb > 1 && nonsense(3)", "undeclared reference"),
    ],
)
def test_what_is_refused_at_submission(rule: str, why: str) -> None:
    with pytest.raises(OperatorFault) as fault:
        compile_rules(task(when=rule))
    assert fault.value.code == "expression-invalid"
    assert why in fault.value.why
    assert fault.value.what.startswith("select.when: ")


def test_a_clause_that_labels_make_too_long_is_unknown_and_harms_nobody() -> None:
    pairs = "device.labels.all(a, device.labels.all(b, device.labels.all(c, a != b || b == c || true)))"
    rule = compile_rules(task(requires=pairs)).requires
    few = {**FACTS, "device.labels": {str(number): "" for number in range(4)}}
    many = {**FACTS, "device.labels": {str(number): "" for number in range(64)}}
    assert (rule.failing(few), rule.failing(many)) == (None, Failing(0, unknown=True))
    sets = np.arange(2, dtype=np.int32)
    columns = FactColumns(sets=sets, facts_of=[few, many].__getitem__, columns={}, datasets={})
    assert rule.first_failing(columns).tolist() == [-1, 1]
