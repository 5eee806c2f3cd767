"""The OpenAPI 3.1 document of the operator API, generated from its one table: nothing is described twice.

Decides: how a row is described: its verb, its structs, every status and problem code it may answer. Never: what a row
does. Problems are RFC 9457 details; each response's schema names the codes that its status may carry.
Source: OpenAPI Specification 3.1.0; JSON Schema 2020-12; msgspec's schema_components.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import msgspec

from podium.core.access.roles import EVERY
from podium.server.operators.marking import MARKS
from podium.server.operators.operator_routes import IDEMPOTENCY_CHARS_MAX, IDEMPOTENCY_KEY
from podium.server.operators.route_table import COUNT_MAX, EVENTS, JSON, QUERY_CHARS_MAX, AnyRoute, Parameter, Route
from podium.server.release import VERSION
from podium.wire.asks import Ask
from podium.wire.problems import KINDS, Problem

PROBLEM = "application/problem+json"
REF = "#/components/schemas/{name}"
EVERY_ROUTE = (
    "credential-missing",
    "credential-invalid",
    "verb-denied",
    "usage",
    "overloaded",
    "store-full",
    "store-failed",
    "store-unknown",
)
"""What any route may answer: who asks, an unknown query parameter, a full plane, a store that fails."""
WITH_BODY = ("body-malformed", "body-too-large")
REPEATS = (
    "Starting a run takes an `Idempotency-Key`: the same key of the same caller answers the same run, whatever was "
    "lost on the way, and is refused (conflicting-repeat) with another task or model. Every other change refuses the "
    "header (usage). It is idempotent by state: asked again, it changes nothing; but for issuing tokens and service "
    "credentials, which makes another one, and a rollback that names neither `version` nor `counter`. Lists are paged: "
    "`next` is the cursor of the following page, empty at the end."
)
WATCHES = (
    "A read whose answers name `text/event-stream` can be watched: with `Accept: text/event-stream` it is told at once "
    "and whenever it changes, as server-sent events. Each event `view` carries what the same request answers as JSON, "
    "whole: state, not events. So the first one is the snapshot, whoever was away asks again and has lost nothing that "
    "still holds, and there are no event ids to resume from. A comment comes every `beat_ms` (5 s) in which nothing "
    "changed; a reader who hears nothing for `quiet_ms` (15 s) asks again. Changes closer than `live_ms` (250 ms) are "
    "one event, and a slow reader gets the newest; one who takes nothing for `body_ms` (30 s) is cut off. The event "
    "`over` ends the stream of a credential that was revoked or is over, within a second or so; its data is the "
    "problem's code. At most `viewers_max` (500) watch one plane (`viewers-full`)."
)
DATA = "x-podium-event-data"
"""What JSON Schema cannot say of a text/event-stream: the schema of the data of its `view` events."""
_KINDS: dict[str, dict[str, object]] = {
    "text": {"type": "string", "maxLength": QUERY_CHARS_MAX},
    "count": {"type": "integer", "minimum": 0, "maximum": COUNT_MAX},
    "flag": {"type": "string", "enum": ["true", "false"]},
}


def openapi_route(table: Sequence[AnyRoute]) -> AnyRoute:
    """The route that serves the document of `table` as it stands when it is first asked for."""

    @cache
    def made() -> bytes:
        return msgspec.json.encode(document(table))

    async def answer() -> bytes:
        return made()

    return Route(
        method="GET",
        path="/api/v1/openapi.json",
        verb="whoami.read",
        summary="This document",
        ask=Ask,
        call=lambda call: answer(),
    )


def document(table: Sequence[AnyRoute]) -> dict[str, object]:
    """The document of `table`, ready to be encoded."""
    schemas, components = _schemas(table)
    paths: defaultdict[str, dict[str, object]] = defaultdict(dict)
    for row in table:
        paths[row.path][row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Podium operator API", "version": VERSION, "description": f"{REPEATS}\n\n{WATCHES}"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def problem_codes(row: AnyRoute) -> list[str]:
    """Every problem code that `row` may answer, each once."""
    body = () if row.method == "GET" else WITH_BODY
    watched = ("viewers-full",) if row.watched else ()
    return list(dict.fromkeys((*EVERY_ROUTE, *body, *watched, *row.codes)))


def _schemas(table: Sequence[AnyRoute]) -> tuple[dict[type, dict[str, object]], dict[str, object]]:
    """The schema of each struct that the table names, and the components they refer to."""
    asks = {row.ask for row in table}
    views = {kind for row in table for kind in (row.answer, row.items) if kind is not None} | {Problem}
    kinds = sorted(asks | views, key=lambda kind: kind.__name__)
    made, components = msgspec.json.schema_components(kinds, ref_template=REF)
    asked = {kind.__name__ for kind in asks}
    for name, schema in components.items():
        if name not in asked:  # an answer always says all of its fields
            schema["required"] = list(schema.get("properties", ()))
    components["MarkAsk"]["properties"]["mark"] = {"type": "string", "enum": sorted(MARKS)}
    verbs = {"type": "string", "enum": sorted(EVERY)}
    components["ServiceAsk"]["properties"]["verbs"] = {"type": "array", "items": verbs, "minItems": 1}
    return dict(zip(kinds, made, strict=True)), components


def _operation(row: AnyRoute, schemas: dict[type, dict[str, object]]) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": _name(row),
        "summary": row.summary,
        "tags": [row.path.split("/")[3].removesuffix(".json")],
        "x-podium-verb": row.verb,
        "parameters": [*_path_parameters(row), *(_query_parameter(each) for each in row.query), *_key(row)],
        "responses": {str(row.status): _answer(row, schemas), **_problems(row)},
    }
    if row.method != "GET":
        body = {"required": _required(row.ask), "content": {JSON: {"schema": schemas[row.ask]}}}
        operation["requestBody"] = body
    return operation


def _required(ask: type[Ask]) -> bool:
    return any(field.required for field in msgspec.structs.fields(ask))


def _name(row: AnyRoute) -> str:
    parts = [part.strip("{}") for part in row.path.removeprefix("/api/v1/").split("/")]
    return re.sub(r"\W", "_", "_".join([row.method.lower(), *parts]))


def _path_parameters(row: AnyRoute) -> list[dict[str, object]]:
    number: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": COUNT_MAX}
    text: dict[str, object] = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "schema": number if name == "number" else text}
        for name in re.findall(r"\{(\w+)\}", row.path)
    ]


def _query_parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": parameter.what,
        "schema": _KINDS[parameter.kind],
    }


def _key(row: AnyRoute) -> list[dict[str, object]]:
    if not row.keyed:
        return []
    schema: dict[str, object] = {"type": "string", "maxLength": IDEMPOTENCY_CHARS_MAX, "pattern": "^[ -~]*$"}
    what = "the same key again answers the same run"
    return [{"name": IDEMPOTENCY_KEY, "in": "header", "required": False, "description": what, "schema": schema}]


def _answer(row: AnyRoute, schemas: dict[type, dict[str, object]]) -> dict[str, object]:
    if row.answer is None:
        schema: dict[str, object] = {} if row.media == JSON else {"type": "string"}
        return {"description": row.summary, "content": {row.media: {"schema": schema}}}
    schema = schemas[row.answer]
    if row.items is not None:
        items = {"properties": {"items": {"type": "array", "items": schemas[row.items]}}}
        schema = {"allOf": [schema, items]}
    content: dict[str, object] = {JSON: {"schema": schema}}
    if row.watched:
        content[EVENTS] = {"schema": {"type": "string"}, DATA: schema}
    return {"description": row.summary, "content": content}


def _problems(row: AnyRoute) -> dict[str, object]:
    by_status: defaultdict[str, list[str]] = defaultdict(list)
    for code in problem_codes(row):
        by_status[str(KINDS[code].status)].append(code)
    return {
        status: {
            "description": "; ".join(f"{code}: {KINDS[code].title}" for code in codes),
            "content": {
                PROBLEM: {
                    "schema": {
                        "allOf": [
                            {"$ref": REF.format(name=Problem.__name__)},
                            {"properties": {"code": {"enum": codes}}},
                        ]
                    }
                }
            },
        }
        for status, codes in sorted(by_status.items())
    }
