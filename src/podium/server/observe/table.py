"""The one table of metrics: the registry, docs/reference/metrics.md, the alert rules' check and the tests read it.

Decides: names, kinds, labels with their closed value sets, buckets. Never: values. No label names a device, a run, a
round or a person, so the number of series is bounded by this file. A value outside its set is counted as `other`.
Source: Prometheus' naming practices (base units, `_total` for counters).
"""

from typing import Literal

import msgspec

from podium.core.fleet.claims import CLAIMS
from podium.core.rounds.table import LEASE_STATES, ROUND_OPEN, RUN_STATES
from podium.core.selection.reasons import REASONS
from podium.server.release import VERSION
from podium.wire.problems import KINDS

Kind = Literal["counter", "gauge", "histogram"]
OTHER = "other"
"""Where a value is counted that its closed set does not name: a test proves that a real plane never needs it."""

DEVICE_ROUTES = (
    "/v1/root",
    "/v1/enrol",
    "/v1/session/challenge",
    "/v1/session",
    "/v1/checkin",
    "/v1/leases/*/accept",
    "/v1/leases/*/decline",
    "/v1/leases/*/progress",
    "/v1/leases/*/fail",
    "/v1/leases/*/upload",
    "/v1/leases/*/report",
    "/v1/blobs/*",
)
PEOPLE_ROUTES = ("api", "console", "probe")
STATUSES = ("2xx", "3xx", "4xx", "5xx")
ROUND_REASONS = (
    "none",
    "cohort-short",
    "below-minimum",
    "run-finished",
    "run-stopped",
    "run-timed-out",
    "run-abandoned",
    "key-erased",
    "base-lost",
    "update-lost",
    "weight-zero",
    "not-finite",
)
VERDICTS = (
    "ok",
    "unseal-failed",
    "schema-mismatch",
    "not-finite",
    "value-bound",
    "norm-bound",
    "weight-bound",
    "digest-mismatch",
    "size-mismatch",
    "update-too-large",
    "base-mismatch",
    "lease-unknown",
    "body-malformed",
    "metric-invalid",
)
CODES = (*KINDS, OTHER)

REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
ROUND_S = (1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
WORK_S = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0)
BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


