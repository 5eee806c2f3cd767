"""The reading rows of the operator API's table.

Decides: nothing but what is served where, and how a file or a stream of views is sent. Never: what is in them.
"""

from functools import partial
from typing import IO

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from podium.server.operators.reads import Reads
from podium.server.operators.route_table import AnyRoute, Parameter, Route
from podium.wire import operator
from podium.wire.asks import Ask

EXPORT_PIECE_BYTES = 256 * 1024
AFTER = Parameter(name="after", what="the cursor that the page before gave as `next`")
LIMIT = Parameter(name="limit", kind="count", what="how many at most; 0: as many as a page holds")
_RUN = ("run-unknown", "id-ambiguous")
_VERSION = ("version-unknown", "id-ambiguous")


def read_routes(reads: Reads) -> list[AnyRoute]:
    """Every reading route but those that other rooms add."""
    return [*_plane(reads), *_runs(reads), *_fleet(reads), *_models(reads)]


def _plane(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/whoami",
            verb="whoami.read",
            summary="Whom the credential proves, and what it may do",
            ask=Ask,
            answer=operator.WhoAmI,
            call=lambda call: reads.who_am_i(call.actor, call.verbs),
        ),
        Route(
            method="GET",
            path="/api/v1/status",
            verb="status.read",
            summary="The plane in one look",
            ask=Ask,
            answer=operator.StatusView,
            call=lambda call: reads.status(),
        ),
        Route(
            method="GET",
            path="/api/v1/audit/export",
            verb="journal.read",
            summary="The whole journal as JSON Lines, for podium audit verify",
            ask=Ask,
            media="application/jsonl",
            call=lambda call: _file(reads),
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
            query=(AFTER, LIMIT),
            call=lambda call: reads.runs(call.text("after"), call.count("limit")),
            codes=("usage",),
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}",
            verb="runs.read",
            summary="One run: by id, unique prefix, task name, or @last",
            ask=Ask,
            answer=operator.RunView,
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


def _fleet(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/devices",
            verb="devices.read",
            summary="Devices, in order of enrolment",
            ask=Ask,
            answer=operator.Page,
            items=operator.DeviceView,
            query=(AFTER, LIMIT),
            call=lambda call: reads.devices(call.text("after"), call.count("limit")),
            codes=("usage",),
        ),
    ]


def _models(reads: Reads) -> list[AnyRoute]:
    return [
        Route(
            method="GET",
            path="/api/v1/versions",
            verb="versions.read",
            summary="Model versions, oldest first",
            ask=Ask,
            answer=operator.Page,
            items=operator.VersionView,
            query=(Parameter(name="run", what="one run's versions, its first included"), AFTER, LIMIT),
            call=lambda call: reads.versions(call.text("run"), call.text("after"), call.count("limit")),
            codes=("usage", *_RUN),
        ),
        Route(
            method="GET",
            path="/api/v1/versions/{id}",
            verb="versions.read",
            summary="One version: by digest, unique prefix, number (v3), alias, or @last",
            ask=Ask,
            answer=operator.VersionView,
            call=lambda call: reads.version(call.id),
            codes=_VERSION,
        ),
        Route(
            method="GET",
            path="/api/v1/versions/{id}/blob",
            verb="versions.read",
            summary="A version's safetensors bytes",
            ask=Ask,
            media="application/octet-stream",
            call=lambda call: reads.version_blob(call.id),
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


async def _file(reads: Reads) -> Response:
    file: IO[bytes] = await reads.export()
    pieces = iter(partial(file.read, EXPORT_PIECE_BYTES), b"")
    return StreamingResponse(pieces, media_type="application/jsonl", background=BackgroundTask(file.close))
