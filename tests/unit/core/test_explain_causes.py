"""Every cause of the table is reached by a real situation, is named first where it binds, and is told whole."""

import re

import pytest

from podium.core.views.causes import CAUSES
from podium.wire.explained import Explanation
from tests.support.explain_cases import CASES, Case

EVERY = [(code, case) for code, cases in CASES.items() for case in cases]


def test_every_code_has_its_situations_and_no_other_has() -> None:
    assert list(CASES) == list(CAUSES), "in the order of the table"
    for code, kind in CAUSES.items():
        assert {case.of for case in CASES[code]} == {of for of in ("run", "device") if getattr(kind, of)}, code


@pytest.mark.parametrize(("code", "case"), EVERY, ids=[f"{code}-{case.of}" for code, case in EVERY])
def test_a_situation_names_its_cause_and_says_it_whole(code: str, case: Case) -> None:
    told = case.explained()
    assert told.kind == case.of
    codes = [each.code for each in told.causes]
    assert code in codes and (codes[0] == code) == case.first, told
    assert told.cause == codes[0]
    assert told.next, "there is always something to do, if only to wait"
    for text in texts(told):
        assert text and not re.search(r"[{}]|\bNone\b", text), text


def texts(told: Explanation) -> list[str]:
    """Everything that a person reads of it."""
    return [told.what, *(each.text for each in told.causes), *told.next]
