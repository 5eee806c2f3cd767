"""Generate docs/reference/metrics.md and docs/reference/log.md from the tables of server/observe and server/logs.

Decides: how they are laid out. Never: what they say. Usage: python -m tools.metrics_page
"""

from podium.server.logs import FIELDS, LINES
from podium.server.observe.table import METRICS, OTHER, Metric, samples
from tools.pages import Pages, table, write

SHOWN_MAX = 16
"""A closed set of more values is told by its size."""


def metrics() -> str:
    """The page of metrics."""
    head = (
        "<!-- generated from src/podium/server/observe/table.py by `make docs`; do not edit -->\n# Metrics\n\n"
        "`GET /metrics` in Prometheus' text format. Nothing is exported that is not in this table, and nothing in it "
        "is never exported. No label names a device, a run, a round or a person, so a plane of a million devices has "
        f"as many series as one of three. A value outside a closed set is counted as `{OTHER}`.\n\n"
        "On a plane that listens on loopback alone, anybody on that machine may scrape. A plane that listens beyond "
        "it wants `Authorization: Bearer` with the credential of a viewer (`DATA/viewer.token`) or of a service. "
        "How to collect them, the alert rules and the dashboard: [Watch a plane](../how-to/observability.md).\n\n"
    )
    rows = [(f"`{each.name}`", each.kind, each.unit, _labels(each), each.meaning) for each in METRICS]
    parts = [head, table(("metric", "type", "unit", "labels", "meaning"), rows), "\n## Label values\n\n"]
    values = [
        (f"`{each.name}`", f"`{label}`", "the release" if label == "version" else _values(told))
        for each in METRICS
        for label, told in each.labels.items()
    ]
    parts.append(table(("metric", "label", "values"), values))
    parts.append("\n## Histogram buckets\n\n")
    bounds = [
        (f"`{each.name}`", f"`{samples(each)[0]}`", ", ".join(f"{bound:g}" for bound in each.buckets))
        for each in METRICS
        if each.buckets
    ]
    return "".join([*parts, table(("metric", "series", "upper bounds"), bounds)])


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels)


def _values(told: tuple[str, ...]) -> str:
    if len(told) > SHOWN_MAX + 8:
        return f"the {len(told) - 1} codes of [Problem codes](errors.md), `{OTHER}`"
    return ", ".join(f"`{value}`" for value in told)


def log() -> str:
    """The page of log lines."""
    head = (
        "<!-- generated from src/podium/server/logs.py by `make docs`; do not edit -->\n# Log\n\n"
        "`podium serve` writes one JSON object a line to `DATA/plane.log`. Every line has `at` (UTC), `level`, "
        "`logger` and `message`; a line that is about something has the ids of it. `cause` is the number of the step "
        "of the journal: all that one event led to has the same one. `request` is the id of the operator request "
        "during which the line was written; its answer carries it as `Podium-Request`. No line holds a credential, a "
        "key or what an update or a report says.\n\n"
    )
    lines = [(f"`{logger}`", message, level, ids) for logger, message, level, ids in LINES]
    fields = [(f"`{name}`", meaning) for name, meaning in FIELDS.items()]
    return "".join(
        [
            head,
            table(("logger", "message", "level", "with"), lines),
            "\n## Fields\n\n",
            table(("field", "what"), fields),
        ]
    )


def pages() -> Pages:
    """Both pages."""
    return {"docs/reference/metrics.md": metrics(), "docs/reference/log.md": log()}


if __name__ == "__main__":
    write(pages())
