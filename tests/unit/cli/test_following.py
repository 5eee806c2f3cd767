"""Following what a plane tells: through restarts, through other watchers' crowd, and not for ever."""

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from podium.device.link import PlaneAway
from podium.plane import calls
from podium.plane.calls import Calls
from podium.wire.limits import Limits
from podium.wire.operator import Page
from podium.wire.problems import KINDS, OperatorFault, Problem


class Number(msgspec.Struct, frozen=True):
    """A view."""

    at: int


def view(at: int) -> bytes:
    return msgspec.json.encode(Number(at))


def gone() -> PlaneAway:
    return PlaneAway("GET got no answer", "it restarts")


def full() -> PlaneAway:
    code = "viewers-full"
    return PlaneAway("GET answered 503", "", said=Problem(type="", title="", status=KINDS[code].status, code=code))


class Scripted(Calls):
    """Each of `streams` is what one connection tells; `asked` answers those that ask once."""

    def __init__(self, *streams: list[bytes | Exception], asked: dict[str, bytes] | None = None) -> None:
        self.streams = list(streams)
        self.asked = asked or {}
        self.aways: list[str] = []
        self.on_away = lambda away: self.aways.append(away.code)

    def _stream(self, path: str, query: Mapping[str, str | int]) -> Iterator[bytes]:
        for told in self.streams.pop(0):
            if isinstance(told, Exception):
                raise told
            yield told

    def _send(self, method: str, path: str, body: bytes | None = None, key: str = "") -> bytes:
        return self.asked[path]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two tries."""
    monkeypatch.setattr(calls, "AGAIN_MS", 0)


def followed(plane: Calls) -> list[int | str]:
    """The numbers told until a fault, and its code."""
    seen: list[int | str] = []
    try:
        seen.extend(each.at for each in plane.follow("numbers", Number))
    except OperatorFault as fault:
        seen.append(fault.code)
    return seen


def test_a_plane_that_restarts_is_followed_on_and_said_to_be_away_once() -> None:
    plane = Scripted(
        [view(1), view(2)],  # it stopped in order
        [gone()],
        [gone()],
        [view(2), gone()],
        [OperatorFault("credential-invalid")],
    )
    assert followed(plane) == [1, 2, 2, "credential-invalid"]
    assert plane.aways == ["plane-unreachable", "plane-unreachable"]


def test_a_plane_that_stays_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "AWAY_MS", -1)
    assert followed(Scripted([view(1), gone()], [gone()])) == [1, "plane-unreachable"]


def test_where_too_many_watch_it_is_asked() -> None:
    plane = Scripted([full()], [full()], [view(8), OperatorFault("verb-denied")], asked={"numbers": view(7)})
    assert followed(plane) == [7, 7, 8, "verb-denied"]
    assert plane.aways == []


def test_a_list_that_is_followed_is_whole_or_its_beginning() -> None:
    first = msgspec.json.encode(Page(items=[msgspec.Raw(view(1))], next="x"))
    last = msgspec.json.encode(Page(items=[msgspec.Raw(view(2))], next=""))
    plane = Scripted([first, last], [first], asked={"numbers?kind=a&after=x": last})
    assert next(plane.follow_rows("numbers", Number, kind="a")) == [Number(1), Number(2)]
    assert next(plane.follow_rows("numbers", Number, 1, kind="a")) == [Number(1)]


def test_a_plane_that_falls_silent_with_its_connection_open_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "Limits", lambda: Limits(quiet_ms=300))
    monkeypatch.setattr(calls, "AWAY_MS", -1)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    body = b": nothing changed\n\nevent: view\ndata: %b\n\n" % view(1)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as serving:
        kept: list[socket.socket] = []

        def tell() -> None:
            for _ in range(2):
                reader, _ = listener.accept()
                kept.append(reader)
                reader.recv(65_536)
                reader.sendall(head + b"%x\r\n%b\r\n" % (len(body), body))

        serving.submit(tell)
        plane = Calls(f"http://127.0.0.1:{listener.getsockname()[1]}", "pdma_x")
        aways: list[str] = []
        plane.on_away = lambda away: aways.append(away.code)
        assert followed(plane) == [1, 1, "plane-unreachable"]
        assert aways == ["plane-unreachable"] * 2
        for reader in kept:
            reader.close()
        plane.close()
