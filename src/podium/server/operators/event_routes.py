"""Server-sent events: GET /api/v1/events?subject=... tells a view now and whenever it changes.

Decides: what a subject is called, which verb it wants, and how an event looks: `event` is the subject's kind, `data`
the view as its own route gives it, whole, so that a reader who lost some needs none of them (Last-Event-ID is not
looked at). Never: when one is told (live.py). Source: WHATWG HTML, section 9.2, server-sent events.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from starlette.responses import Response, StreamingResponse

from podium.core.access.roles import permit
from podium.server.operators.journal_reads import JournalReads
from podium.server.operators.live import BEAT_MS, Live
from podium.server.operators.reads import Reads
from podium.server.operators.route_table import AnyRoute, Call, Parameter, Route
from podium.wire.asks import Ask
from podium.wire.operator import View
from podium.wire.problems import OperatorFault, PodiumError

ROWS = 100
"""Rows of a list that is watched: its first page."""
MEDIA = "text/event-stream"
SUBJECTS = "status, runs, run:ID, round:ID.N, fleet, device:ID, models, journal"

Draw = Callable[[], Awaitable[View]]


class Watching:
    """The subjects that can be watched."""

    def __init__(self, live: Live, reads: Reads, journal: JournalReads) -> None:
        self._live = live
        self._reads = reads
        self._journal = journal

    async def events(self, call: Call[Ask]) -> Response:
        """The stream of a subject. usage, verb-denied, viewers-full, and what the subject's own route may raise."""
        subject = call.text("subject")
        kind, verb, draw = self._subject(subject)
        permit(call.actor, verb, call.verbs)

        async def drawn() -> bytes:
            return msgspec.json.encode(await draw())

        views = self._live.subscribe(subject, drawn)
        first = await anext(views)  # so that a subject that is not there is a problem, not a stream
        told = told_as_events(kind, first, views, call.still)
        return StreamingResponse(told, media_type=MEDIA, headers={"cache-control": "no-store"})

    def _subject(self, subject: str) -> tuple[str, str, Draw]:
        """Kind, verb and view of a subject. `OperatorFault(usage)`."""
        kind, _, name = subject.partition(":")
        run, _, number = name.rpartition(".")
        reads = self._reads
        known: dict[str, tuple[str, bool, Draw]] = {
            "status": ("status.read", False, reads.status),
            "runs": ("runs.read", False, lambda: reads.runs(limit=ROWS)),
            "run": ("runs.read", True, lambda: reads.run(name)),
            "round": ("runs.read", True, lambda: reads.round(run, int(number))),
            "fleet": ("devices.read", False, lambda: reads.devices(limit=ROWS)),
            "device": ("devices.read", True, lambda: reads.device(name)),
            "models": ("versions.read", False, lambda: reads.versions(limit=ROWS, newest=True)),
            "journal": ("journal.read", False, lambda: self._journal.entries(limit=ROWS)),
        }
        verb, named, draw = known.get(kind, ("", False, reads.status))
        numbered = number.isascii() and number.isdecimal() and len(number) <= 9
        if not verb or named != bool(name) or (kind == "round" and not numbered):
            raise OperatorFault("usage", what=f"the subject is {subject[:64]!r}", why=f"it is one of {SUBJECTS}")
        return kind, verb, draw


async def told_as_events(
    kind: str, first: bytes, views: AsyncIterator[bytes], still: Callable[[], object]
) -> AsyncIterator[bytes]:
    """`first` and `views` as events; a comment where nothing changed for long. `still` raises once nobody may watch."""
    number, asked_s, said = 1, time.monotonic(), first
    yield b"id: 1\nevent: %b\ndata: %b\n\n" % (kind.encode(), first)
    async for view in views:
        if (time.monotonic() - asked_s) * 1000 >= BEAT_MS - 1_000:
            asked_s = time.monotonic()
            try:
                still()
            except PodiumError as fault:
                yield b"event: over\ndata: %b\n\n" % msgspec.json.encode(fault.code)
                return
        if view is said:
            yield b": nothing changed\n\n"
            continue
        number, said = number + 1, view
        yield b"id: %d\nevent: %b\ndata: %b\n\n" % (number, kind.encode(), view)


def event_routes(watching: Watching) -> list[AnyRoute]:
    """The one route."""
    return [
        Route(
            method="GET",
            path="/api/v1/events",
            verb="status.read",
            summary="A view now and whenever it changes, as server-sent events",
            ask=Ask,
            media=MEDIA,
            query=(Parameter(name="subject", what=SUBJECTS),),
            call=watching.events,
            codes=("usage", "viewers-full", "run-unknown", "id-ambiguous", "not-found"),
        )
    ]
