"""Generate deploy/observability/grafana.json, the dashboard of a plane, from a list of rows and panels.

Decides: which panels there are, how they are laid out and what each draws. Never: what a metric means
(src/podium/server/observe/table.py). Grafana's dashboard model, schema version 39: a grid of 24 columns; the data
source is a variable, so the file fits any Grafana. Usage: python -m tools.dashboard
"""

import json
from typing import NamedTuple

from tools.pages import Pages, write

WIDTH = 24
HEIGHT = 8
SMALL = 4
OPEN = 'state=~"RUNNING|PAUSING|PAUSED"'
RATE = "[$__rate_interval]"
SOURCE = {"type": "prometheus", "uid": "${source}"}

Json = dict[str, object]


class Panel(NamedTuple):
    """One panel. `lines`: (query, legend) each; `kind`: timeseries, stat or bargauge; `wide`: columns of 24."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    wide: int = 8
    stacked: bool = False
    about: str = ""


def on(metric: str, *matchers: str) -> str:
    """`metric` of the chosen planes, further narrowed by `matchers`."""
    return metric + "{" + ", ".join(('instance=~"$instance"', *matchers)) + "}"


def per_second(metric: str, by: str = "", *matchers: str) -> str:
    """The rate of a counter, summed by a label."""
    return f"sum by ({by}) (rate({on(metric, *matchers)}{RATE}))" if by else f"sum(rate({on(metric, *matchers)}{RATE}))"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """A quantile of a histogram, by a label."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({on(histogram + '_bucket')}{RATE})))"


