"""Generate docs/reference/api.md from the operator API's own table.

Decides: how it is laid out. Never: what it says. Usage: python -m tools.api_page
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from podium.server.operators.openapi import EVERY_ROUTE, REPEATS, WATCHES, WITH_BODY
from podium.server.operators.route_table import AnyRoute
from podium.server.plane import Plane, open_parts
from podium.wire.limits import Limits
from tools.pages import Pages, table, write

HEAD = f"""<!-- generated from src/podium/server/operators by `make docs`; do not edit -->
# Operator API

Everything that `podium` and the console do, they do by these routes. `GET /api/v1/openapi.json` is the same as an
OpenAPI 3.1 document of the very plane that answers, with every field of every struct.

**Who asks.** `Authorization: Bearer CREDENTIAL`: the administrator's or the viewer's file of the data directory, or a
service's (`podium auth issue`). Each route has one verb; a credential that does not cover it is refused (`verb-denied`)
and the attempt is recorded.

**Answers** are JSON; what is refused is RFC 9457 `application/problem+json` with a code of [Problem codes](errors.md).
Any route may answer {", ".join(f"`{code}`" for code in EVERY_ROUTE)};
one with a body also {" and ".join(f"`{code}`" for code in WITH_BODY)}.
A path that is not served is `not-found`, a method `method-not-allowed`. Unknown fields and unknown query parameters are
refused. Times are durations in milliseconds.

**Repeats.** {REPEATS}

**Watching.** {WATCHES}
"""


def table_of_routes() -> list[AnyRoute]:
    """The table of a plane over an empty directory, in the order of its paths."""
    with tempfile.TemporaryDirectory() as folder:
        parts = open_parts(Path(folder) / "data", Limits())
        try:
            return sorted(Plane(parts, Path(folder) / "data").surface.table, key=lambda row: (row.path, row.method))
        finally:
            parts.store.close()


def page(rows: Sequence[AnyRoute]) -> str:
    """The page of these rows."""
    known = [(f"`{row.method}`", f"`{row.path}`", f"`{row.verb}`", row.summary) for row in rows]
    parts = [HEAD, "\n## Routes\n\n", table(("method", "path", "verb", "what"), known), "\n## Each route\n"]
    return "".join([*parts, *(_route(row) for row in rows)])


def _route(row: AnyRoute) -> str:
    answer = row.answer.__name__ if row.answer else row.media
    if row.items:
        answer = f"{answer}` of `{row.items.__name__}"
    lines = [f"\n### {row.method} {row.path}\n\n{row.summary}. Answers {row.status} `{answer}`; verb `{row.verb}`."]
    if row.watched:
        lines.append(" Can be watched.")
    if row.keyed:
        lines.append(" Takes an `Idempotency-Key`.")
    if row.codes:
        lines.append(f" Refused with {', '.join(f'`{code}`' for code in dict.fromkeys(row.codes))}.")
    lines.append("\n")
    if row.query:
        asked = [(f"`{each.name}`", each.kind, each.what) for each in row.query]
        lines.append("\n" + table(("query", "", "what"), asked))
    if fields := msgspec.structs.fields(row.ask):
        told = [(f"`{each.name}`", "needed" if each.required else _default(each.default)) for each in fields]
        lines.append("\n" + table((f"body `{row.ask.__name__}`", "default"), told))
    return "".join(lines)


def _default(value: object) -> str:
    return "none" if value is msgspec.NODEFAULT else f"`{msgspec.json.encode(value).decode()}`"


def pages() -> Pages:
    """The generated page by its path."""
    return {"docs/reference/api.md": page(table_of_routes())}


if __name__ == "__main__":
    write(pages())
