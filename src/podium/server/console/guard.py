"""What every answer of the console carries, and what every form must prove.

Decides: the headers that keep a page alone in its window (content security policy, no sniffing, no referrer, no
framing, no cache), the cookie, and that a form was sent by a page of this console: its session's token and the
browser's own word. Never: who may do what (core/access).
Limits: `sign_in_bytes_max`, `form_bytes_max`, `forms_open_max`, `FORM_FIELDS_MAX`, `NEXT_CHARS_MAX`.
Sources: W3C Content Security Policy 3; W3C Fetch Metadata; RFC 6265bis section 4.1.3.2 (__Host-).
"""

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from podium.server import http
from podium.server.console.sign_ins import SignIn
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault, OperatorFault

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: dict[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
FORM_FIELDS_MAX = 64
NEXT_CHARS_MAX = 1_024
SCOPES: Mapping[bool, str] = {True: "__Host-podium", False: "podium"}
"""Whether the plane serves TLS -> the name of the cookie: browsers hold a __Host- cookie to this origin alone."""


def secure(request: Request) -> bool:
    """Whether the request came over TLS."""
    return request.url.scheme == "https"


def session_name(request: Request) -> str:
    """The session id that the cookie holds, "" without one."""
    return request.cookies.get(SCOPES[secure(request)], "")


def set_session(request: Request, response: Response, name: str) -> None:
    """Let the browser hold the session `name` until it closes, or nothing if it is ""."""
    age = None if name else 0
    response.set_cookie(
        SCOPES[secure(request)], name, max_age=age, path="/", secure=secure(request), httponly=True, samesite="strict"
    )


def check_origin(request: Request) -> None:
    """Return if the browser says that a page of this origin sent the form; `OperatorFault(form-refused)` otherwise.

    `Sec-Fetch-Site` decides where there is one (every browser of today, over TLS and on loopback). A page with
    `no-referrer` sends `Origin: null`, so Origin decides only for a browser that does not know the former.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise OperatorFault("form-refused", why=f"the browser says it comes from a {site[:32]} page")
        return
    origin = request.headers.get("origin", "")
    if origin != f"{request.url.scheme}://{request.headers.get('host', '')}":
        raise OperatorFault("form-refused", why=f"its origin is {origin[:128] or 'not told'}")


def check_token(session: SignIn, form: Mapping[str, str]) -> None:
    """Return if the form holds its session's token; `OperatorFault(form-refused)` otherwise."""
    if not hmac.compare_digest(session.csrf.encode(), form.get("csrf", "").encode("utf-8", "replace")):
        raise OperatorFault("form-refused", why="it does not carry this session's token")


class FormReader:
    """Reads the forms of one kind of sender, a bounded number at once.

    One too many ends the one that has been under way the longest: a browser sends a form whole, so whoever holds one
    back keeps nobody else out, and costs `bytes_max` at most.
    """

    def __init__(self, bytes_max: int, limits: Limits) -> None:
        self._bytes_max = bytes_max
        self._limits = limits
        self._open: dict[asyncio.Timeout, None] = {}
        """In the order in which they began."""

    async def read(self, request: Request) -> dict[str, str]:
        """The fields of an urlencoded form, the last of each name.

        `DeviceFault(body-too-large | body-malformed | overloaded)`.
        """
        try:
            body = await self._body(request)
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
        except (http.Gone, ValueError) as error:
            raise DeviceFault("body-malformed", what="the form cannot be read", why=str(error)[:200]) from error
        return dict(pairs)

    async def _body(self, request: Request) -> bytes:
        turn = asyncio.timeout(None)
        try:
            async with turn:
                self._open[turn] = None
                if len(self._open) > self._limits.forms_open_max:
                    oldest = next(iter(self._open))
                    del self._open[oldest]
                    oldest.reschedule(0)
                return await http.Request(request.scope, request.receive).body(self._bytes_max, self._limits.body_ms)
        except TimeoutError as error:
            why = f"{self._limits.forms_open_max} others came while it did"
            raise DeviceFault("overloaded", what="the form came too slowly", why=why, next="send it again") from error
        finally:
            self._open.pop(turn, None)


def local_path(text: str) -> str:
    """`text` if it is a path of this console, else "/": nobody is sent elsewhere after signing in."""
    fine = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if fine and len(text) <= NEXT_CHARS_MAX else "/"
