"""Every (round state, stimulus) and (run state, stimulus) pair through `Core.step`."""

from collections.abc import Callable

import pytest

from podium.core.effects import EndRound, FinishRound
from podium.core.events import AggregateFailed, AggregateMade, ManifestMade
from podium.core.rounds.table import ROUND_STATES, RUN_STATES
from podium.wire.operator import RUN_OPEN
from tests.support.core_acts import pause, resume
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
    "paused after the round": pause,
    "paused now": lambda drive: pause(drive, now=True),
    "resumed": resume,
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
    "RUNNING, aggregating": ("nominated", "trained"),
    "PAUSING": ("nominated", "paused after the round"),
    "PAUSING, aggregating": ("nominated", "trained", "paused after the round"),
    "PAUSED": ("nominated", "paused now"),
    "PAUSED, forming": ("paused now",),
    "PAUSED, aggregating": ("nominated", "trained", "paused now"),
    "FINISHED": ("nominated", "trained", "made"),
    "STOPPED": ("stopped",),
    "TIMED_OUT": ("nominated", "trained", "run deadline"),
    "ABANDONED": ("not made",),
}
"""How a run comes to be in a state, with its round at what comes after the comma."""
GIVEN_UP, DONE, LATE = ("ABANDONED", "rounds-abandoned"), ("FINISHED", "rounds-done"), ("TIMED_OUT", "run-deadline")
ALWAYS = {"not made": GIVEN_UP, "stopped": ("STOPPED", "stopped")}
STANDS = {"paused after the round": ("PAUSED", ""), "paused now": ("PAUSED", "")}
GOES_ON = {"resumed": ("RUNNING", "")}
RUN_GOES: dict[str, dict[str, tuple[str, str]]] = {
    "RUNNING": ALWAYS | STANDS | {"form deadline": GIVEN_UP, "report deadline": GIVEN_UP, "run deadline": GIVEN_UP},
    "RUNNING, aggregating": ALWAYS
    | {"made": DONE, "run deadline": LATE, "paused after the round": ("PAUSING", ""), "paused now": ("PAUSED", "")},
    "PAUSING": ALWAYS | GOES_ON | {"report deadline": GIVEN_UP, "run deadline": GIVEN_UP, "paused now": ("PAUSED", "")},
    "PAUSING, aggregating": ALWAYS | GOES_ON | {"made": DONE, "run deadline": LATE, "paused now": ("PAUSED", "")},
    "PAUSED": ALWAYS | GOES_ON,
    "PAUSED, forming": ALWAYS | GOES_ON,
    "PAUSED, aggregating": ALWAYS | GOES_ON | {"made": DONE},
}
"""Where a stimulus leads, and the reason; every other pair leaves the run as it is."""


def run_in(place: str) -> Drive:
    """A run that has come to `place`."""
    drive = forming()
    for stimulus in RUN_WAY[place]:
        STIMULI[stimulus](drive)
    assert drive.run().state == place.partition(",")[0]
    return drive


@pytest.mark.parametrize("stimulus", STIMULI)
@pytest.mark.parametrize("place", RUN_WAY)
def test_every_pair_of_the_run_goes_where_it_should(place: str, stimulus: str) -> None:
    drive = run_in(place)
    before = drive.run()
    STIMULI[stimulus](drive)
    after = drive.run()
    assert (after.state, after.reason) == RUN_GOES.get(place, {}).get(stimulus, (before.state, before.reason))
    assert (after.ended_ms >= 0) == (after.state not in RUN_OPEN)
    assert (after.paused_ms >= 0) == (after.state == "PAUSED")
    ends = [kind for kind in drive.kinds() if kind in ("run-finished", "run-stopped", "run-timed-out", "run-abandoned")]
    assert len(ends) == (after.state not in RUN_OPEN), "a run ends once"
    if before.state not in RUN_OPEN:
        assert after == before
        assert not drive.state.open


def test_every_state_of_the_run_is_walked() -> None:
    assert {place.partition(",")[0] for place in RUN_WAY} == set(RUN_STATES)


def test_how_each_end_is_reasoned() -> None:
    reasons = {run_in(place).run().state: run_in(place).run().reason for place in RUN_WAY}
    assert reasons == {
        "RUNNING": "",
        "PAUSING": "",
        "PAUSED": "",
        "FINISHED": "rounds-done",
        "STOPPED": "stopped",
        "TIMED_OUT": "run-deadline",
        "ABANDONED": "rounds-abandoned",
    }
