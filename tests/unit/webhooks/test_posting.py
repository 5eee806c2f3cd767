"""One delivery: to the very address that was judged, within its bounds, whatever answers there."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from podium.server.webhooks.posting import Poster, Undelivered
from podium.wire.problems import OperatorFault

Answering = Callable[[socket.socket], None]


@pytest.fixture
def listen() -> Iterator[Callable[[Answering], int]]:
    """Starts a server that answers one connection; its port."""
    opened: list[socket.socket] = []

    def start(answering: Answering) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answering(connection)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in opened:
        listener.close()


def posted(port: int, bound_ms: int = 2_000) -> str:
    """Why it was not delivered, "" if it was."""
    poster = Poster(True, bound_ms)
    try:
        asyncio.run(poster.post(f"http://127.0.0.1:{port}/path?query", {"webhook-id": "t/1"}, b"body"))
    except Undelivered as error:
        return str(error)
    return ""


def saying(answer: bytes, heard: list[bytes] | None = None) -> Answering:
    def answering(connection: socket.socket) -> None:
        received = connection.recv(65_536)
        if heard is not None:
            heard.append(received)
        connection.sendall(answer)

    return answering


def test_what_goes_over_the_wire(listen: Callable[[Answering], int]) -> None:
    heard: list[bytes] = []
    port = listen(saying(b"HTTP/1.1 204 No Content\r\n\r\n", heard))
    assert posted(port) == ""
    head, _, body = heard[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /path?query HTTP/1.1" and body == b"body"
    assert {b"host: 127.0.0.1:%d" % port, b"webhook-id: t/1", b"content-length: 4", b"connection: close"} <= set(lines)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n", "it answered 302"),
        (b"HTTP/1.1 500\r\n\r\n", "it answered 500"),
        (b"HTTP/1.1 199 Odd\r\n\r\n", "it answered 199"),
        (b"", "no web server"),
        (b"SSH-2.0-OpenSSH\r\n", "no web server"),
        (b"HTTP/1.1 2", "no web server"),
        (b"HTTP/9 200 OK\r\n", "no web server"),
        (b"x" * 100_000, ""),
    ],
)
def test_what_is_no_delivery(listen: Callable[[Answering], int], answer: bytes, why: str) -> None:
    found = posted(listen(saying(answer)))
    assert found and why in found


def test_who_says_nothing_or_drips_is_given_up_in_time(listen: Callable[[Answering], int]) -> None:
    done = threading.Event()

    def silent(connection: socket.socket) -> None:
        done.wait(10)

    def drips(connection: socket.socket) -> None:
        while not done.wait(0.02):
            try:
                connection.sendall(b"H")
            except OSError:
                return

    for answering in (silent, drips):
        assert "no answer within" in posted(listen(answering), 200)
    done.set()


def test_nobody_there(listen: Callable[[Answering], int]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    assert "ConnectionRefusedError" in posted(port) or "OSError" in posted(port)


def test_a_name_that_moves_to_a_private_address_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged is what is connected to: one resolution a delivery, and each one is judged."""
    asked: list[str] = []
    answers = [["8.8.8.8"], ["169.254.169.254"]]

    def resolve(host: str, port: None, **given: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, 0)) for address in answers[min(len(asked), len(answers)) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    poster = Poster(False, 500)
    asyncio.run(poster.check("https://rebound.example/"))
    with pytest.raises(Undelivered, match="private, local"):
        asyncio.run(poster.post("https://rebound.example/", {}, b""))
    assert asked == ["rebound.example"] * 2


def test_a_name_that_is_not_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: None, **given: object) -> list[object]:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    poster = Poster(False, 500)
    with pytest.raises(OperatorFault, match="webhook-refused"):
        asyncio.run(poster.check("https://nowhere.example/"))
    with pytest.raises(Undelivered, match="no such name"):
        asyncio.run(poster.post("https://nowhere.example/", {}, b""))
