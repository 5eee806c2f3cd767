"""What a person sees of an error, and the exit code that a script sees."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from podium.cli.error_pages import error as error_page
from podium.cli.errors import error_text, exit_code, of_missing, run_exit_code, say_bug
from podium.cli.planes import make_directory
from podium.core.rounds.table import RUN_STATES
from podium.wire.advice import advice
from podium.wire.extras import how_to_install
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import KINDS, Bug, OperatorFault, StoreFault


def test_an_error_is_four_lines_with_its_number_code_and_page() -> None:
    error = OperatorFault("cohort-short", what="round 12 cannot start", why="44 on battery", next="wait")
    assert error_text(error) == (
        "error[P2041 cohort-short]: round 12 cannot start\n  why:  44 on battery\n  next: wait\n"
        "  docs: podium error cohort-short"
    )
    assert error_text(OperatorFault("run-unknown")) == (
        "error[P2010 run-unknown]: no such run\n  next: podium status lists the runs\n  docs: podium error run-unknown"
    )


@pytest.mark.parametrize(
    ("code", "exits"),
    [
        ("usage", 2),
        ("task-invalid", 2),
        ("limit-invalid", 2),
        ("run-unknown", 3),
        ("data-missing", 3),
        ("credential-missing", 4),
        ("verb-denied", 4),
        ("token-invalid", 4),
        ("run-over", 5),
        ("port-in-use", 5),
        ("plane-foreign", 5),
        ("journal-broken", 8),
        ("checksum-wrong", 8),
        ("signature-invalid", 8),
        ("digest-mismatch", 8),
        ("plane-unreachable", 1),
        ("store-full", 1),
    ],
)
def test_the_exit_code_follows_the_kind_of_error(code: str, exits: int) -> None:
    assert exit_code(OperatorFault(code)) == exits


def test_every_code_has_an_exit_code_of_the_contract() -> None:
    reached = Counter(exit_code(StoreFault(code)) for code in KINDS)
    assert set(reached) == {1, 2, 3, 4, 5, 8}
    assert sum(reached.values()) == len(KINDS)


def test_every_code_has_a_page_that_says_more_than_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(advice()) == set(KINDS)
    for code, kind in KINDS.items():
        for given in (code, f"P{kind.number}", str(kind.number)):
            error_page(given)
        said = capsys.readouterr().out
        assert said.count(f"P{kind.number} {code}: {kind.title}\n\ncause  ") == 3
        for told in (advice()[code].cause, advice()[code].do):
            assert told.endswith((".", "ALIAS", "DEVICE")), f"{code}: {told}"
            assert told not in (kind.title, kind.next)
    error_page("")
    assert len(capsys.readouterr().out.splitlines()) == len(KINDS) + 1
    with pytest.raises(OperatorFault, match="not-found"):
        error_page("no-such-code")


def test_each_end_of_a_run_has_its_own_exit_code() -> None:
    ends = {state: run_exit_code(state) for state in RUN_STATES if state not in RUN_OPEN}
    assert ends == {"FINISHED": 0, "TIMED_OUT": 6, "STOPPED": 7, "ABANDONED": 9}


def test_what_nobody_foresaw_is_a_bug_with_a_story_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        dict[str, int]()["absent"]
    except KeyError as error:
        say_bug(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("error[P9001 bug]: ")
    assert "KeyError: 'absent' (at " in said
    assert "test_what_nobody_foresaw" in said
    assert "Traceback" not in said
    say_bug(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""
    assert exit_code(Bug("x")) == 1
    assert sys.excepthook is not say_bug


def test_a_data_directory_is_its_owners_alone(tmp_path: Path) -> None:
    make_directory(tmp_path / "plane")
    assert (tmp_path / "plane").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("module", "named"),
    [("uvicorn", True), ("prometheus_client.core", True), ("cel_expr_python", True), ("numpy", False), ("", False)],
)
def test_a_package_that_only_the_server_extra_brings_is_no_bug(module: str, named: bool) -> None:
    fault = of_missing(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert (fault is not None) is named
    if fault is not None:
        assert (fault.code, exit_code(fault), fault.next) == ("not-available", 2, how_to_install("server"))
