"""The fleet and one device: who is there, in what state, what they do, and what may be done about one of them.

Decides: how the heat map is laid out and how leases become swim lanes. Never: acts. Limits: pages of `PAGE_ROWS`
devices, `LANES_DRAWN` runs as lanes.
"""

from podium.server.console.charts import Lane, Span, ago, timeline_figure
from podium.server.console.door import Look
from podium.server.console.paging import PAGE_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.console.svg import Figure
from podium.server.operators.explains import Explains
from podium.server.operators.reads import Reads
from podium.wire.operator import DeviceDetail, DeviceView, LeaseView

LANES_DRAWN = 10
CRUMBS = (("/", "Overview"), ("/fleet", "Fleet"))
MARKS: dict[str, tuple[str, str, str]] = {
    "active": ("Uncordon", "It may get leases again.", ""),
    "cordoned": ("Cordon", "It gets no new lease; what it works on goes on.", ""),
    "drained": ("Drain", "It gets no new lease, and the one it holds is revoked.", ""),
    "banned": ("Ban", "Its next request is refused, and the lease it holds is revoked.", "grave"),
}
"""Mark -> its button, what it means, the button's look."""
OFFERED: dict[str, tuple[str, ...]] = {
    "active": ("cordoned", "drained", "banned"),
    "cordoned": ("active", "drained", "banned"),
    "banned": ("active",),
}
"""State -> the marks that change it."""


def lanes_figure(leases: list[LeaseView]) -> Figure | None:
    """The device's leases in time, a lane for each run; None without any."""
    runs = list(dict.fromkeys(lease.run for lease in leases))[:LANES_DRAWN]
    lanes = [
        Lane(label=run, spans=[span for lease in leases if lease.run == run for span in _spans(lease)]) for run in runs
    ]
    if not lanes:
        return None
    key = {"offered": "offered", "held": "training", "checked": "stored", "lost": "lost or refused"}
    return timeline_figure("lanes", "Leases in time", lanes, "run", key)


def _spans(lease: LeaseView) -> list[Span]:
    """What one lease was, span by span."""
    name = f"round {lease.round}"
    granted, end = -float(lease.granted_age_ms), -float(max(0, lease.ended_age_ms))
    held = -float(lease.held_age_ms) if lease.held_age_ms >= 0 else end
    reported = -float(lease.reported_age_ms) if lease.reported_age_ms >= 0 else end
    spans = [Span(start=granted, end=held, kind="offered", text=f"{name} offered {ago(held - granted)}")]
    good = lease.state in ("HELD", "REPORTED", "ACCEPTED")
    if lease.held_age_ms >= 0:
        kind = "held" if good or lease.reported_age_ms >= 0 else "lost"
        spans.append(
            Span(start=held, end=reported, kind=kind, text=f"{name} {lease.state.lower()} {ago(reported - held)}")
        )
    if lease.reported_age_ms >= 0:
        kind = "checked" if good else "lost"
        spans.append(Span(start=reported, end=end, kind=kind, text=f"{name} {lease.state.lower()}"))
    return spans
