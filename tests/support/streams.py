"""Server-sent events as a browser reads them: one connection, its blocks one by one, comments among them."""

from collections.abc import Iterator
from typing import Self

import urllib3

EVENTS = "text/event-stream"


class Stream:
    """The answer to GET `path` with `Accept: text/event-stream`, not read yet. Also a context manager."""

    def __init__(self, url: str, path: str, headers: dict[str, str], pool: urllib3.PoolManager | None = None) -> None:
        told = {**headers, "accept": EVENTS}
        asked = pool or urllib3.PoolManager(retries=False, timeout=60.0)
        self.response = asked.request("GET", url + path, headers=told, preload_content=False, redirect=False)
        self.kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, read or not."""
        self.response.close()

    def blocks(self) -> Iterator[tuple[str, bytes]]:
        """(event, data) of each block until the stream ends; ("", its text) for a comment."""
        assert self.response.status == 200, self.response.data
        assert self.response.headers["content-type"].startswith(EVENTS)
        for piece in self.response.stream():
            *whole, self.kept = (self.kept + piece).split(b"\n\n")
            for block in whole:
                if block.startswith(b":"):
                    yield "", block[1:].strip()
                    continue
                fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
                assert fields.keys() == {b"event", b"data"}
                yield fields[b"event"].decode(), fields[b"data"]

    def views(self) -> Iterator[bytes]:
        """The data of each view."""
        return (data for event, data in self.blocks() if event == "view")
