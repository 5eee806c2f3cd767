"""Trouble on the way: a plane that is away, full, restarted or forgetful; failing plans; a device's own grounds."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.device import Facts, GivenProbes, OwnLimits
from podium.device.state import State
from podium.wire import messages as m
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault, problem
from tests.support.device_bench import QUICK, model, quick_device, task
from tests.support.loopback import Answer
from tests.support.scripted_plane import WINDOW_ELSE, WINDOW_OK, Misdeed, ScriptedPlane

replace = msgspec.structs.replace


@pytest.fixture(name="plane")
def _plane() -> Iterator[ScriptedPlane]:
    with ScriptedPlane() as plane:
        yield plane


def _status(status: int, return_ms: int = 0) -> Callable[[], Answer]:
    said = replace(problem(DeviceFault("overloaded"), return_ms), status=status)
    return lambda: Answer(status, msgspec.json.encode(said))


def _refusal(code: str) -> Callable[[], Answer]:
    fault = DeviceFault(code)
    return lambda: Answer(fault.kind.status, msgspec.json.encode(problem(fault)))


def _drop() -> Answer:
    return Answer(drop=True)


def _near(wait_ms: int, mean_ms: int) -> bool:
    return 0.8 * mean_ms <= wait_ms <= 1.2 * mean_ms


# -- retries -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instead", [_drop, _status(502), _status(503), _status(504), _refusal("store-full")])
def test_unavailable_is_tried_three_times_in_all(plane: ScriptedPlane, instead: Callable[[], Answer]) -> None:
    plane.misdeeds.append(Misdeed(match="/v1/checkin", times=2, instead=instead))
    with quick_device(plane) as device:
        assert device.run_once().word == "idle"
        plane.misdeeds.append(Misdeed(match="/v1/checkin", times=9, instead=instead))
        outcome = device.run_once()
    assert outcome.word == "away"
    assert _near(outcome.wait_ms, QUICK.transient_ms)
    assert plane.requests("/v1/checkin") == 6
    assert plane.faults == []


def test_the_pauses_between_tries_double(monkeypatch: pytest.MonkeyPatch, plane: ScriptedPlane) -> None:
    plane.misdeeds.append(Misdeed(match="/v1/checkin", times=9, instead=_status(503)))
    with quick_device(plane) as device:
        pauses: list[float] = []

        def wait(seconds: float) -> bool:
            pauses.append(seconds)
            return False

        monkeypatch.setattr(device._stopping, "wait", wait)
        device.limits = Limits()
        outcome = device.run_once()
    assert pauses == [5.0, 10.0]
    assert _near(outcome.wait_ms, 900_000)


def test_a_full_plane_that_names_a_window_is_obeyed_at_once(plane: ScriptedPlane) -> None:
    for status in (503, 429):
        plane.misdeeds.append(Misdeed(match="/v1/checkin", instead=_status(status, 4_321)))
        with quick_device(plane) as device:
            outcome = device.run_once()
        assert (outcome.word, outcome.code, outcome.wait_ms) == ("away", "overloaded", 4_321)
    assert plane.requests("/v1/checkin") == 2


def test_a_plane_that_says_why_it_takes_nothing_is_quoted(plane: ScriptedPlane) -> None:
    unknown = replace(problem(DeviceFault("overloaded")), code="of-tomorrow")
    for instead, code in (
        (_refusal("store-full"), "store-full"),
        (_drop, "plane-unreachable"),
        (lambda: Answer(503, msgspec.json.encode(unknown)), "plane-unreachable"),
        (lambda: Answer(503, b"<html>a proxy</html>"), "plane-unreachable"),
    ):
        plane.misdeeds.append(Misdeed(match="/v1/checkin", times=3, instead=instead))
        with quick_device(plane) as device:
            outcome = device.run_once()
        assert (outcome.word, outcome.code) == ("away", code)


@pytest.mark.parametrize(
    ("code", "requests", "wait_ms"),
    [
        *((code, 1, QUICK.permanent_ms) for code in ("device-banned", "not-found", "body-malformed")),
        *((code, 2, QUICK.transient_ms) for code in ("session-unknown", "epoch-stale")),
    ],
)
def test_a_refusal_comes_back_much_later_and_a_session_refused_twice_before_long(
    plane: ScriptedPlane, code: str, requests: int, wait_ms: int
) -> None:
    plane.misdeeds.append(Misdeed(match="/v1/checkin", times=9, instead=_refusal(code)))
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("denied", code)
    assert _near(outcome.wait_ms, wait_ms)
    assert plane.requests("/v1/checkin") == requests


def test_an_answer_that_is_no_problem_document_is_understood_by_its_status(plane: ScriptedPlane) -> None:
    plane.misdeeds.append(Misdeed(match="/v1/checkin", instead=lambda: Answer(403, b"<html>forbidden</html>")))
    with quick_device(plane) as device:
        assert device.run_once().code == "http-403"


def test_a_redirect_is_not_followed(plane: ScriptedPlane) -> None:
    away = Answer(302, b"", {"Location": "http://192.0.2.1/"})
    plane.misdeeds.append(Misdeed(match="/v1/checkin", instead=lambda: away))
    with quick_device(plane) as device:
        assert device.run_once().code == "http-302"


def test_a_plane_that_is_not_there_yet_is_waited_for() -> None:
    with ScriptedPlane() as plane:
        device = quick_device(plane)
    with device:
        outcome = device.run_once()
        assert outcome.word == "away"
        assert _near(outcome.wait_ms, QUICK.transient_ms)
        with plane:
            assert device.run_once().word == "idle"
    assert plane.faults == []


def test_a_lost_enrolment_answer_enrols_once(plane: ScriptedPlane, tmp_path: Path) -> None:
    plane.misdeeds.append(Misdeed(match="/v1/enrol", times=3, after=lambda answer: Answer(drop=True)))
    with quick_device(plane, tmp_path) as device:
        assert device.run_once().word == "away"
    with quick_device(plane, tmp_path) as again:
        assert again.run_once().word == "idle"
    assert list(plane.devices) == ["d0"]


# -- the lease in trouble ------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_with_a_range(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(1_000_000), 1))
    cut = Misdeed(match=lease.offer.base, times=2, after=lambda answer: replace(answer, cut=1_000_000))
    plane.misdeeds.append(cut)
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    statuses = [status for line, status in plane.log if lease.offer.base in line]
    assert statuses == [200, 206, 206]
    assert plane.faults == []


def test_a_download_goes_on_after_a_restart_of_the_device(plane: ScriptedPlane, tmp_path: Path) -> None:
    lease = plane.offer(plane.manifest(task(), model(1_000_000), 1))
    plane.misdeeds.append(Misdeed(match=lease.offer.base, after=lambda answer: replace(answer, cut=1_000_000)))
    plane.misdeeds.append(Misdeed(match=lease.offer.base, times=2, instead=_drop))
    with quick_device(plane, tmp_path) as device:
        assert device.run_once().word == "away"
    with quick_device(plane, tmp_path) as again:
        assert again.run_once().word == "stored"
    assert [status for line, status in plane.log if lease.offer.base in line] == [200, 0, 0, 206]
    assert list(tmp_path.glob("base-*")) == []


def test_a_kept_part_that_is_wrong_costs_one_lease_only(plane: ScriptedPlane, tmp_path: Path) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    size = len(plane.blobs[lease.offer.base])
    with State(tmp_path) as state:
        state.keep_part(lease.offer.base, b"x" * size)
    with quick_device(plane, tmp_path) as device:
        assert device.run_once().word == "stored"  # nothing is left to ask for, so it is fetched anew
    assert [status for line, status in plane.log if lease.offer.base in line] == [416, 200]


def test_after_an_accepted_check_in_the_accepted_window_holds(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(), 1))
    plane.misdeeds.append(Misdeed(match="/report", times=3, instead=_drop))
    with quick_device(plane) as device:
        outcome = device.run_once()
        assert (outcome.word, outcome.wait_ms) == ("away", WINDOW_OK)
        assert device.run_once().word == "stored"
    assert plane.requests("/v1/checkin") == 1
    assert plane.requests("PUT") == 1


def test_a_lost_report_answer_is_asked_again_with_the_same_report(plane: ScriptedPlane, tmp_path: Path) -> None:
    plane.offer(plane.manifest(task(), model(), 1))
    plane.misdeeds.append(Misdeed(match="/report", times=3, after=lambda answer: Answer(drop=True)))
    with quick_device(plane, tmp_path) as device:
        assert device.run_once().word == "away"
    with quick_device(plane, tmp_path) as again:
        assert again.run_once().word == "stored"
        assert again.run_once().word == "idle"
    assert plane.faults == []
    assert not (tmp_path / "pending").exists()


@pytest.mark.parametrize("moment", ["/accept", "GET /v1/blobs", "/progress", "PUT", "/report"])
def test_a_plane_that_restarts_in_the_middle_gets_the_same_lease(plane: ScriptedPlane, moment: str) -> None:
    lease = plane.offer(plane.manifest(task(), model(700_000), 1))

    def forget() -> Answer:
        plane.sessions.clear()
        return Answer(drop=True)

    plane.misdeeds.append(Misdeed(match=moment, instead=forget))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    np.testing.assert_array_equal(plane.update(lease)["a"], np.ones(350_000, np.float32))
    assert len(plane.leases) == 1
    assert plane.faults == []


def test_an_upload_asks_how_far_it_got_when_the_offset_is_wrong(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(700_000), 1))
    plane.misdeeds.append(Misdeed(match="offset=1048576", after=lambda answer: _refusal("offset-wrong")()))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    assert plane.requests("HEAD") == 1
    assert lease.length() == len(b"".join(lease.chunks.values()))


def test_a_plane_that_loses_acknowledged_chunks_is_not_believed_for_ever(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(700_000), 1))
    back = msgspec.json.encode(m.UploadAnswer(offset=0))
    plane.misdeeds.append(Misdeed(match="PUT", times=9, after=lambda answer: replace(answer, body=back)))
    with quick_device(plane) as device:
        assert device.run_once().word == "away"
    assert plane.requests("PUT") == 1


@pytest.mark.parametrize("moment", ["/accept", "/progress", "/report"])
def test_a_lease_that_is_over_is_let_go(plane: ScriptedPlane, tmp_path: Path, moment: str) -> None:
    plane.offer(plane.manifest(task(), model(), 1))
    plane.misdeeds.append(Misdeed(match=moment, instead=_refusal("lease-lapsed")))
    with quick_device(plane, tmp_path) as device:
        outcome = device.run_once()
        assert (outcome.word, outcome.code, outcome.wait_ms) == ("over", "lease-lapsed", WINDOW_OK)
        plane.queue.clear()
        device.run_once()
    assert plane.check_ins[-1].losses == ("lease-lapsed",)
    assert not (tmp_path / "pending").exists()


def test_an_upload_of_a_lease_that_is_over_learns_why_by_its_report(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))

    def supersede() -> Answer:
        lease.state = "SUPERSEDED"
        return _refusal("lease-over")()

    plane.misdeeds.append(Misdeed(match="PUT", instead=supersede))
    with quick_device(plane) as device:
        assert device.run_once().word == "superseded"


def test_progress_that_cannot_be_told_does_not_end_the_work(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(), 1))
    plane.misdeeds.append(Misdeed(match="/progress", instead=_drop))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    assert plane.requests("/progress") == 1


def test_a_full_disk_ends_the_lease_with_its_code_and_the_agent_goes_on(
    plane: ScriptedPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    with quick_device(plane, tmp_path) as device:
        device.enrol()

        def full(number: int) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        def fill(answer: Answer) -> Answer:
            monkeypatch.setattr(os, "fsync", full)
            return answer

        plane.misdeeds.append(Misdeed(match="/accept", after=fill))
        outcome = device.run_once()
        monkeypatch.undo()
        assert (outcome.word, outcome.code) == ("failed", "store-full")
        assert device.run_once().word == "idle"
    assert lease.report is None
    assert plane.requests("/upload") == 0


# -- plans that fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "hint"),
    [
        ("raise_late", "ValueError: the data is broken"),
        ("leave", "SystemExit: 3"),
        ("no_result", "TypeError: a plan yields Progress and one Result last, not NoneType"),
        ("wrong_shape", "has shape"),
        ("in_place", "read-only"),
        ("measure", "a training gives weights"),
    ],
)
def test_a_failing_plan_ends_the_lease_and_the_agent_goes_on(plane: ScriptedPlane, plan: str, hint: str) -> None:
    lease = plane.offer(plane.manifest(task(plan), model(), 1))
    good = plane.offer(plane.manifest(task(), model(), 2))
    with quick_device(plane) as device:
        outcome = device.run_once()
        assert (outcome.word, outcome.code, outcome.wait_ms) == ("failed", "plan-raised", WINDOW_ELSE)
        assert device.run_once().lease == good.id
    told = lease.told[-1]
    assert isinstance(told, m.Failure)
    assert told.code == "plan-raised"
    assert hint in told.detail
    assert told.detail.startswith("Traceback")
    assert plane.check_ins[1].losses == ("plan-raised",)


def test_a_long_traceback_keeps_its_end(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task("raise_late", length=100_000), model(), 1))
    with quick_device(plane) as device:
        device.run_once()
    told = lease.told[-1]
    assert isinstance(told, m.Failure)
    assert len(told.detail) == Limits().traceback_bytes_max
    assert told.detail.rstrip().endswith("xxx")


# -- the device's own grounds --------------------------------------------------------------------------------


def test_own_grounds_decline_before_anything_is_fetched(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    with quick_device(plane, probes=GivenProbes(Facts(battery=0.3))) as device:
        device.own = OwnLimits(battery_min=0.5)
        outcome = device.run_once()
    assert (outcome.word, outcome.code, outcome.wait_ms) == ("declined", "battery", WINDOW_ELSE)
    assert lease.told == [m.Decline(reason="battery")]
    assert plane.requests("/v1/blobs") == 0
    assert plane.check_ins[0].battery == 0.3


def test_a_ground_that_comes_while_training_gives_the_lease_back(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(steps=3), model(), 1))
    probes = GivenProbes()

    def unplug(answer: Answer) -> Answer:
        probes.now = Facts(busy=True)
        return answer

    plane.misdeeds.append(Misdeed(match="/accept", after=unplug))
    with quick_device(plane, probes=probes) as device:
        assert device.run_once().code == "busy"
    assert lease.told == [m.Decline(reason="busy")]


# -- for ever ------------------------------------------------------------------------------------------------


def test_run_forever_serves_until_it_is_stopped(plane: ScriptedPlane) -> None:
    leases = [plane.offer(plane.manifest(task(), model(), number)) for number in (1, 2, 3)]
    with quick_device(plane) as device:

        def finish(answer: Answer) -> Answer:
            if all(lease.state == "REPORTED" for lease in leases):
                device.stop()
            return answer

        plane.misdeeds.append(Misdeed(match="/report", times=9, after=finish))
        device.run_forever()
    assert [lease.state for lease in leases] == ["REPORTED"] * 3


def test_stop_ends_a_long_wait(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:

        def long_window(answer: Answer) -> Answer:
            device.stop()
            told = msgspec.json.decode(answer.body, type=m.CheckInAnswer)
            return replace(answer, body=msgspec.json.encode(replace(told, window_else_ms=3_600_000)))

        plane.misdeeds.append(Misdeed(match="/v1/checkin", after=long_window))
        started = time.monotonic()
        device.run_forever()
        assert time.monotonic() - started < 60
