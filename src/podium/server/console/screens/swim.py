"""A device's leases as swim lanes: one lane for each run, each lease from its offer to its end.

Decides: what counts as lost. Limits: `LANES_DRAWN` runs.
"""

from podium.server.console.charts import Lane, Span, ago, timeline_figure
from podium.server.console.svg import Figure
from podium.wire.operator import LeaseView

LANES_DRAWN = 10
WELL = ("OFFERED", "HELD", "REPORTED", "ACCEPTED")
KEY = {"offered": "offered", "held": "training", "checked": "stored", "lost": "lost or refused"}


def lanes_figure(leases: list[LeaseView]) -> Figure | None:
    """The leases in time, a lane for each run; None without any."""
    runs = list(dict.fromkeys(lease.run for lease in leases))[:LANES_DRAWN]
    lanes = [
        Lane(label=run, spans=[span for lease in leases if lease.run == run for span in spans(lease)]) for run in runs
    ]
    return timeline_figure("lanes", "Leases in time", lanes, "run", KEY) if lanes else None


def spans(lease: LeaseView) -> list[Span]:
    """What one lease was: offered, then training until its report, then stored until its end."""
    name, state = f"round {lease.round}", lease.state.lower()
    granted, end = -float(lease.granted_age_ms), -float(max(0, lease.ended_age_ms))
    held = -float(lease.held_age_ms) if lease.held_age_ms >= 0 else end
    reported = -float(lease.reported_age_ms) if lease.reported_age_ms >= 0 else end
    well = lease.state in WELL
    told = [Span(start=granted, end=held, kind="offered", text=f"{name}: offered for {ago(held - granted)}")]
    if lease.held_age_ms >= 0:
        kind = "held" if well or lease.reported_age_ms >= 0 else "lost"
        told.append(
            Span(start=held, end=reported, kind=kind, text=f"{name}: training for {ago(reported - held)}, {state}")
        )
    elif not well:
        told = [Span(start=granted, end=end, kind="lost", text=f"{name}: {state}")]
    if lease.reported_age_ms >= 0:
        told.append(Span(start=reported, end=end, kind="checked" if well else "lost", text=f"{name}: {state}"))
    return told
