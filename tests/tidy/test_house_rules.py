"""The project keeps its own house rules; what it does not yet keep is owned up to in ratchet.json."""

from functools import cache

import pytest

from tests.tidy.rules import ratchet
from tests.tidy.rules.everything import RULES, findings
from tests.tidy.rules.sources import Finding

found = cache(findings)


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps_the_house_rules(rule: str) -> None:
    breaches: list[Finding] = [each for each in found() if each.rule == rule]
    owned = {rule: ratchet.read().get(rule, {})}
    complaints = ratchet.complaints(breaches, owned)
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_finding_and_every_ratchet_entry_belongs_to_a_known_rule() -> None:
    assert {each.rule for each in found()} | ratchet.read().keys() <= set(RULES)
