"""One round: how long each device took, how large its update was, and what each site measured.

Decides: how leases become marks. Never: acts. Limits: `LEASES_DRAWN` leases in charts, a page of them in the table.
"""

from podium.server.console.charts import Dot, ago, strip_figure
from podium.server.console.door import Look
from podium.server.console.paging import PAGE_ROWS
from podium.server.console.rendering import Screen
from podium.server.console.screens.runs import CRUMBS, funnel_rows, lost_rows
from podium.server.console.svg import Figure, number
from podium.server.operators.reads import Reads
from podium.wire.operator import LeaseView, RoundView

GOOD, UNDER_WAY = ("ACCEPTED",), ("OFFERED", "HELD", "REPORTED")


def kind_of(lease: LeaseView) -> str:
    """The mark of a lease: accepted, under way, or refused or lost."""
    return "a" if lease.state in GOOD else "open" if lease.state in UNDER_WAY else "bad"


def took_ms(lease: LeaseView) -> int:
    """From its grant to its report, or to its end, or so far."""
    end = next((age for age in (lease.reported_age_ms, lease.ended_age_ms) if age >= 0), 0)
    return max(0, lease.granted_age_ms - end)


def said(lease: LeaseView) -> str:
    """A lease in a few words."""
    reason = f", {lease.reason}" if lease.reason else ""
    return f"{lease.device[:10]} {lease.site}: {lease.state.lower()}{reason}"


def duration_figure(round_: RoundView, leases: list[LeaseView]) -> Figure:
    """How long each lease took, with the deadline of reports."""
    dots = [Dot(value=took_ms(lease), kind=kind_of(lease), text=said(lease)) for lease in leases]
    return strip_figure("durations", "Time per lease", dots, (round_.report_ms, "deadline"), ago)


def norm_figure(round_: RoundView, leases: list[LeaseView]) -> Figure:
    """The norm of each update that was stored, with the bound above which it is refused."""
    dots = [Dot(value=lease.norm, kind=kind_of(lease), text=said(lease)) for lease in leases if lease.norm >= 0]
    return strip_figure("norms", "Update norms", dots, (round_.norm_max, "bound"), number)
