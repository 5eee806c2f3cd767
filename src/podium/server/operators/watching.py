"""Server-sent events: a read that is asked for as `text/event-stream` is told now and whenever it changes.

Decides: how an event looks, and when a stream is told rather than an answer given. Each `view` is the route's own JSON,
whole: state, not events. So the snapshot comes first, whoever was away lost nothing that still holds, and there is
nothing to resume: events have no id, and Last-Event-ID is not looked at. `over` (its data a problem's code) is the last
event of a stream whose credential is over. Never: when one is told (live.py), nor who may ask (the row's verb).
Source: WHATWG HTML, section 9.2, server-sent events; RFC 9110, section 12.5.1 (Accept).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from podium.server.operators.live import Live
from podium.server.operators.route_table import EVENTS, AnyRoute, Call
from podium.server.plane_data import NOBODY
from podium.wire.asks import Ask
from podium.wire.problems import PodiumError

BEAT = b": nothing changed\n\n"
"""A comment: readers skip it, and know that the plane is there."""
VIEW = b"event: view\ndata: %b\n\n"
OVER = b"event: over\ndata: %b\n\n"


def wants_events(row: AnyRoute, request: Request) -> bool:
    """Whether the answer is to be a stream: the row can be watched, and `text/event-stream` is all that is accepted."""
    accepted = request.headers.get("accept", "").partition(";")[0].strip().lower()
    return row.watched and request.method == "GET" and accepted == EVENTS


async def streamed(live: Live, row: AnyRoute, call: Call[Ask]) -> Response:
    """The stream of what `row` answers to `call`. viewers-full, and what the row itself may raise.

    All who ask the same share one drawing, so it is made for nobody.
    """
    shared = replace(call, who=NOBODY)
    path = row.path.format(**call.names)

    async def drawn() -> bytes:
        return msgspec.json.encode(await row.call(shared))

    views = live.subscribe(f"{path}?{urlencode(sorted(call.query.items()))}", drawn, call.still)
    first = await anext(views)  # so that what is not there is a problem, not a stream
    return StreamingResponse(told_as_events(first, views), media_type=EVENTS, headers={"cache-control": "no-store"})


async def told_as_events(first: bytes, views: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """`first` and `views` as events, a beat for each that is the one before; `over` once the watcher may not watch."""
    said = first
    yield VIEW % first
    async with aclosing(views):
        try:
            async for view in views:
                yield BEAT if view is said else VIEW % view
                said = view
        except PodiumError as fault:
            yield OVER % msgspec.json.encode(fault.code)
