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
from podium.wire.operator import RUN_OPEN, EntryView, RunView, StatusView
from podium.wire.problems import Problem
from tests.support.plane_cases import FAST, Operator, administrator, plane, task
from tests.support.streams import Stream

LIMITS = msgspec.structs.replace(FAST, live_ms=20, viewers_max=3, beat_ms=30)


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


def stream(operator: Operator, path: str) -> Stream:
    """A watch."""
    return Stream(operator.url, f"/api/v1/{path}", operator.headers)


def test_a_run_is_told_whole_at_once_and_when_it_ends(server: PlaneServer, operator: Operator) -> None:
    run = operator.submit(task())
    with link(server) as watching:
        views = watching.follow(f"runs/{run}", RunView)
        assert next(views).state == "RUNNING"
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(why="seen"), RunView)
        assert next(view for view in views if view.state not in RUN_OPEN).state == "STOPPED"


def test_a_list_is_told_as_it_grows(server: PlaneServer, operator: Operator) -> None:
    with link(server) as watching:
        seen = watching.follow_rows("audit/entries", EntryView)
        next(seen)
        run = operator.submit(task())
        assert any(any(entry.subject == run for entry in entries) for entries in seen)
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)


def test_a_watch_takes_the_query_of_its_read(operator: Operator) -> None:
    run = operator.submit(task())
    operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)
    for query in ("state=STOPPED&limit=1", "state=RUNNING"):
        with stream(operator, f"runs?{query}") as watching:
            told = msgspec.json.decode(next(watching.views()))["items"]
        assert [each["id"] for each in told] == ([run] if "STOPPED" in query else [])


@pytest.mark.parametrize(
    ("path", "code"),
    [("runs/nothing", "run-unknown"), ("devices/nobody", "not-found"), ("runs?other=1", "usage"), ("x", "not-found")],
)
def test_a_view_that_is_not_there_is_a_problem(operator: Operator, path: str, code: str) -> None:
    with stream(operator, path) as watching:
        assert msgspec.json.decode(watching.response.data, type=Problem).code == code


def test_what_cannot_be_watched_and_who_only_asks_is_answered_once(operator: Operator) -> None:
    with stream(operator, "whoami") as watching:
        assert watching.response.headers["content-type"] == "application/json"
    assert msgspec.json.decode(operator.ask("GET", "/api/v1/status").data, type=StatusView)
    asked = operator.pass_on("HEAD", "/api/v1/status", {"accept": "text/event-stream"}, b"")
    assert (asked.status, asked.headers["content-type"]) == (200, "application/json")


def test_a_watch_begins_with_the_present_state_whatever_was_heard_last(operator: Operator) -> None:
    run = operator.submit(task())
    with stream(operator, f"runs/{run}") as watching:
        assert msgspec.json.decode(next(watching.views()), type=RunView).state == "RUNNING"
    operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)  # while nobody looks
    headers = {**operator.headers, "last-event-id": "1"}
    with Stream(operator.url, f"/api/v1/runs/{run}", headers) as again:
        assert msgspec.json.decode(next(again.views()), type=RunView).state == "STOPPED"


def test_what_does_not_change_is_a_beat(operator: Operator) -> None:
    with stream(operator, "services") as watching:
        blocks = watching.blocks()
        assert next(blocks)[0] == "view"
        assert [next(blocks), next(blocks)] == [("", b"nothing changed")] * 2


def test_watchers_are_bounded_and_leave_room_when_they_go(server: PlaneServer, operator: Operator) -> None:
    watching = [stream(operator, "status") for _ in range(LIMITS.viewers_max)]
    seen = [each.views() for each in watching]  # kept: urllib3 closes the connection of who reads no further
    assert all(next(views) for views in seen)
    refused = operator.pass_on("GET", "/api/v1/status", {"accept": "text/event-stream"}, b"")
    assert (refused.status, msgspec.json.decode(refused.data, type=Problem).code) == (503, "viewers-full")
    with link(server) as asking:
        assert next(asking.follow("status", StatusView)).plane_id, "who follows asks instead"
    for each in watching:
        each.close()
    while (again := stream(operator, "status")).response.status == 503:
        again.close()
    assert next(again.views())
    again.close()


def test_a_watch_by_python_sees_the_end(server: PlaneServer, operator: Operator) -> None:
    run = operator.submit(task())
    with link(server) as watching:
        seen = Run(watching, run).watch()
        assert isinstance(next(seen), RunMoved)
        operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)
        *_, last = seen
        assert isinstance(last, RunEnded)


def test_every_watch_ends_when_the_plane_stops(tmp_path: Path) -> None:
    with plane(tmp_path / "data", LIMITS) as (serving, operator), stream(operator, "status") as watching:
        blocks = watching.blocks()
        next(blocks)
        ended = threading.Event()

        def to_the_end() -> None:
            for _ in blocks:
                pass
            ended.set()

        threading.Thread(target=to_the_end, daemon=True).start()
        serving.stop()
        assert ended.wait(30)
