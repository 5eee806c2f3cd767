"""The reading rows of the operator API's table.

Decides: nothing but what is served where, and how a file or a stream of views is sent. Never: what is in them.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import IO

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from podium.ports.plane import DevicesWanted, EntriesWanted
from podium.server.operators.journal_reads import JournalReads
from podium.server.operators.reads import Moment, Reads
from podium.server.operators.route_table import AnyRoute, Call, Parameter, Route
from podium.wire import operator
from podium.wire.asks import Ask

EXPORT_PIECE_BYTES = 256 * 1024
OCTETS = "application/octet-stream"
AFTER = Parameter(name="after", what="the cursor that the page before gave as `next`")
LIMIT = Parameter(name="limit", kind="count", what="how many at most; 0: as many as a page holds")
_RUN = ("run-unknown", "id-ambiguous")
_DEVICE = ("not-found", "id-ambiguous")
_VERSION = ("version-unknown", "id-ambiguous")


def read_routes(reads: Reads, journal: JournalReads) -> list[AnyRoute]:
    """Every reading route but those that other rooms add."""
    told = (_plane, _runs, _rounds, _fleet, _models, _aliases, _services)
    return [*(route for rows in told for route in rows(reads)), *_journal(journal)]


def _plane(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/whoami",
            verb="whoami.read",
            summary="Whom the credential proves, and what it may do",
            ask=Ask,
            answer=operator.WhoAmI,
            call=lambda call: reads.who_am_i(call.who.actor, call.who.verbs),
        ),
        Route(
            method="GET",
            path="/api/v1/status",
            verb="status.read",
            summary="The plane in one look",
            ask=Ask,
            answer=operator.StatusView,
            watched=True,
            call=lambda call: reads.status(),
        ),
    ]


def _journal(journal: JournalReads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/audit/entries",
            verb="journal.read",
            summary="The journal's entries, newest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.EntryView,
            query=(
                Parameter(name="kind", what="only entries of this kind, such as lease-granted"),
                Parameter(name="subject", what="only entries about this: the id of a run, round, lease or device"),
                Parameter(name="actor", what="only what this one caused: person:NAME, service:NAME, device:ID, plane"),
                AFTER,
                LIMIT,
            ),
            watched=True,
            call=lambda call: journal.entries(
                EntriesWanted(kind=call.text("kind"), subject=call.text("subject"), actor=call.text("actor")),
                call.text("after"),
                call.count("limit"),
            ),
            codes=("usage",),
        ),
        Route(
            method="GET",
            path="/api/v1/audit/verify",
            verb="journal.read",
            summary="Whether every entry, signed head and current row fits, as the plane itself finds",
            ask=Ask,
            answer=operator.VerifyView,
            call=lambda call: journal.verify(),
        ),
        Route(
            method="GET",
            path="/api/v1/audit/export",
            verb="journal.read",
            summary="The whole journal as JSON Lines, for podium audit verify",
            ask=Ask,
            media="application/jsonl",
            call=lambda call: _file(journal),
        ),
    ]


def _runs(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/runs",
            verb="runs.read",
            summary="Runs, newest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.RunView,
            query=(
                Parameter(name="state", what="only runs in this state, such as RUNNING"),
                Parameter(name="task", what="only runs of the task of this name"),
                AFTER,
                LIMIT,
            ),
            watched=True,
            call=lambda call: reads.runs(
                call.text("after"), call.count("limit"), call.text("state"), call.text("task")
            ),
            codes=("usage",),
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}",
            verb="runs.read",
            summary="One run: by id, unique prefix, task name, or @last",
            ask=Ask,
            answer=operator.RunView,
            watched=True,
            call=lambda call: reads.run(call.id),
            codes=_RUN,
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}/task",
            verb="runs.read",
            summary="The canonical bytes of a run's task, whose SHA-256 is its digest",
            ask=Ask,
            call=lambda call: reads.task(call.id),
            codes=_RUN,
        ),
    ]


def _rounds(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/runs/{id}/rounds",
            verb="runs.read",
            summary="A run's rounds, newest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.RoundView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.rounds(call.id, call.text("after"), call.count("limit")),
            codes=("usage", *_RUN),
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}/rounds/{number}",
            verb="runs.read",
            summary="One round of a run",
            ask=Ask,
            answer=operator.RoundView,
            watched=True,
            call=lambda call: reads.round(call.id, call.number),
            codes=("not-found", *_RUN),
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}/rounds/{number}/leases",
            verb="runs.read",
            summary="A round's leases, in the order in which they were granted",
            ask=Ask,
            answer=operator.Page,
            items=operator.LeaseView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.round_leases(call.id, call.number, call.text("after"), call.count("limit")),
            codes=("usage", "not-found", *_RUN),
        ),
    ]


def _fleet(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/devices",
            verb="devices.read",
            summary="Devices, in order of enrolment; by name where the beginning of one is given",
            ask=Ask,
            answer=operator.Page,
            items=operator.DeviceView,
            query=(
                Parameter(name="state", what="only active, cordoned or banned ones"),
                Parameter(name="online", kind="flag", what="only those heard lately, or only the others"),
                Parameter(name="lease", what="any: at work; none: not at work; or the lease's state, OFFERED or HELD"),
                Parameter(name="site", what="only those of this site"),
                Parameter(name="name", what="only those whose name begins so"),
                Parameter(name="label", what="only those with all of these labels, NAME=VALUE,NAME=VALUE"),
                AFTER,
                LIMIT,
            ),
            watched=True,
            call=lambda call: reads.devices(*_wanted(call), call.text("after"), call.count("limit")),
            codes=("usage",),
        ),
        Route(
            method="GET",
            path="/api/v1/devices/{id}",
            verb="devices.read",
            summary="One device with its facts and last leases: by id, unique prefix, or name",
            ask=Ask,
            answer=operator.DeviceDetail,
            watched=True,
            call=lambda call: reads.device(call.id),
            codes=_DEVICE,
        ),
        Route(
            method="GET",
            path="/api/v1/devices/{id}/leases",
            verb="devices.read",
            summary="A device's leases, newest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.LeaseView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.device_leases(call.id, call.text("after"), call.count("limit")),
            codes=("usage", *_DEVICE),
        ),
    ]


def _wanted(call: Call[Ask]) -> tuple[DevicesWanted, Moment]:
    labels = tuple(label for label in call.text("label").split(",") if label)
    return (
        DevicesWanted(state=call.text("state"), site=call.text("site"), name=call.text("name"), labels=labels),
        Moment(online=call.text("online"), lease=call.text("lease")),
    )


def _aliases(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/aliases",
            verb="versions.read",
            summary="Every alias and where it points, by name",
            ask=Ask,
            answer=operator.Page,
            items=operator.AliasView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.aliases(call.text("after"), call.count("limit")),
        ),
        Route(
            method="GET",
            path="/api/v1/aliases/{id}/moves",
            verb="versions.read",
            summary="Every move of an alias by somebody, newest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.AliasMoveView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.moves(call.id, call.text("after"), call.count("limit")),
            codes=("usage", "not-found"),
        ),
    ]


def _services(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/services",
            verb="services.read",
            summary="Services' credentials without their secrets, by id",
            ask=Ask,
            answer=operator.Page,
            items=operator.ServiceView,
            query=(AFTER, LIMIT),
            watched=True,
            call=lambda call: reads.services(call.text("after"), call.count("limit")),
        ),
    ]


def _models(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/versions",
            verb="versions.read",
            summary="Model versions, oldest first unless newest is true",
            ask=Ask,
            answer=operator.Page,
            items=operator.VersionView,
            query=(
                Parameter(name="run", what="those that one run began with or made, also if another made them first"),
                Parameter(name="task", what="those of all runs of the task of that name"),
                Parameter(name="newest", kind="flag", what="newest first"),
                AFTER,
                LIMIT,
            ),
            watched=True,
            call=lambda call: reads.versions(
                call.text("run"), call.text("task"), call.text("after"), call.count("limit"), call.flag("newest")
            ),
            codes=("usage", *_RUN),
        ),
        Route(
            method="GET",
            path="/api/v1/versions/{id}",
            verb="versions.read",
            summary="One version: by digest, unique prefix, number (v3), alias, or @last",
            ask=Ask,
            answer=operator.VersionView,
            watched=True,
            call=lambda call: reads.version(call.id),
            codes=_VERSION,
        ),
        Route(
            method="GET",
            path="/api/v1/versions/{id}/blob",
            verb="versions.read",
            summary="A version's safetensors bytes",
            ask=Ask,
            media=OCTETS,
            call=lambda call: _blob(reads, call.id),
            codes=(*_VERSION, "not-found"),
        ),
        Route(
            method="GET",
            path="/api/v1/versions/{id}/statement",
            verb="versions.read",
            summary="A version's signed provenance, a DSSE envelope",
            ask=Ask,
            call=lambda call: reads.version_statement(call.id),
            codes=(*_VERSION, "not-found"),
        ),
    ]


async def _blob(reads: Reads, version: str) -> Response:
    """A version in pieces; what is known to be wrong of the first is a problem, of a later one a connection that ends.

    A reader who takes nothing for long is cut off (server/prompt.py).
    """
    size, pieces = await reads.version_blob(version)
    first = await anext(pieces)
    return StreamingResponse(_after(first, pieces), media_type=OCTETS, headers={"content-length": str(size)})


async def _after(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _file(journal: JournalReads) -> Response:
    file: IO[bytes] = await journal.export()
    pieces = iter(partial(file.read, EXPORT_PIECE_BYTES), b"")
    return StreamingResponse(pieces, media_type="application/jsonl", background=BackgroundTask(file.close))
