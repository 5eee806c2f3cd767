"""The shape of the operator API's one table: a row says everything of a route that guard, document and tests need.

Decides: what a route is: method, path, verb, what is asked and answered, its problems. Never: which routes there are
(act_routes.py, read_routes.py, and whatever room adds a list of its own) nor how one is read (operator_routes.py).
Limits: a query parameter is given at most once; texts of it have at most `QUERY_CHARS_MAX` characters.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
from starlette.responses import Response

from podium.server.plane_data import Who
from podium.wire.asks import Ask
from podium.wire.problems import OperatorFault

A = TypeVar("A", bound=Ask)

JSON = "application/json"
EVENTS = "text/event-stream"
QUERY_CHARS_MAX = 512
COUNT_MAX = 2**53 - 1
Answered = msgspec.Struct | bytes | Response
"""What a route gives: a view (sent as JSON), bytes of its `media`, or an answer in pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One query parameter: a text, a whole number (0 if it is not given), or a flag ("true" or "false")."""

    name: str
    kind: Literal["text", "count", "flag"] = "text"
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[A]):
    """One request, decoded: who asks, the names in its path, its query and its body.

    `key`: its Idempotency-Key, "" if it gave none. `still`: raises once the credential that was shown is over.
    """

    who: Who
    names: dict[str, str]
    query: dict[str, str]
    ask: A
    key: str
    still: Callable[[], object] = bool

    @property
    def actor(self) -> str:
        """How the journal calls whoever asks."""
        return self.who.actor

    @property
    def id(self) -> str:
        """What `{id}` of the path names."""
        return self.names["id"]

    @property
    def number(self) -> int:
        """The whole number that `{number}` of the path is; `OperatorFault(not-found)` if it is none."""
        text = self.names["number"]
        if not (text.isascii() and text.isdecimal() and len(text) <= 16):
            raise OperatorFault("not-found", what=f"there is no number {text[:32]!r}")
        return int(text)

    def text(self, name: str) -> str:
        """A query parameter's text, "" if it was not given."""
        return self.query.get(name, "")

    def count(self, name: str) -> int:
        """A query parameter's whole number, 0 if it was not given."""
        return int(self.query.get(name, "0"))

    def flag(self, name: str) -> bool:
        """Whether a query parameter is "true"."""
        return self.query.get(name, "") == "true"


@dataclass(frozen=True, kw_only=True, slots=True)
class Route(Generic[A]):
    """One row of the table.

    `ask`: the body's struct, `Ask` itself for a route that takes none. `answer`: the struct of its JSON, None for
    bytes of `media`. `items`: what a `Page` holds. `codes`: problems beyond those that every route may answer.
    `keyed`: it takes an Idempotency-Key. `large`: its body may have `operator_body_bytes_max`. `watched`: its answer is
    also told as server-sent events (watching.py), so it is the same for whoever may ask, and cheap to give again.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    verb: str
    summary: str
    ask: type[A]
    call: Callable[[Call[A]], Awaitable[Answered]]
    answer: type[msgspec.Struct] | None = None
    items: type[msgspec.Struct] | None = None
    media: str = JSON
    status: int = 200
    query: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()
    keyed: bool = False
    large: bool = False
    watched: bool = False


AnyRoute = Route[Any]
"""A row whatever it asks for: rows of one table differ in that."""


def read_query(route: AnyRoute, given: list[tuple[str, str]]) -> dict[str, str]:
    """The checked query of a request to `route`; `OperatorFault(usage)` names what is unknown, doubled or no number."""
    known = {parameter.name: parameter for parameter in route.query}
    query: dict[str, str] = {}
    for name, text in given:
        if name not in known:
            why = f"it takes {', '.join(known)}" if known else "it takes no query"
            raise OperatorFault("usage", what=f"{route.path} takes no query parameter {name[:64]!r}", why=why)
        if name in query:
            raise OperatorFault("usage", what=f"the query names {name} twice")
        _check(known[name], text)
        query[name] = text
    return query


def _check(parameter: Parameter, text: str) -> None:
    why = ""
    if len(text) > QUERY_CHARS_MAX:
        why = f"it has more than {QUERY_CHARS_MAX} characters"
    elif parameter.kind == "count" and not _is_count(text):
        why = "it is a whole number of at most 2^53-1"
    elif parameter.kind == "flag" and text not in ("true", "false"):
        why = "it is true or false"
    if why:
        raise OperatorFault("usage", what=f"the query's {parameter.name} is {text[:32]!r}", why=why)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= COUNT_MAX
