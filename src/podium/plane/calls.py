"""Calls to a plane's operator API: who must answer, how an answer is read, and what a refusal becomes.

Decides: that a credential goes to the plane it belongs to, that lists are read page by page to their end, and how what
is watched is followed: state, told whole each time, so a lost connection only means asking anew. Never: which routes
there are (link.py). Limits: one plane, one credential; a followed plane may be away for `AWAY_MS`.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from podium.crypto.root import open_root
from podium.device.link import Link, PlaneAway, PlaneRefusal
from podium.wire.limits import Limits
from podium.wire.messages import SignedRoot
from podium.wire.operator import Page
from podium.wire.problems import KINDS, DeviceFault, OperatorFault

T = TypeVar("T")

EVENTS = "text/event-stream"
VIEW = b"event: view\ndata: "
"""How a plane writes an event that holds a view: its data is JSON, so one line."""
AWAY_MS = 60_000
"""Whoever follows bears a plane that restarts, not one that is gone."""
AGAIN_MS = 1_000
"""Between two tries to follow."""


class Calls:
    """One plane under one credential.

    Every call may raise `OperatorFault` with the code that the plane gave; `PlaneAway`, which is one, where it does not
    answer (plane-unreachable) or takes nothing now (store-full, overloaded): asking later may help.
    """

    def __init__(self, url: str, token: str, ca: str = "", plane_id: str = "") -> None:
        """`ca`: what plane.json says of the certificate. `plane_id`: who must answer there, "" whoever does.

        `OperatorFault`: usage for a bad address, plane-unreachable, plane-foreign when another plane answers.
        """
        self.url = url.rstrip("/")
        self.plane_id = plane_id
        self.on_away: Callable[[PlaneAway], None] = lambda away: None
        """Told when a plane that is followed goes away, once each time."""
        self._ca = ca
        self._link = Link(self.url, ca)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            self._meet(plane_id)
        except OperatorFault:
            self._link.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def root(self) -> SignedRoot:
        """The plane's root document with its signatures, not verified here."""
        return self._decoded(self._link.send("GET", "/v1/root", None, {})[0], SignedRoot)

    def rows(self, path: str, kind: type[T], /, **query: str | int) -> list[T]:
        """Every row of the list at `path`; `query`: the route's own filters."""
        return self._list(path, kind, query)

    def first_of(self, path: str, kind: type[T], count: int, /, **query: str | int) -> list[T]:
        """The first `count` of the list at `path`, or fewer, by one request; `query`: the route's own filters."""
        return self._items(self._get(path, Page, {**query, "limit": count}), kind)

    def follow(self, path: str, kind: type[T], /, **query: str | int) -> Generator[T, None, None]:
        """What the plane answers at `path`, now and whenever it changes, without end, through its restarts.

        `PlaneAway` once it has been away for `AWAY_MS`. Where too many watch it, it is asked every `AGAIN_MS`.
        """
        away_s = 0.0
        while True:
            try:
                for data in self._told(path, query):
                    away_s = 0.0
                    yield self._decoded(data, kind)
            except PlaneAway as away:
                if not away_s:
                    away_s = time.monotonic()
                    self.on_away(away)
                elif (time.monotonic() - away_s) * 1000 > AWAY_MS:
                    raise
            time.sleep(AGAIN_MS / 1000)

    def follow_rows(self, path: str, kind: type[T], count: int = 0, /, **query: str | int) -> Iterator[list[T]]:
        """Every row of the list at `path`, or the first `count`, as `follow` does."""
        for page in self.follow(path, Page, **query, limit=count):
            try:
                following = [] if count or not page.next else self._list(path, kind, {**query, "after": page.next})
            except PlaneAway:
                continue  # `follow` sees to it
            yield self._items(page, kind) + following

    def _meet(self, plane_id: str) -> None:
        """Refuse another plane than `plane_id` before it sees the credential."""
        if not plane_id:
            return
        try:
            data, _ = self._link.send("GET", "/v1/root", None, {})
            answers = open_root(msgspec.json.decode(data, type=SignedRoot), None).plane_id
        except (PlaneRefusal, DeviceFault, msgspec.DecodeError) as error:
            raise OperatorFault("plane-foreign", what=f"no plane answers at {self.url}", why=str(error)) from error
        if answers != plane_id:
            raise OperatorFault(
                "plane-foreign", what=f"plane {answers} answers at {self.url}", why=f"{plane_id} was expected"
            )

    def _get(self, path: str, kind: type[T], query: Mapping[str, str | int] | None = None) -> T:
        return self._decoded(self._send("GET", _with(path, query or {})), kind)

    def _post(self, path: str, body: msgspec.Struct | None, kind: type[T], key: str = "") -> T:
        data = b"{}" if body is None else msgspec.json.encode(body)
        return self._decoded(self._send("POST", path, data, key), kind)

    def _delete(self, path: str, kind: type[T]) -> T:
        return self._decoded(self._send("DELETE", path), kind)

    def _list(self, path: str, kind: type[T], query: Mapping[str, str | int] | None = None) -> list[T]:
        return [view for page in self._pages(path, query or {}) for view in self._items(page, kind)]

    def _items(self, page: Page, kind: type[T]) -> list[T]:
        return [self._decoded(bytes(item), kind) for item in page.items]

    def _pages(self, path: str, query: Mapping[str, str | int]) -> Iterator[Page]:
        page = self._get(path, Page, query)
        yield page
        while page.next:
            page = self._get(path, Page, {**query, "after": page.next})
            yield page

    def _told(self, path: str, query: Mapping[str, str | int]) -> Iterator[bytes]:
        """The views of one stream until it ends; where too many watch already, the view as it is asked for once."""
        try:
            yield from self._stream(path, query)
        except PlaneAway as away:
            if away.code != "viewers-full":
                raise
            yield self._send("GET", _with(path, query))

    def _stream(self, path: str, query: Mapping[str, str | int]) -> Iterator[bytes]:
        """The data of each `view` event (WHATWG HTML, section 9.2) until the plane ends the stream."""
        link = Link(self.url, self._ca, Limits().quiet_ms)
        try:
            with self._refusals():
                _, pieces = link.stream(f"/api/v1/{_with(path, query)}", {**self._headers, "accept": EVENTS})
            kept = b""
            for piece in pieces:
                *whole, kept = (kept + piece).split(b"\n\n")
                yield from (block.removeprefix(VIEW) for block in whole if block.startswith(VIEW))
        finally:
            link.close()

    def _send(self, method: str, path: str, body: bytes | None = None, key: str = "") -> bytes:
        headers = {**self._headers, "idempotency-key": key} if key else self._headers
        with self._refusals():
            return self._link.send(method, f"/api/v1/{path}", body, headers)[0]

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Let what the plane refuses be an `OperatorFault` with its code."""
        try:
            yield
        except PlaneRefusal as error:
            if error.code not in KINDS:
                why = f"it answered {error.status} {error.code}"
                raise OperatorFault("plane-foreign", what=f"{self.url} is no plane of this release", why=why) from error
            raise OperatorFault(error.code, what=error.what, why=error.why, next=error.next) from error

    def _decoded(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            what = f"{self.url} does not answer as this release expects"
            raise OperatorFault("plane-foreign", what=what, why=str(error)) from error


def name(text: str) -> str:
    """What a person calls something, as one part of a path."""
    return quote(text, safe="@")


def _with(path: str, query: Mapping[str, str | int]) -> str:
    """`path` with those of `query` that say something."""
    told = {key: value for key, value in query.items() if value not in ("", 0)}
    return f"{path}?{urlencode(told)}" if told else path
