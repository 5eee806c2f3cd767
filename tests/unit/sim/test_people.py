"""People of a simulation: each act is taken back in its time, and again if the plane forgot it."""

import random

import pytest

from podium.core.events import AnyEvent, DevicesMarked, Frozen, RunPaused, RunResumed, Unfrozen
from podium.sim.faults import RATES, Faults
from podium.sim.people import CORDONED_MAX, CORDONED_MS, FROZEN_MS, PAUSED_MS, People
from tests.support.core_drive import Drive
from tests.support.core_made import task


def plane() -> Drive:
    """A plane of eight devices with one run."""
    drive = Drive()
    drive.begin(task(goal=2, form_deadline=100_000_000, deadline=100_000_000), 8)
    return drive


def people(monkeypatch: pytest.MonkeyPatch, fault: str) -> People:
    """People who do `fault` whenever they can."""
    monkeypatch.setitem(RATES, fault, 1.0)
    chance = random.Random(5)
    return People("r", chance, Faults(frozenset({fault}), chance))


def done(drive: Drive, who: People) -> list[AnyEvent]:
    """What they do now, and the plane takes."""
    acts = list(who.acts(drive.now_ms, drive.state))
    for act in acts:
        drive.feed(act)
    return acts


@pytest.mark.parametrize(
    ("fault", "span_ms", "act", "undo"),
    [
        ("pause", PAUSED_MS, RunPaused, RunResumed),
        ("freeze", FROZEN_MS, Frozen, Unfrozen),
        ("cordon", CORDONED_MS, DevicesMarked, DevicesMarked),
    ],
)
def test_an_act_is_taken_back_in_its_time(
    monkeypatch: pytest.MonkeyPatch, fault: str, span_ms: tuple[int, int], act: type, undo: type
) -> None:
    drive, who = plane(), people(monkeypatch, fault)
    assert [type(each) for each in done(drive, who)] == [act]
    drive.wait(span_ms[0] - 1)
    assert done(drive, who) == []
    drive.wait(span_ms[1])
    before = drive.folded.copy()
    assert [type(each) for each in done(drive, who)] == [undo]
    drive.folded = before
    drive.core = type(drive.core)(before.values(), step=drive.core._number, at_ms=drive.now_ms, limits=drive.limits)
    assert [type(each) for each in done(drive, who)] == [undo], "the plane died before it was durable"
    assert [type(each) for each in done(drive, who)] == [act]


def test_cordoned_devices_are_few_and_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drive, who = plane(), people(monkeypatch, "cordon")
    done(drive, who)
    assert sum(row.state == "cordoned" for row in drive.state.devices) == CORDONED_MAX
    drive.wait(CORDONED_MS[1])
    done(drive, who)
    assert {row.state for row in drive.state.devices} == {"active"}


def test_nobody_does_what_no_fault_names() -> None:
    drive, chance = plane(), random.Random(5)
    before = chance.getstate()
    assert done(drive, People("r", chance, Faults(frozenset(), chance))) == []
    assert chance.getstate() == before, "a simulation without these faults draws as it always did"


def test_a_run_that_is_over_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drive, who = plane(), people(monkeypatch, "pause")
    drive.stop()
    assert done(drive, who) == []
