"""Every (round state, stimulus) and (run state, stimulus) pair through `Core.step`."""

from collections.abc import Callable

import pytest

from podium.core.effects import EndRound, FinishRound
from podium.core.events import AggregateFailed, AggregateMade, ManifestMade
from podium.core.rounds.table import ROUND_STATES, RUN_STATES
from tests.support.core_drive import Drive
from tests.support.core_made import task

FORM_MS, REPORT_MS, RUN_MS = 50_000, 80_000, 200_000


def forming(rounds: int = 1) -> Drive:
    """A run whose first round is prepared and forms."""
    drive = Drive()
    terms = task(
        goal=2,
        over=1.0,
        rounds=rounds,
        form_deadline=FORM_MS,
        report_deadline=REPORT_MS,
        stall=REPORT_MS,
        deadline=RUN_MS,
        abandoned_max=1,
    )
    drive.begin(terms, 2)
    return drive


def seal(drive: Drive) -> None:
    """Tell the sum over whatever was accepted, without being asked."""
    leases = tuple(sorted(lease.id for lease in drive.state.leases.values() if lease.state == "ACCEPTED"))
    drive.feed(
        AggregateMade(
            at_ms=drive.now_ms, run="r", round=1, digest="sha256:r.1", size_bytes=4, statement="", leases=leases
        )
    )


def nominate(drive: Drive) -> None:
    """Both devices check in."""
    drive.check_in(0, 1)
    drive.wait(1)


def train(drive: Drive) -> None:
    """Both devices check in, and train if they are offered to."""
    for device, told in enumerate(drive.check_in(0, 1)):
        if told.offer is not None and told.offer.state == "OFFERED":
            drive.accept(told.offer.lease)
            drive.report(told.offer.lease)
            drive.judge(told.offer.lease)
        assert told.offer is None or drive.device_of(told.offer.lease) == device


def manifest(drive: Drive) -> None:
    """The manifest is told again, with another key."""
    drive.feed(ManifestMade(at_ms=drive.now_ms, run="r", round=1, manifest="other", key_id="other"))


def failed(drive: Drive) -> None:
    """The aggregation role gives the round up."""
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason="key-erased"))


STIMULI: dict[str, Callable[[Drive], object]] = {
    "nominated": nominate,
    "trained": train,
    "manifest": manifest,
    "made": seal,
    "not made": failed,
    "form deadline": lambda drive: drive.wait(FORM_MS),
    "report deadline": lambda drive: drive.wait(REPORT_MS),
    "stopped": lambda drive: drive.stop(),
    "run deadline": lambda drive: drive.wait(RUN_MS),
}
WAY: dict[str, tuple[str, ...]] = {
    "FORMING": (),
    "REPORTING": ("nominated",),
    "AGGREGATING": ("nominated", "trained"),
    "SEALED": ("nominated", "trained", "made"),
    "ABANDONED": ("not made",),
}
GOES: dict[str, dict[str, tuple[str, str]]] = {
    "FORMING": {
        "nominated": ("REPORTING", ""),
        "not made": ("ABANDONED", "key-erased"),
        "form deadline": ("ABANDONED", "cohort-short"),
        "report deadline": ("ABANDONED", "cohort-short"),
        "stopped": ("ABANDONED", "run-stopped"),
        "run deadline": ("ABANDONED", "cohort-short"),
    },
    "REPORTING": {
        "trained": ("AGGREGATING", ""),
        "not made": ("ABANDONED", "key-erased"),
        "report deadline": ("ABANDONED", "below-minimum"),
        "stopped": ("ABANDONED", "run-stopped"),
        "run deadline": ("ABANDONED", "below-minimum"),
    },
    "AGGREGATING": {
        "made": ("SEALED", ""),
        "not made": ("ABANDONED", "key-erased"),
        "stopped": ("ABANDONED", "run-stopped"),
        "run deadline": ("ABANDONED", "run-timed-out"),
    },
}
"""Where a stimulus leads, and the reason; every other pair leaves the round as it is."""


def round_in(state: str) -> Drive:
    """A round that has come to `state`."""
    drive = forming()
    for stimulus in WAY[state]:
        STIMULI[stimulus](drive)
    assert drive.round().state == state
    return drive


@pytest.mark.parametrize("stimulus", STIMULI)
@pytest.mark.parametrize("state", ROUND_STATES)
def test_every_pair_of_the_round_goes_where_it_should(state: str, stimulus: str) -> None:
    drive = round_in(state)
    before = drive.round()
    STIMULI[stimulus](drive)
    after = drive.round()
    expected = GOES.get(state, {}).get(stimulus, (state, before.reason))
    assert (after.state, after.reason) == expected
    if state in ("SEALED", "ABANDONED"):
        assert after == before
    ends = [send for send in drive.sent(EndRound) if send.round == 1]
    assert len(ends) == (after.state in ("SEALED", "ABANDONED")), "keys and sums are dropped once"


@pytest.mark.parametrize("state", ["FORMING", "REPORTING"])
def test_a_sum_for_a_round_that_does_not_aggregate_makes_no_version(state: str) -> None:
    drive = round_in(state)
    seal(drive)
    assert list(drive.state.versions) == ["sha256:base"]


def test_a_manifest_told_again_changes_nothing() -> None:
    drive = round_in("FORMING")
    before = drive.round()
    manifest(drive)
    assert drive.round() == before
    assert before.manifest == "m-r.1"


def test_the_sum_is_asked_for_once() -> None:
    drive = round_in("AGGREGATING")
    drive.judge("r.1.1")
    assert drive.sent(FinishRound) == [FinishRound(run="r", round=1, leases=("r.1.1", "r.1.2"))]


RUN_WAY: dict[str, tuple[str, ...]] = {
    "RUNNING": (),
    "FINISHED": ("nominated", "trained", "made"),
    "STOPPED": ("stopped",),
    "TIMED_OUT": ("nominated", "trained", "run deadline"),
    "ABANDONED": ("not made",),
}
RUN_GOES: dict[str, tuple[str, str]] = {
    "not made": ("ABANDONED", "rounds-abandoned"),
    "form deadline": ("ABANDONED", "rounds-abandoned"),
    "report deadline": ("ABANDONED", "rounds-abandoned"),
    "run deadline": ("ABANDONED", "rounds-abandoned"),
    "stopped": ("STOPPED", "stopped"),
}


@pytest.mark.parametrize("stimulus", STIMULI)
@pytest.mark.parametrize("state", RUN_STATES)
def test_every_pair_of_the_run_goes_where_it_should(state: str, stimulus: str) -> None:
    drive = forming()
    for step in RUN_WAY[state]:
        STIMULI[step](drive)
    before = drive.run()
    assert before.state == state
    STIMULI[stimulus](drive)
    after = drive.run()
    if state == "RUNNING":
        assert (after.state, after.reason) == RUN_GOES.get(stimulus, ("RUNNING", ""))
        assert (after.ended_ms >= 0) == (after.state != "RUNNING")
    else:
        assert after == before
        assert not drive.state.open


def test_how_each_end_is_reasoned() -> None:
    reasons = {}
    for state, way in RUN_WAY.items():
        drive = forming()
        for step in way:
            STIMULI[step](drive)
        reasons[state] = drive.run().reason
    assert reasons == {
        "RUNNING": "",
        "FINISHED": "rounds-done",
        "STOPPED": "stopped",
        "TIMED_OUT": "run-deadline",
        "ABANDONED": "rounds-abandoned",
    }