class Metric(msgspec.Struct, frozen=True):
    """One metric family. `labels`: label -> its closed value set; `buckets`: a histogram's upper bounds, in `unit`."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: dict[str, tuple[str, ...]] = {}
    buckets: tuple[float, ...] = ()


METRICS: tuple[Metric, ...] = (
    # what is asked
    Metric(
        "podium_request_duration_seconds",
        "histogram",
        "seconds",
        "From a request's arrival to the beginning of its answer; people's routes are three groups",
        {"route": (*DEVICE_ROUTES, *PEOPLE_ROUTES, OTHER), "status": STATUSES},
        REQUEST_S,
    ),
    Metric(
        "podium_refusals_total",
        "counter",
        "refusals",
        "Requests answered with a problem, by who asked and the problem's code",
        {"side": ("device", "operator"), "code": CODES},
    ),
    Metric("podium_requests_waiting", "gauge", "requests", "Requests that wait for the core's decision"),
    Metric(
        "podium_transfer_bytes_total",
        "counter",
        "bytes",
        "Bytes of blobs handed to devices (down) and of upload chunks taken from them (up), repeats included",
        {"direction": ("down", "up")},
    ),
    # devices
    Metric(
        "podium_checkins_total",
        "counter",
        "check-ins",
        "Check-ins decided, by what the device got or why it got nothing",
        {"reason": REASONS},
    ),
    Metric(
        "podium_claims_contradicted_total",
        "counter",
        "claims",
        "Claims of bandwidth or latency that contradict what the plane measured of the device, and were held to it",
        {"fact": CLAIMS},
    ),
    Metric(
        "podium_devices", "gauge", "devices", "Enrolled devices by state", {"state": ("active", "cordoned", "banned")}
    ),
    Metric("podium_devices_online", "gauge", "devices", "Devices heard within the last 30 s"),
    # leases and updates
    Metric(
        "podium_leases_total",
        "counter",
        "leases",
        "Leases that entered a state: OFFERED are those granted, REPORTED the reports stored, the others ends",
        {"state": LEASE_STATES},
    ),
    Metric("podium_leases_live", "gauge", "leases", "Leases offered or held now"),
    Metric(
        "podium_updates_judged_total",
        "counter",
        "updates",
        "Stored updates that were opened and checked: ok, or the code they were refused for",
        {"code": (*VERDICTS, OTHER)},
    ),
    # rounds and runs
    Metric(
        "podium_rounds_total",
        "counter",
        "rounds",
        "Rounds that ended, and why they were abandoned",
        {"state": ("SEALED", "ABANDONED"), "reason": (*ROUND_REASONS, OTHER)},
    ),
    Metric(
        "podium_round_duration_seconds",
        "histogram",
        "seconds",
        "From a round's opening to its end",
        {"state": ("SEALED", "ABANDONED")},
        ROUND_S,
    ),
    Metric("podium_rounds_open", "gauge", "rounds", "Open rounds by state", {"state": ROUND_OPEN}),
    Metric("podium_runs", "gauge", "runs", "Runs by state", {"state": RUN_STATES}),
    Metric(
        "podium_run_starving_seconds",
        "gauge",
        "seconds",
        "How long the running run that waits longest has been without enough devices; 0 if none waits",
    ),
    Metric(
        "podium_session_shape_drift",
        "gauge",
        "index",
        "Largest stability index of a run's session shapes, of runs not over: above 0.2 they have drifted; 0 if none",
    ),
    Metric("podium_frozen", "gauge", "0 or 1", "1 while the plane is frozen: it grants no lease"),
    # aggregation
    Metric(
        "podium_aggregation_seconds",
        "histogram",
        "seconds",
        "Time of the aggregation role's work: judging one update, finishing one version",
        {"job": ("judge", "finish")},
        WORK_S,
    ),
    # the store
    Metric("podium_commit_seconds", "histogram", "seconds", "Time of one commit", {}, COMMIT_S),
    Metric("podium_commit_batch_steps", "histogram", "steps", "Steps that shared one commit", {}, BATCH),
    Metric("podium_steps_ahead", "gauge", "steps", "Steps of the core that are not durable yet"),
    Metric("podium_journal_entries", "gauge", "entries", "Durable entries of the journal, all trees"),
    Metric(
        "podium_journal_pending",
        "gauge",
        "entries",
        "Durable entries without a place in their tree yet; may be low for a second after a reload",
    ),
    Metric(
        "podium_store_failures_total",
        "counter",
        "failures",
        "Times the store failed the plane or the core broke, by code; each is followed by a reload",
        {"code": CODES},
    ),
    Metric("podium_reloads_total", "counter", "reloads", "Times the core was dropped and loaded again from the store"),
    Metric("podium_disk_free_bytes", "gauge", "bytes", "Free bytes of the data directory's file system"),
    Metric("podium_disk_size_bytes", "gauge", "bytes", "Size of the data directory's file system"),
    # the plane
    Metric("podium_ready", "gauge", "0 or 1", "1 while the plane takes requests"),
    Metric("podium_uptime_seconds", "gauge", "seconds", "Since this process opened the plane"),
    Metric(
        "podium_key_age_seconds",
        "gauge",
        "seconds",
        "Age of the newest key of a purpose",
        {"key": ("online", "root", "session")},
    ),
    Metric("podium_build_info", "gauge", "1", "Always 1; the label tells the release", {"version": (VERSION,)}),
)
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def samples(metric: Metric) -> tuple[str, ...]:
    """The names of the series that `metric` is scraped as."""
    if metric.kind == "histogram":
        return tuple(metric.name + end for end in ("_bucket", "_count", "_sum"))
    return (metric.name,)


def bounded(metric: Metric, labels: dict[str, str]) -> dict[str, str]:
    """`labels` with each value that its closed set does not name replaced by `other`."""
    return {name: value if value in metric.labels[name] else OTHER for name, value in labels.items()}
