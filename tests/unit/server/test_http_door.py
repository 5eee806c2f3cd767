"""The raw ASGI door: bodies bounded in size and time, answers and problems on the wire."""

import asyncio

import msgspec
import pytest

from podium.server.http import Gone, Message, Receive, Request, Response, Scope, answer, refusal, respond
from podium.wire.messages import UploadAnswer
from podium.wire.problems import DeviceFault, Problem


def request(receive: Receive, headers: list[tuple[bytes, bytes]] | None = None, query: bytes = b"") -> Request:
    """A POST."""
    scope: Scope = {"method": "POST", "path": "/", "raw_path": b"/", "query_string": query, "headers": headers or []}
    return Request(scope, receive)


def pieces(*parts: bytes | None) -> Receive:
    """A body that comes in these parts; None: the peer leaves."""
    left = list(parts)

    async def receive() -> Message:
        part = left.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    return receive


def read(receive: Receive, bytes_max: int = 10, headers: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """The body within `bytes_max` and 100 ms."""
    return asyncio.run(request(receive, headers).body(bytes_max, 100))


def test_a_body_is_whole_or_refused() -> None:
    assert read(pieces(b"")) == b""
    assert read(pieces(b"0123456789")) == b"0123456789"
    assert read(pieces(b"01234", b"", b"56789")) == b"0123456789"
    for too_long in (pieces(b"01234567890"), pieces(b"01234", b"567890"), pieces(b"0" * 11, b"")):
        with pytest.raises(DeviceFault, match="body-too-large"):
            read(too_long)
    with pytest.raises(DeviceFault, match="body-too-large"):
        read(pieces(), headers=[(b"content-length", b"11")])
    for left in (pieces(None), pieces(b"0", None)):
        with pytest.raises(Gone):
            read(left)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> Message:
        if not sent:
            sent.append(b"0")
            return {"type": "http.request", "body": b"0", "more_body": True}
        await asyncio.sleep(3_600)
        raise AssertionError

    sent: list[bytes] = []
    with pytest.raises(DeviceFault, match="in time"):
        read(receive)
    with pytest.raises(DeviceFault, match="in time"):
        read(headers_alone)


async def headers_alone() -> Message:
    """A peer that never sends a byte of its body."""
    await asyncio.sleep(3_600)
    raise AssertionError


def test_an_argument_is_given_once() -> None:
    assert request(pieces(), query=b"offset=5&x=").argument("offset") == "5"
    assert request(pieces(), query=b"").argument("offset") == ""
    with pytest.raises(DeviceFault, match="body-malformed"):
        request(pieces(), query=b"offset=5&offset=6").argument("offset")
    assert request(pieces(), [(b"a", b"1"), (b"a", b"2")]).header(b"a") == "1"


def test_answers_and_problems_on_the_wire() -> None:
    async def told(response: Response) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await respond(send, response)
        return sent

    start, body = asyncio.run(told(answer(UploadAnswer(offset=7))))
    assert start["status"] == 200
    assert start["headers"] == [(b"content-type", b"application/json"), (b"content-length", b"12")]
    assert body["body"] == b'{"offset":7}'
    problem = refusal(DeviceFault("overloaded", why="full"), 1_500)
    assert problem.status == 503
    assert dict(problem.headers)[b"retry-after"] == b"2"
    said = msgspec.json.decode(problem.body, type=Problem)
    assert (said.code, said.return_ms, said.why) == ("overloaded", 1_500, "full")
    assert b"retry-after" not in dict(refusal(DeviceFault("not-found")).headers)
