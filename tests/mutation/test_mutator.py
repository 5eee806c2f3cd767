"""The mutator itself: which mutants it makes, and that the hunt tells the caught from the living, on a toy machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.hunt import read_plan
from tests.mutation.mutants import Mutant, Rows, mutants, parse

STATES = ("OPEN", "SHUT", "LOST")
ROWS: Rows = {("OPEN", "closed"): "SHUT", ("OPEN", "broken"): "LOST"}

TOY = """
STATES = ("OPEN", "SHUT", "LOST")
ROWS = {("OPEN", "closed"): "SHUT", ("OPEN", "broken"): "LOST"}
"""
TOY_CONFTEST = """
import os, sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
import toy
from tests.mutation.mutants import VARIABLE, parse
if os.environ.get(VARIABLE):
    parse(os.environ[VARIABLE]).put_into(toy.ROWS)
"""
TOY_TEST = """
import toy
def test_a_door_shuts():
    assert toy.ROWS["OPEN", "closed"] == "SHUT"
def test_a_broken_door_is_not_open():
    while toy.ROWS.get(("OPEN", "broken")) == "OPEN":
        assert False
"""


def test_every_row_is_dropped_and_led_to_every_other_state() -> None:
    assert [each.name for each in mutants("door", STATES, ROWS)] == [
        "door:OPEN:closed->",
        "door:OPEN:closed->OPEN",
        "door:OPEN:closed->LOST",
        "door:OPEN:broken->",
        "door:OPEN:broken->OPEN",
        "door:OPEN:broken->SHUT",
    ]


def test_names_are_read_back() -> None:
    for each in mutants("door", STATES, ROWS):
        assert parse(each.name) == each
    assert parse("run:RUNNING:timed-out->TIMED_OUT") == Mutant("run", "RUNNING", "timed-out", "TIMED_OUT")
    with pytest.raises(ValueError, match="names no mutant"):
        parse("door:OPEN")


def test_a_mutant_changes_exactly_its_row_in_place() -> None:
    for each in mutants("door", STATES, ROWS):
        rows = dict(ROWS)
        each.put_into(rows)
        assert rows != ROWS
        assert {key for key in ROWS if rows.get(key) != ROWS[key]} == {(each.state, each.event)}
    with pytest.raises(KeyError):
        Mutant("door", "SHUT", "closed", "OPEN").put_into(dict(ROWS))


def test_the_core_has_a_mutant_for_every_row_and_the_product_is_forgotten() -> None:
    probe = (
        "import sys; from tests.mutation.hunt import core_mutants; names = core_mutants();"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'podium'];"
        "print(len(names), len(set(names)))"
    )
    total, distinct = _python(probe).split()
    assert total == distinct
    assert int(total) > 200


def test_the_hunt_tells_the_caught_from_the_living(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "conftest.py").write_text(TOY_CONFTEST)
    (tmp_path / "test_toy.py").write_text(TOY_TEST)
    names = [each.name for each in mutants("door", STATES, ROWS)]
    probe = f"from tests.mutation.hunt import hunt; print(*hunt([{str(tmp_path)!r}], {names!r}))"
    assert _python(probe).split() == ["door:OPEN:broken->", "door:OPEN:broken->SHUT"]


def test_a_suite_that_fails_anyway_catches_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_toy.py").write_text("def test_no():\n    assert False\n")
    probe = f"from tests.mutation.hunt import hunt; hunt([{str(tmp_path)!r}], ['door:OPEN:closed->'])"
    with pytest.raises(subprocess.CalledProcessError):
        _python(probe)


def test_every_forgiven_mutant_exists_and_has_a_reason() -> None:
    plan = read_plan()
    assert plan.suite
    assert all(plan.survivors.values())
    names = _python("from tests.mutation.hunt import core_mutants; print(*core_mutants())").split()
    assert plan.survivors.keys() <= set(names)


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
