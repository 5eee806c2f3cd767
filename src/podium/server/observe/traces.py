"""OpenTelemetry: one trace per round that ended, with a span per lease and one per phase of it.

Decides: what a span is called and says. Never: where traces go or how many are kept: the standard OTEL_* variables say
so. A trace is made from the rows of a round once its end is durable, in a thread of its own: no request and no step
waits for it, and without `--otel` none of this is loaded. Its id is drawn from plane, run and round, so the standard
ratio sampler keeps or drops a round as a whole, and always the same ones. Limits: `LEASES_MAX` leases of a round.
Source: OpenTelemetry's OTLP/HTTP exporter and its environment variables; the extra is `otel`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from podium.core.effects import Step
from podium.core.rows import LeaseRow, RoundRow
from podium.core.state import State
from podium.server.observe.watch import first
from podium.server.release import VERSION
from podium.wire.extras import how_to_install
from podium.wire.problems import OperatorFault

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context
except ImportError as missing:
    raise OperatorFault(
        "not-available",
        what="OpenTelemetry is not installed",
        why=str(missing),
        next=how_to_install("otel"),
    ) from missing

log = logging.getLogger("podium.traces")

LEASES_MAX = 200
"""A trace holds so many of its round's leases, the first ones; its root says how many there were."""
ENDED = ("round-sealed", "round-abandoned")
LOST = ("FAILED", "REFUSED", "LAPSED", "REVOKED")
"""Ends of a lease that make its span an error."""
NS = 1_000_000

Facts = dict[str, str | int | float]


class Phase(NamedTuple):
    """A part of a lease's life, in ms of the plane's time."""

    name: str
    begin_ms: int
    end_ms: int


class _RoundIds(RandomIdGenerator):
    """Trace ids are set by who begins a trace; span ids are drawn."""

    trace_id = 0

    def generate_trace_id(self) -> int:
        """The id set last."""
        return self.trace_id


class Traces:
    """Told of durable steps on the event loop's thread; works in its own."""

    def __init__(self, state: Callable[[], State], plane_id: str) -> None:
        """`state`: the core's rows. Reads OTEL_* now."""
        self._state = state
        self._plane_id = plane_id
        self._ids = _RoundIds()
        told = {"service.name": "podium", "service.version": VERSION, "service.instance.id": plane_id}
        self.resource = Resource(told).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=self.resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("podium", VERSION)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="podium-traces")

    def step(self, step: Step) -> None:
        """Begin the trace of every round that ended in `step`."""
        for record in step.records:
            row = first(record, RoundRow) if record.kind in ENDED else None
            if row is not None:
                self._thread.submit(self._told, row, self._leases(row), step.number).add_done_callback(_done)

    def close(self) -> None:
        """Send what waits, as long as OTEL_* allow, and end. Blocking."""
        self._thread.shutdown(wait=True)
        self._provider.shutdown()

    def _leases(self, row: RoundRow) -> list[LeaseRow]:
        leases = self._state().leases
        names = (f"{row.run}.{row.number}.{place}" for place in range(1, min(row.leases_made, LEASES_MAX) + 1))
        return [leases[name] for name in names if name in leases]

    def _told(self, row: RoundRow, leases: list[LeaseRow], cause: int) -> None:
        self._ids.trace_id = trace_id(self._plane_id, row.run, row.number)
        facts = {"podium.plane": self._plane_id, **round_facts(row, cause)}
        root = self._tracer.start_span("round", start_time=row.opened_ms * NS, attributes=facts)
        if not root.is_recording():
            return
        if row.state == "ABANDONED":
            root.set_status(Status(StatusCode.ERROR, row.reason))
        for phase in round_phases(row):
            self._part(root, phase)
        for lease in leases:
            self._lease(root, lease, row.ended_ms)
        root.end(row.ended_ms * NS)

    def _lease(self, root: Span, lease: LeaseRow, ended_ms: int) -> None:
        over_ms = lease.ended_ms if lease.ended_ms >= 0 else ended_ms
        context = set_span_in_context(root)
        span = self._tracer.start_span(
            "lease", context, start_time=lease.granted_ms * NS, attributes=lease_facts(lease)
        )
        if lease.state in LOST:
            span.set_status(Status(StatusCode.ERROR, lease.reason))
        for phase in lease_phases(lease, over_ms):
            self._part(span, phase)
        span.end(over_ms * NS)

    def _part(self, parent: Span, phase: Phase) -> None:
        span = self._tracer.start_span(phase.name, set_span_in_context(parent), start_time=phase.begin_ms * NS)
        span.end(phase.end_ms * NS)


def _done(made: Future[None]) -> None:
    if error := made.exception():
        log.error("a round was not traced", exc_info=error)


def trace_id(plane_id: str, run: str, number: int) -> int:
    """The 128-bit id of a round's trace: the same each time it is asked for."""
    return int.from_bytes(hashlib.sha256(f"{plane_id}/{run}/{number}".encode()).digest()[:16], "big")


def round_phases(row: RoundRow) -> Iterator[Phase]:
    """Forming until offers went out, then reporting (with the aggregation at its end); only the first if it fell."""
    began = row.reporting_ms if row.reporting_ms >= 0 else row.ended_ms
    yield Phase("forming", row.opened_ms, began)
    if row.reporting_ms >= 0:
        yield Phase("reporting", began, row.ended_ms)


def lease_phases(lease: LeaseRow, over_ms: int) -> Iterator[Phase]:
    """offered -> held -> reported, each until the next began or the lease was over, the last one then judged."""
    marks = [("offered", lease.granted_ms), ("held", lease.held_ms), ("reported", lease.reported_ms)]
    reached = [(name, at) for name, at in marks if at >= 0]
    ends = [at for _, at in reached[1:]] + [over_ms]
    for (name, begin), end in zip(reached, ends, strict=True):
        yield Phase(name, begin, end)


def round_facts(row: RoundRow, cause: int) -> Facts:
    """The attributes of a root span."""
    return {
        "podium.run": row.run,
        "podium.round": row.number,
        "podium.state": row.state,
        "podium.reason": row.reason,
        "podium.base": row.base,
        "podium.version": row.version,
        "podium.leases": row.leases_made,
        "podium.cause": cause,
    }


def lease_facts(lease: LeaseRow) -> Facts:
    """The attributes of a lease's span."""
    return {
        "podium.run": lease.run,
        "podium.round": lease.round,
        "podium.lease": lease.id,
        "podium.device": lease.device,
        "podium.site": lease.site,
        "podium.state": lease.state,
        "podium.reason": lease.reason,
        "podium.upload_bytes": lease.upload_bytes,
    }
