"""Who looks at a plane: one asker over one kept connection, and many who watch streams as browsers do.

Decides: how a page is asked for and a stream is kept open. Never: what it costs (pages.py). Loopback without TLS.
"""

import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import urllib3

from podium.server.console import PAGES

ALIASED = "digits%40candidate"
FURTHER = (
    "/runs?state=FINISHED&task=trial",
    "/runs/{run}?after=101",
    "/runs/{run}/stop",
    "/runs/{wide}/rounds/50",
    "/fleet?after=999800",
    "/fleet?site=site-077&after=500000",
    "/fleet?name=device-09",
    "/fleet?label=region%3Dr7",
    "/fleet?site=site-077&state=cordoned",
    "/fleet?online=true",
    "/fleet?online=false&site=site-077&after=900000",
    "/fleet?lease=any",
    "/fleet/{device}/mark?mark=drained",
    "/models",
    "/models?run={run}",
    "/models?task={task}&after={version}",
    f"/models/rollback?alias={ALIASED}",
    "/journal?kind=device-enrolled",
    "/journal?subject={device}",
    "/journal?actor=person%3Aadministrator",
    "/journal?kind=plane-booted&actor=device%3Anone",
    "/journal?after=1000",
    "/settings/services/{service}/revoke",
    "/freeze",
)
"""What else of the console can be linked to: filters, later pages, and what asks before it acts."""
SCREENS = (*PAGES, *FURTHER)
_FRAGMENT_BYTES = 65_536


class Asker:
    """Somebody who has proven themselves by `headers`."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, dict(headers)
        self._pool = urllib3.PoolManager(retries=False, timeout=600.0)

    def ask_ms(self, path: str) -> float:
        """Milliseconds to the last byte of one answer; `RuntimeError` unless it is 200."""
        began = time.perf_counter()
        answer = self._pool.request("GET", self._url + path, headers=self._headers, redirect=False)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.data[:300]!r}")
        return (time.perf_counter() - began) * 1000


def signed_in(url: str, credential: str) -> dict[str, str]:
    """The cookie of a new session of the console."""
    form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    body = urlencode({"credential": credential}).encode()
    answer = urllib3.request("POST", f"{url}/sign-in", body=body, headers=form, redirect=False, retries=False)
    return {"cookie": answer.headers["set-cookie"].split(";")[0]}


class Watchers:
    """Open streams of `path`, one for each of `whose` headers, read to the end of the block in a thread of its own."""

    def __init__(self, url: str, path: str, whose: list[dict[str, str]]) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._selector, self._ended = selectors.DefaultSelector(), threading.Event()
        self._told: dict[socket.socket, int] = {}
        for headers in whose:
            asked = {
                "host": f"{host}:{port}",
                "accept": "text/event-stream",
                "sec-fetch-site": "same-origin",
                **headers,
            }
            lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", ""]
            opened = socket.create_connection((host, int(port)), timeout=60)
            opened.sendall("\r\n".join(lines).encode())
            self._selector.register(opened, selectors.EVENT_READ)
            self._told[opened] = 0
        self._thread = threading.Thread(target=self._read)
        self.fault = ""

    def __enter__(self) -> "Watchers":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        for opened in self._told:
            opened.close()
        self._selector.close()

    def fewest(self) -> int:
        """How many events the one who was told least has had; `RuntimeError` once a stream has ended."""
        if self.fault:
            raise RuntimeError(self.fault)
        return min(self._told.values())

    def _read(self) -> None:
        while not self._ended.is_set() and not self.fault:
            for key, _ in self._selector.select(timeout=0.2):
                opened = key.fileobj
                assert isinstance(opened, socket.socket)
                piece = opened.recv(_FRAGMENT_BYTES)
                self._told[opened] += piece.count(b"event: ")
                if not piece or piece.startswith(b"HTTP/1.1 4"):
                    self.fault = f"a stream was ended: {piece[:300]!r}"


def screens(**named: str) -> Iterator[tuple[str, str]]:
    """(name, path) of every screen; `named` fills the braces."""
    for path in SCREENS:
        yield path, path.format(**named)