def spread(histogram: str) -> tuple[tuple[str, str], ...]:
    """Median, 95th and 99th percentile."""
    return tuple((quantile(share, histogram), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            Panel("Ready", ((on("podium_ready"), "{{instance}}"),), kind="stat", wide=3),
            Panel("Frozen", ((on("podium_frozen"), "{{instance}}"),), kind="stat", wide=3),
            Panel("Devices online", ((on("podium_devices_online"), "{{instance}}"),), kind="stat", wide=3),
            Panel(
                "Runs open",
                ((f"sum({on('podium_runs', OPEN)})", ""),),
                kind="stat",
                wide=3,
            ),
            Panel("Leases live", ((on("podium_leases_live"), "{{instance}}"),), kind="stat", wide=3),
            Panel("Starving for", ((on("podium_run_starving_seconds"), "{{instance}}"),), "s", "stat", 3),
            Panel("Up", ((on("podium_uptime_seconds"), "{{instance}}"),), "s", "stat", 3),
            Panel("Release", ((on("podium_build_info"), "{{version}}"),), kind="stat", wide=3),
        ),
    ),
    (
        "Runs and rounds",
        (
            Panel("Runs by state", ((f"sum by (state) ({on('podium_runs')})", "{{state}}"),), stacked=True),
            Panel(
                "Open rounds by state", ((f"sum by (state) ({on('podium_rounds_open')})", "{{state}}"),), stacked=True
            ),
            Panel(
                "Rounds ended",
                ((f"sum by (state, reason) (increase({on('podium_rounds_total')}{RATE}))", "{{state}} {{reason}}"),),
                stacked=True,
                about="Abandoned rounds say why.",
            ),
            Panel("Round duration", spread("podium_round_duration_seconds"), "s"),
            Panel("Starving", ((on("podium_run_starving_seconds"), "{{instance}}"),), "s"),
            Panel(
                "Session shape drift",
                ((on("podium_session_shape_drift"), "{{instance}}"),),
                about="Above 0.2 the leases of a run end otherwise than they did.",
            ),
            Panel("Aggregation, p95", ((quantile(0.95, "podium_aggregation_seconds", "job"), "{{job}}"),), "s"),
        ),
    ),
    (
        "Devices",
        (
            Panel(
                "Devices",
                (
                    (f"sum by (state) ({on('podium_devices')})", "{{state}}"),
                    (f"sum({on('podium_devices_online')})", "online"),
                ),
            ),
            Panel(
                "Check-ins by what they got",
                ((per_second("podium_checkins_total", "reason"), "{{reason}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Claims that contradict what was measured",
                ((per_second("podium_claims_contradicted_total", "fact"), "{{fact}}"),),
                "ops",
            ),
            Panel(
                "Leases by the state they entered", ((per_second("podium_leases_total", "state"), "{{state}}"),), "ops"
            ),
            Panel(
                "Updates judged",
                ((per_second("podium_updates_judged_total", "code"), "{{code}}"),),
                "ops",
                stacked=True,
            ),
            Panel(
                "Refusals to devices",
                ((per_second("podium_refusals_total", "code", 'side="device"'), "{{code}}"),),
                "reqps",
            ),
            Panel("Bytes moved", ((per_second("podium_transfer_bytes_total", "direction"), "{{direction}}"),), "Bps"),
        ),
    ),
    (
        "Requests",
        (
            Panel(
                "Requests by route",
                ((per_second("podium_request_duration_seconds_count", "route"), "{{route}}"),),
                "reqps",
            ),
            Panel(
                "Latency by route, p95",
                ((quantile(0.95, "podium_request_duration_seconds", "route"), "{{route}}"),),
                "s",
            ),
            Panel(
                "Requests by status",
                ((per_second("podium_request_duration_seconds_count", "status"), "{{status}}"),),
                "reqps",
                stacked=True,
            ),
            Panel("Requests waiting", ((on("podium_requests_waiting"), "{{instance}}"),)),
            Panel(
                "Refusals to people",
                ((per_second("podium_refusals_total", "code", 'side="operator"'), "{{code}}"),),
                "reqps",
            ),
        ),
    ),
    (
        "Store and journal",
        (
            Panel("Commit time", spread("podium_commit_seconds"), "s"),
            Panel("Steps per commit", spread("podium_commit_batch_steps")),
            Panel("Steps ahead of the store", ((on("podium_steps_ahead"), "{{instance}}"),)),
            Panel("Journal entries", ((on("podium_journal_entries"), "{{instance}}"),)),
            Panel("Journal entries without a place", ((on("podium_journal_pending"), "{{instance}}"),)),
            Panel(
                "Store failures and reloads",
                (
                    (f"sum by (code) (increase({on('podium_store_failures_total')}{RATE}))", "{{code}}"),
                    (f"sum(increase({on('podium_reloads_total')}{RATE}))", "reloads"),
                ),
            ),
            Panel(
                "Disk free",
                ((f"{on('podium_disk_free_bytes')} / {on('podium_disk_size_bytes')}", "{{instance}}"),),
                "percentunit",
            ),
            Panel("Key ages", ((on("podium_key_age_seconds"), "{{key}}"),), "s"),
        ),
    ),
)


def dashboard() -> str:
    """The dashboard as JSON."""
    panels: list[Json] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            _placed(len(panels), {"type": "row", "title": title, "collapsed": False, "panels": []}, 0, top, WIDTH, 1)
        )
        left, top = 0, top + 1
        height = SMALL if row[0].kind == "stat" else HEIGHT
        for panel in row:
            if left + panel.wide > WIDTH:
                left, top = 0, top + height
            panels.append(_placed(len(panels), _drawn(panel), left, top, panel.wide, height))
            left += panel.wide
        top += height
    return json.dumps(_whole(panels), indent=2) + "\n"


def _placed(number: int, panel: Json, left: int, top: int, width: int, height: int) -> Json:
    return {"id": number + 1, **panel, "gridPos": {"x": left, "y": top, "w": width, "h": height}}


def _drawn(panel: Panel) -> Json:
    instant = panel.kind == "stat"
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
        }
        for place, (query, legend) in enumerate(panel.lines)
    ]
    custom = {"stacking": {"mode": "normal" if panel.stacked else "none"}, "fillOpacity": 20 if panel.stacked else 5}
    defaults: Json = {"unit": panel.unit, "min": 0, "custom": {} if instant else custom}
    options: Json = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if instant:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name", "colorMode": "none"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _whole(panels: list[Json]) -> Json:
    return {
        "uid": "podium",
        "title": "Podium",
        "description": "A federated learning plane: runs, devices, requests, store.",
        "tags": ["podium"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "label": "Plane",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(podium_ready, instance)", "refId": "instance"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                },
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def pages() -> Pages:
    """The one file."""
    return {"deploy/observability/grafana.json": dashboard()}


if __name__ == "__main__":
    write(pages())
