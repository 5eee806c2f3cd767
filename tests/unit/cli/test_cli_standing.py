"""A frozen plane and a paused run are said with since when, by whom and why; a verb that destroys asks first."""

import msgspec
import pytest
import typer

from podium.cli import confirming
from podium.cli.screen import line, line_mark, screen
from podium.cli.standing import frozen_text, paused_text
from podium.wire.operator import EntryView, FreezeView
from podium.wire.problems import OperatorFault
from tests.unit.cli.test_cli_screen import RUN

FREEZE = FreezeView(frozen=True, why="a bad release", actor="person:administrator", age_ms=62_000)
PAUSE = EntryView(
    number=9,
    tree="plane",
    place=4,
    age_ms=5_000,
    kind="run-paused",
    subject="7f3a",
    actor="person:x",
    why={"reason": "lunch\x1b"},
)
PAUSED = msgspec.structs.replace(RUN, state="PAUSED", paused_ms=5_000)


def test_a_freeze_is_told_with_since_whom_and_why() -> None:
    told = "FROZEN   for 1 min 2 s by person:administrator: a bad release; no lease is granted until podium unfreeze"
    assert frozen_text(FREEZE) == told
    assert frozen_text(msgspec.structs.replace(FREEZE, frozen=False)) == ""
    assert ": ;" not in frozen_text(msgspec.structs.replace(FREEZE, why=""))


def test_a_pause_is_told_with_since_whom_why_and_how_it_ends() -> None:
    told = "PAUSED   for 5 s by person:x: lunch?; its deadlines stand still until podium resume 7f3a"
    assert paused_text(PAUSED, PAUSE) == told
    assert " by " not in paused_text(PAUSED)
    assert " by person:x; " in paused_text(PAUSED, msgspec.structs.replace(PAUSE, why={}))
    pausing = msgspec.structs.replace(RUN, state="PAUSING")
    assert paused_text(pausing, PAUSE) == "PAUSING  after its present round by person:x: lunch?"
    assert paused_text(RUN, PAUSE) == ""


def test_the_screen_and_the_line_say_so() -> None:
    assert screen(PAUSED, ["PAUSED   for a while"])[1] == " PAUSED   for a while"
    frozen = msgspec.structs.replace(RUN, frozen=True)
    assert line(frozen).endswith("FROZEN")
    assert line_mark(frozen) != line_mark(RUN)
    over = msgspec.structs.replace(frozen, state="FINISHED", round=None)
    assert "FROZEN" not in line(over)


class Terminal:
    """A stdin that is one, or is none."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def isatty(self) -> bool:
        return self.there


def test_a_verb_that_destroys_wants_yes_or_a_persons_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirming.confirm("ban 3 devices", yes=True)
    assert capsys.readouterr().err == "ban 3 devices\n"
    monkeypatch.setattr("sys.stdin", Terminal(False))
    with pytest.raises(OperatorFault, match="usage") as refused:
        confirming.confirm("ban 3 devices", yes=False)
    assert refused.value.next == "--yes"
    monkeypatch.setattr("sys.stdin", Terminal(True))
    monkeypatch.setattr(typer, "confirm", lambda text, err: False)
    with pytest.raises(typer.Abort):
        confirming.confirm("ban 3 devices", yes=False)
    monkeypatch.setattr(typer, "confirm", lambda text, err: True)
    confirming.confirm("ban 3 devices", yes=False)
    assert capsys.readouterr().err.count("ban 3 devices") == 3
