"""Watching a real plane: whole views as they change, one drawing for all, bounds, and how a watch ends."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.plane.link import OperatorLink
from podium.plane.runs import Run, RunEnded, RunMoved
from podium.server.main import PlaneServer
from podium.wire.asks import StopAsk
from podium.wire.operator import RUN_OPEN, EntryView, Page, RunView, StatusView
from podium.wire.problems import OperatorFault, Problem
from tests.support.plane_cases import FAST, Operator, administrator, plane, task

LIMITS = msgspec.structs.replace(FAST, live_ms=20, viewers_max=3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    """A plane that three may watch."""
    with plane(tmp_path_factory.mktemp("watched") / "data", LIMITS) as (serving, _):
        yield serving


@pytest.fixture
def operator(server: PlaneServer) -> Operator:
    """The administrator."""
    return administrator(server)


def link(server: PlaneServer) -> OperatorLink:
    """The typed calls of an administrator."""
    return OperatorLink(server.url, (server.data / "administrator.token").read_text().strip())


def test_a_run_is_told_whole_at_once_and_when_it_ends(server: PlaneServer, operator: Operator) -> None:
    run = operator.submit(task())
    with link(server) as watching:
        events = watching.events(f"run:{run}")
        kind, data = next(events)
        assert (kind, msgspec.json.decode(data, type=RunView).state) == ("run", "RUNNING")
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(why="seen"), RunView)
        views = (msgspec.json.decode(data, type=RunView) for _, data in events)
        assert next(view for view in views if view.state not in RUN_OPEN).state == "STOPPED"


@pytest.mark.parametrize(
    ("subject", "kind"), [("status", StatusView), ("runs", Page), ("fleet", Page), ("models", Page)]
)
def test_every_subject_tells_its_own_view(server: PlaneServer, subject: str, kind: type) -> None:
    with link(server) as watching:
        name, data = next(watching.events(subject))
        assert name == subject
        assert msgspec.json.decode(data, type=kind)


def test_the_journal_is_told_as_it_grows(server: PlaneServer, operator: Operator) -> None:
    with link(server) as watching:
        events = watching.events("journal")
        next(events)
        run = operator.submit(task())
        for _, data in events:
            items = msgspec.json.decode(data, type=Page).items
            if any(msgspec.json.decode(item, type=EntryView).subject == run for item in items):
                break
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        *((subject, "usage") for subject in ("", "moon", "run:", "status:x", "round:x.y")),
        *(("run:nothing", "run-unknown"), ("device:nobody", "not-found"), ("round:nothing.1", "run-unknown")),
    ],
)
def test_a_subject_that_is_not_there_is_a_problem(operator: Operator, subject: str, code: str) -> None:
    response = operator.ask("GET", f"/api/v1/events?subject={subject}")
    assert msgspec.json.decode(response.data, type=Problem).code == code


def test_watchers_are_bounded_and_leave_room_when_they_go(server: PlaneServer, operator: Operator) -> None:
    links = [link(server) for _ in range(LIMITS.viewers_max)]
    streams = [each.events("status") for each in links]
    for stream in streams:
        next(stream)
    refused = operator.ask("GET", "/api/v1/events?subject=status")
    assert msgspec.json.decode(refused.data, type=Problem).code == "viewers-full"
    del stream
    streams.clear()  # a stream that nobody holds ends its connection
    for each in links:
        each.close()
    with link(server) as again:
        seen = False
        while not seen:
            try:
                seen = next(again.events("status"))[0] == "status"
            except OperatorFault as fault:
                assert fault.code in ("viewers-full", "plane-unreachable")
    assert server.plane is not None


def test_a_watch_by_python_sees_the_end(server: PlaneServer, operator: Operator) -> None:
    run = operator.submit(task())
    with link(server) as watching:
        seen = Run(watching, run).watch()
        assert isinstance(next(seen), RunMoved)
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)
        *_, last = seen
        assert isinstance(last, RunEnded)


def test_every_watch_ends_when_the_plane_stops(tmp_path: Path) -> None:
    with plane(tmp_path / "data", LIMITS) as (serving, _):
        ended = threading.Event()
        with link(serving) as watching:
            events = watching.events("status")
            next(events)

            def to_the_end() -> None:
                for _ in events:
                    pass
                ended.set()

            threading.Thread(target=to_the_end, daemon=True).start()
            serving.stop()
            assert ended.wait(30)
