"""What a stream costs and when it ends: with its credential, by a reader who reads nothing; and that what it tells is
what the plane's own OpenAPI document says."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema_rs
import msgspec
import pytest

from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.server.operators.openapi import DATA
from podium.wire.asks import ServiceAsk, StopAsk
from podium.wire.operator import RunView, StatusView
from podium.wire.problems import OperatorFault
from tests.support.api_cases import fill, linked
from tests.support.console_browser import Browser
from tests.support.plane_cases import FAST, Operator, plane, task
from tests.support.streams import EVENTS, Stream

LIVE = msgspec.structs.replace(FAST, live_ms=20)
BEAT = ("", b"nothing changed")
RUNS = 120
"""Runs of a view, each with a thousand characters of purpose: a few such views fill what a system keeps."""
TOLD = 24 * 1024 * 1024
OVER = ("over", b'"credential-invalid"')


# -- a stream ends with its credential -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    limits = msgspec.structs.replace(LIVE, console_idle_ms=1_500, beat_ms=200)
    with plane(tmp_path_factory.mktemp("streams") / "data", limits) as (serving, _):
        yield serving


@pytest.fixture
def link(server: PlaneServer) -> Iterator[OperatorLink]:
    with connect_data(server.data) as made:
        yield made


def watched(server: PlaneServer, token: str) -> Iterator[tuple[str, bytes]]:
    """The blocks of a view that nothing changes, so that only its credential can end it."""
    return Stream(server.url, "/api/v1/webhooks", {"authorization": f"Bearer {token}"}).blocks()


def test_a_revoked_service_is_told_no_more(server: PlaneServer, link: OperatorLink) -> None:
    made = link.issue_service(ServiceAsk(name="watcher", verbs=("webhooks.read",)))
    kept = link.issue_service(ServiceAsk(name="other", verbs=("webhooks.read",)))
    blocks, others = watched(server, made.token), watched(server, kept.token)
    assert next(blocks)[0] == next(others)[0] == "view"
    link.revoke_service(made.id)
    assert [block for block in blocks if block != BEAT] == [OVER]
    assert next(others) == BEAT, "another one's stream goes on"


def test_a_credential_that_runs_out_is_told_no_more(server: PlaneServer, link: OperatorLink) -> None:
    made = link.issue_service(ServiceAsk(name="short", verbs=("webhooks.read",), expires_ms=700))
    first, *others = watched(server, made.token)
    assert first[0] == "view" and [block for block in others if block != BEAT] == [OVER]


def test_a_session_that_nobody_uses_runs_out_also_while_its_page_is_open(server: PlaneServer) -> None:
    browser = Browser(server.url).sign_in((server.data / "viewer.token").read_text().strip())
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    names = [name for name, _ in Stream(server.url, "/live/settings", {"cookie": cookie}).blocks()]
    assert (names[0], names[-1]) == ("fragments", "over")


def test_who_follows_with_a_credential_that_was_replaced_is_refused_not_kept_waiting(tmp_path: Path) -> None:
    with plane(tmp_path / "data", LIVE) as (first, operator):
        port, old = urlsplit(first.url).port, operator.headers
        assert port is not None
        link = OperatorLink(first.url, old["authorization"].removeprefix("Bearer "))
        views = link.follow("status", StatusView)
        next(views)
    (tmp_path / "data" / "administrator.token").unlink()
    with PlaneServer(tmp_path / "data", port=port, limits=LIVE), link, pytest.raises(OperatorFault) as refused:
        list(views)
    assert refused.value.code == "credential-invalid"


# -- a slow reader --------------------------------------------------------------------------------------------------


def deaf(server: PlaneServer, operator: Operator, path: str) -> socket.socket:
    """A watcher whose system keeps little for it, and who reads nothing but the beginning of the answer."""
    parts = urlsplit(server.url)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.settimeout(60)
    reader.connect((parts.hostname, parts.port))
    lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", f"Accept: {EVENTS}"]
    lines += [f"{name}: {value}" for name, value in operator.headers.items()]
    reader.sendall("\r\n".join([*lines, "", ""]).encode())
    assert reader.recv(12) == b"HTTP/1.1 200"
    return reader


def to_the_end(reader: socket.socket) -> int:
    """How many bytes come before the connection ends."""
    had = 0
    with contextlib.suppress(ConnectionResetError):
        while piece := reader.recv(1 << 20):
            had += len(piece)
    return had


@contextmanager
def stirred(operator: Operator) -> Iterator[tuple[str, str]]:
    """The path of a large view that changes all the time, and of the one run in it that goes on."""
    whole = task()
    asked = msgspec.structs.replace(whole, task=msgspec.structs.replace(whole.task, purpose="x" * 1_000))
    for _ in range(RUNS):
        operator.post(f"/api/v1/runs/{operator.submit(asked)}/stop", StopAsk(), RunView)
    run = operator.submit(asked)
    enough = threading.Event()

    def stir() -> None:
        while not enough.is_set():
            operator.token()

    stirring = threading.Thread(target=stir)
    stirring.start()
    try:
        yield f"/api/v1/runs?limit={2 * RUNS}", f"/api/v1/runs/{run}"
    finally:
        enough.set()
        stirring.join()


def test_a_reader_who_reads_nothing_costs_a_bounded_buffer_and_is_told_the_newest(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIVE, live_ms=1)
    with plane(tmp_path / "data", limits) as (server, operator), stirred(operator) as (path, run):
        with deaf(server, operator, path) as slow, Stream(server.url, path, operator.headers) as brisk:
            told = next(total for total in itertools.accumulate(map(len, brisk.views())) if total >= TOLD)
            operator.post(f"{run}/stop", StopAsk(why="the newest"), RunView)
            had, tail = 0, b""
            while b"the newest" not in tail:
                piece = slow.recv(1 << 20)
                had, tail = had + len(piece), tail[-32:] + piece
        assert had < told / 2, f"{had} bytes waited for it, of {told} that another was told"


def test_a_reader_who_reads_nothing_for_long_is_cut_off_and_leaves_room(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIVE, live_ms=1, body_ms=1_000, viewers_max=2)
    with plane(tmp_path / "data", limits) as (server, operator), stirred(operator) as (path, _):
        assert server.plane is not None
        with deaf(server, operator, path) as slow, Stream(server.url, path, operator.headers) as brisk:
            live = server.plane.surface.live
            assert any(live.viewers == 1 for _ in brisk.views())
            with Stream(server.url, "/api/v1/status", operator.headers) as third:
                assert next(third.views())
            assert to_the_end(slow), "what its system had taken for it"


# -- what a stream tells ---------------------------------------------------------------------------------------------


def test_every_watched_view_is_told_as_the_document_says(tmp_path: Path) -> None:
    with linked(tmp_path / "data", LIVE) as (server, operator, link):
        run = fill(operator, link)
        document = msgspec.json.decode(link.openapi())
        known = {"runs": run, "devices": "device-0", "versions": "@last", "aliases": "one-hot@candidate"}
        watched = {
            path: told["get"]["responses"]["200"]["content"]
            for path, told in document["paths"].items()
            if EVENTS in told.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        }
        assert len(watched) > 20 and "/api/v1/whoami" not in watched
        for path, content in watched.items():
            concrete = path.format(id=known.get(path.split("/")[3], ""), number=1)
            schema = {**content[EVENTS][DATA], "components": document["components"]}
            assert content[EVENTS][DATA] == content["application/json"]["schema"]
            with Stream(server.url, concrete, operator.headers) as stream:
                view = msgspec.json.decode(next(stream.views()))
            valid = jsonschema_rs.validator_for(schema)
            valid.validate(view)
            assert not valid.is_valid({**view, next(iter(view)): {"not": "this"}}), "the schema says something"
        assert "state, not events" in document["info"]["description"]
