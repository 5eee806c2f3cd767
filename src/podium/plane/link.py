"""The operator API as typed calls: one method per route of /api/v1.

Decides: how an answer is read, and that a credential goes to the plane it belongs to. Never: what is asked for.
Limits: lists are read page by page to their end; a blob is read whole.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import msgspec

from podium.crypto.root import open_root
from podium.device.link import Link, PlaneRefusal
from podium.wire.asks import RunAsk, StopAsk, TokenAsk
from podium.wire.messages import SignedRoot
from podium.wire.operator import DeviceView, Page, RunMade, RunView, StatusView, TokenMade, VersionView
from podium.wire.problems import KINDS, DeviceFault, OperatorFault

T = TypeVar("T")


class OperatorLink:
    """One plane's operator API under one credential.

    Every call may raise `PlaneAway` (plane-unreachable) and `OperatorFault` with the code that the plane gave.
    """

    def __init__(self, url: str, token: str, ca: str = "", plane_id: str = "") -> None:
        """`ca`: what plane.json says of the certificate. `plane_id`: who must answer there, "" whoever does.

        `OperatorFault`: usage for a bad address, plane-unreachable, plane-foreign when another plane answers.
        """
        self.url = url.rstrip("/")
        self.plane_id = plane_id
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

    def status(self) -> StatusView:
        """The plane in one look."""
        return self._get("status", StatusView)

    def runs(self) -> list[RunView]:
        """Every run, newest first."""
        return self._list("runs", RunView)

    def run(self, run: str) -> RunView:
        """One run by id, unique prefix, task name or @last; `OperatorFault(run-unknown | id-ambiguous)`."""
        return self._get(f"runs/{quote(run, safe='')}", RunView)

    def submit(self, ask: RunAsk) -> RunMade:
        """Start a run."""
        return self._post("runs", ask, RunMade)

    def stop(self, run: str, why: str) -> None:
        """Stop a run; its last sealed version stays. `OperatorFault(run-unknown | run-over)`."""
        self._send("POST", f"runs/{quote(run, safe='')}/stop", msgspec.json.encode(StopAsk(why=why)))

    def devices(self) -> list[DeviceView]:
        """Every enrolled device, in order of enrolment."""
        return self._list("devices", DeviceView)

    def versions(self, run: str = "") -> list[VersionView]:
        """Every model version, oldest first; of `run` only, beginning with the version it began with, if named."""
        return self._list("versions", VersionView, f"run={quote(run, safe='')}" if run else "")

    def version(self, name: str) -> VersionView:
        """One version by digest, unique prefix, alias or @last; `OperatorFault(version-unknown | id-ambiguous)`."""
        return self._get(f"versions/{quote(name, safe='')}", VersionView)

    def blob(self, name: str) -> bytes:
        """The safetensors bytes of a version, not checked here."""
        return self._send("GET", f"versions/{quote(name, safe='')}/blob", None)

    def statement(self, name: str) -> bytes:
        """The signed provenance of a version, a DSSE envelope, not verified here."""
        return self._send("GET", f"versions/{quote(name, safe='')}/statement", None)

    def root(self) -> SignedRoot:
        """The plane's root document with its signatures, not verified here."""
        return self._decoded(self._link.send("GET", "/v1/root", None, {})[0], SignedRoot)

    def token(self, ask: TokenAsk) -> TokenMade:
        """A new enrolment token."""
        return self._post("tokens", ask, TokenMade)

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

    def _get(self, path: str, kind: type[T]) -> T:
        return self._decoded(self._send("GET", path, None), kind)

    def _post(self, path: str, body: msgspec.Struct, kind: type[T]) -> T:
        return self._decoded(self._send("POST", path, msgspec.json.encode(body)), kind)

    def _list(self, path: str, kind: type[T], query: str = "") -> list[T]:
        return [self._decoded(bytes(item), kind) for page in self._pages(path, query) for item in page.items]

    def _pages(self, path: str, query: str) -> Iterator[Page]:
        page = self._get(f"{path}?{query}", Page)
        yield page
        while page.next:
            page = self._get(f"{path}?{query}&after={quote(page.next, safe='')}", Page)
            yield page

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        try:
            return self._link.send(method, f"/api/v1/{path}", body, self._headers)[0]
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
