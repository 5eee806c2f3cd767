"""The link: pooled keep-alive HTTP to one plane, and the meaning of what goes wrong on the way.

Decides: which failures are "unavailable" (tried again inside a session), which are transient or permanent, and that
plain http goes to loopback hosts only. Never: when to come back (agent.py), nor what a message means.
Limits: one plane, at most two connections, no redirects followed (the MAC headers are for this plane alone).
Sources: RFC 9110 (ranges, status codes), RFC 9457 (problem details), docs/reference/device-protocol.md.
"""

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
import urllib3

from podium.wire.limits import Limits
from podium.wire.problems import KINDS, DeviceFault, OperatorFault, Problem

T = TypeVar("T")
Headers = dict[str, str]
Reply = tuple[bytes, Headers]

_UNAVAILABLE = frozenset({502, 503, 504})
_TRANSIENT = frozenset({408, 425, 429, 500})
_OF_THE_SESSION = frozenset({"counter-replayed", "epoch-stale"})
_PIECE_BYTES = 256 * 1024
QUIET_MS = 60_000


class PlaneAway(OperatorFault):
    """The plane did not answer, or takes nothing now. `return_ms`: when it wants us back, 0 if it did not say.

    `again`: trying again inside this session makes sense (connection lost, 502/503/504 without a window).
    The code is the plane's own (store-full, overloaded), if it `said` one that this release knows: whoever reads it
    hears what to mend; else plane-unreachable.
    """

    def __init__(self, what: str, why: str, *, said: Problem | None = None, again: bool = True) -> None:
        if said is not None and said.code in KINDS:
            super().__init__(said.code, what=said.detail, why=said.why, next=said.next)
        else:
            super().__init__("plane-unreachable", what=what, why=why)
        self.return_ms = 0 if said is None else said.return_ms
        self.again = again and self.return_ms == 0


class PlaneRefusal(DeviceFault):
    """The plane answered with a problem. `code` is its code, also one that this release does not know."""

    def __init__(self, said: Problem) -> None:
        super().__init__(
            said.code if said.code in KINDS else "not-found", what=said.detail, why=said.why, next=said.next
        )
        self.code = said.code
        self.status = said.status
        self.return_ms = said.return_ms

    @property
    def ends_lease(self) -> bool:
        """Whether it is about the lease, not about who asks: then there is no use in saying it again."""
        return self.code in KINDS and self.status not in (401, 403) and self.code not in _OF_THE_SESSION


def decoded(data: bytes, kind: type[T]) -> T:
    """`data` as a message of the plane, unknown fields ignored; `DeviceFault(manifest-invalid)` if it is none."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DeviceFault(
            "manifest-invalid", what=f"the plane's answer is no {kind.__name__}", why=str(error)
        ) from error


def is_loopback(host: str) -> bool:
    """Whether `host` (a name, or an address with or without brackets) can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _pool(url: str, ca: str, quiet_ms: int) -> urllib3.HTTPConnectionPool:
    """A pool for `url`; `ca` is "", PEM text, or "sha256:<hex>" of the certificate that the plane shows."""
    try:
        parts = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise OperatorFault("usage", what=f"the plane's address {url!r} cannot be used", why=str(error)) from error
    host = parts.host or ""
    timeout = urllib3.Timeout(connect=10.0, read=quiet_ms / 1000)
    if parts.scheme == "http" and is_loopback(host):
        return urllib3.HTTPConnectionPool(host, parts.port or 80, maxsize=2, timeout=timeout, retries=False)
    if parts.scheme != "https" or not host:
        raise OperatorFault(
            "usage",
            what=f"the plane's address {url!r} cannot be used",
            why="it must be https://HOST, or http:// to this machine itself",
        )
    context = ssl.create_default_context(cadata=ca if ca.startswith("-----BEGIN") else None)
    fingerprint = ca.removeprefix("sha256:") if ca.startswith("sha256:") else None
    if fingerprint is not None:
        # The pinned certificate is the whole trust here, so neither a chain nor a name is asked for.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return urllib3.HTTPSConnectionPool(
        host,
        parts.port or 443,
        maxsize=2,
        timeout=timeout,
        retries=False,
        ssl_context=context,
        assert_fingerprint=fingerprint,
    )


def _problem(status: int, data: bytes) -> Problem:
    try:
        return msgspec.json.decode(data, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        why = data[:200].decode("utf-8", "replace")
        return Problem(type="about:blank", title="", status=status, code=f"http-{status}", why=why)


class Link:
    """Requests to one plane. Every method may raise `PlaneAway` or `PlaneRefusal`."""

    def __init__(self, url: str, ca: str, quiet_ms: int = QUIET_MS) -> None:
        """`url`: scheme, host and port of the plane. `ca`: see `_pool`. `OperatorFault(usage)` for a bad address.

        `quiet_ms`: a plane that sends nothing for so long while something is awaited is away.
        """
        self._pool = _pool(url, ca, quiet_ms)

    def send(self, method: str, target: str, body: bytes | None, headers: Headers) -> Reply:
        """One request, once; the whole body and the headers (lower-case names) of a 2xx answer."""
        response = self._open(method, target, body, headers)
        return response.data, {name.lower(): value for name, value in response.headers.items()}

    def stream(self, target: str, headers: Headers) -> tuple[int, Iterator[bytes]]:
        """GET `target`; the status (200 or 206) and the body in pieces. Iterating may raise `PlaneAway` midway."""
        response = self._open("GET", target, None, headers, preload=False)
        return response.status, self._pieces(response, target)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _open(
        self, method: str, target: str, body: bytes | None, headers: Headers, *, preload: bool = True
    ) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.urlopen(
                method, target, body=body, headers=headers, redirect=False, preload_content=preload
            )
            if response.status < 300:
                return response
            data = response.data
        except urllib3.exceptions.SSLError as error:
            raise OperatorFault(
                "plane-foreign", what=f"{method} {target} failed", why=f"TLS does not verify: {error}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise PlaneAway(f"{method} {target} got no answer", str(error)) from error
        said = _problem(response.status, data)
        if response.status in _UNAVAILABLE | _TRANSIENT:
            what = f"{method} {target} answered {response.status} {said.code}"
            raise PlaneAway(what, said.why, said=said, again=response.status in _UNAVAILABLE)
        raise PlaneRefusal(said)

    def _pieces(self, response: urllib3.BaseHTTPResponse, target: str) -> Iterator[bytes]:
        try:
            yield from response.stream(_PIECE_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise PlaneAway(f"GET {target} broke off", str(error)) from error
        except GeneratorExit:
            response.close()  # what is not read to its end cannot carry another request
            raise
        finally:
            response.release_conn()


def persistently(call: Callable[[], T], limits: Limits, stopping: threading.Event) -> T:
    """`call()`, tried `retry_tries_max` times with exponential pauses from `retry_first_ms` while the plane is away.

    Only what is unavailable is tried again; a pause ends early when `stopping` is set. Raises the last `PlaneAway`.
    """
    pause_s = limits.retry_first_ms / 1000
    for _ in range(limits.retry_tries_max - 1):
        try:
            return call()
        except PlaneAway as error:
            if not error.again or stopping.wait(pause_s):
                raise
        pause_s *= 2
    return call()
