"""Looking names up: a name that hangs costs one thread, and nobody who waits for another."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from podium.server.webhooks import posting
from podium.server.webhooks.names import Names
from podium.server.webhooks.posting import Poster
from podium.wire.problems import OperatorFault


class Resolver:
    """A resolver that hangs for names that begin with "hung", until it is released."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: str, port: None, **given: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked.append(host)
        if host.startswith("hung"):
            self.released.wait(20)
        if host.startswith("none"):
            raise socket.gaierror("no such name")
        if host.startswith("odd"):
            "x..y".encode("idna")
        return [(2, 1, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """In the place of the system's."""
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.released.set()


def test_who_waits_for_one_name_shares_one_look_up(resolver: Resolver) -> None:
    async def told() -> list[list[str]]:
        names = Names(1)
        waiting = [asyncio.create_task(names.addresses("hung.example")) for _ in range(5)]
        while not resolver.asked:
            await asyncio.sleep(0)
        resolver.released.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(told()) == [["127.0.0.1"]] * 5
    assert resolver.asked == ["hung.example"]


def test_a_look_up_that_nobody_waits_for_any_more_is_not_begun_twice(resolver: Resolver) -> None:
    async def told() -> list[str]:
        names = Names(1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await names.addresses("hung.example")
        assert resolver.asked == ["hung.example"]
        resolver.released.set()
        return await names.addresses("hung.example")

    assert asyncio.run(told()) == ["127.0.0.1"]


def test_beyond_the_most_a_new_name_is_refused_until_one_is_found(resolver: Resolver) -> None:
    async def told() -> None:
        names = Names(2)
        waiting = [asyncio.create_task(names.addresses(f"hung{each}.example")) for each in range(2)]
        while len(resolver.asked) < 2:
            await asyncio.sleep(0)
        with pytest.raises(OSError, match="2 names are being looked up"):
            await names.addresses("other.example")
        resolver.released.set()
        await asyncio.gather(*waiting)
        assert await names.addresses("other.example") == ["127.0.0.1"]

    asyncio.run(told())


@pytest.mark.parametrize("host", ["none.example", "odd.example"])
def test_what_cannot_be_looked_up_is_not_found(resolver: Resolver, host: str) -> None:
    with pytest.raises(OSError, match=r"no such name|label"):
        asyncio.run(Names(1).addresses(host))


def test_hung_names_hold_nobody_else_up(resolver: Resolver) -> None:
    """Sixteen webhooks whose names hang, and more that are being set: a delivery to another arrives."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def told() -> None:
        server = await asyncio.start_server(receive, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        poster = Poster(True, 10_000)
        hung = [asyncio.create_task(poster.post(f"http://hung{each}.example:{port}/", {}, b"")) for each in range(16)]
        new = [
            asyncio.create_task(poster.check(f"http://hung-new{each}.example/"))
            for each in range(posting.NEW_NAMES_MAX)
        ]
        while len(resolver.asked) < len(hung) + len(new):
            await asyncio.sleep(0.001)
        await poster.post(f"http://fine.example:{port}/", {}, b"")
        await poster.post(f"http://127.0.0.1:{port}/", {}, b"")
        with pytest.raises(OperatorFault, match="being looked up"):
            await poster.check("http://one-more.example/")
        assert "127.0.0.1" not in resolver.asked and not any(task.done() for task in (*hung, *new))
        resolver.released.set()
        await asyncio.gather(*hung, *new)
        server.close()

    asyncio.run(told())
