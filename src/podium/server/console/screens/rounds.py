"""One round: how long each device took, how large its update was, and what each site measured.

Decides: how leases become marks. Never: acts. Limits: `LEASES_DRAWN` leases in charts, a page of them in the table.
"""

from podium.core.views.shapes import meaning
from podium.server.console.charts import Dot, ago, strip_figure
from podium.server.console.door import Look
from podium.server.console.paging import SHORT_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.console.screens.runs import CRUMBS, bar_rows, lost_rows
from podium.server.console.svg import Figure, number
from podium.server.operators.reads import Reads
from podium.wire.operator import LeaseView, RoundView
from podium.wire.problems import OperatorFault

LEASES_DRAWN = 1_000
UNDER_WAY = ("OFFERED", "HELD", "REPORTED")


class Rounds:
    """The screen of a round."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def show(self, look: Look) -> Screen:
        """GET /runs/ID/rounds/NUMBER."""
        number_text = look.names["number"]
        if not number_text.isdecimal() or len(number_text) > 9:
            raise OperatorFault("usage", what=f"round {number_text[:32]!r}", why="it is a number from 1 on")
        view = await self._reads.run(look.id)
        shown = await self._reads.round(view.id, int(number_text))
        drawn = decoded(await self._reads.round_leases(view.id, shown.number, "", LEASES_DRAWN), LeaseView)
        page = await self._reads.round_leases(view.id, shown.number, look.query.get("after", ""), SHORT_ROWS)
        return Screen(
            template="round.html",
            title=f"Round {shown.number} of {view.task}, run {view.id}",
            heading=f"Round {shown.number}",
            twin=f"podium export {view.id} --out DIR",
            crumbs=(*CRUMBS, (f"/runs/{view.id}", view.task)),
            live=True,
            told={
                "view": view,
                "round": shown,
                "durations": duration_figure(shown, drawn),
                "norms": norm_figure(shown, drawn),
                "went": bar_rows(shown.leases),
                "lost": lost_rows(shown.lost),
                "shapes": [(shape, count, meaning(shape)) for shape, count in shown.shapes.items()],
                "leases": [{"view": lease, "took": took_ms(lease)} for lease in decoded(page, LeaseView)],
                "pages": links(look, page),
            },
        )


def kind_of(lease: LeaseView) -> str:
    """The mark of a lease: accepted, under way, or refused or lost."""
    return "a" if lease.state == "ACCEPTED" else "open" if lease.state in UNDER_WAY else "bad"


def took_ms(lease: LeaseView) -> int:
    """From its grant to its report, or to its end, or so far."""
    end = next((age for age in (lease.reported_age_ms, lease.ended_age_ms) if age >= 0), 0)
    return max(0, lease.granted_age_ms - end)


def said(lease: LeaseView) -> str:
    """A lease in a few words."""
    reason = f", {lease.reason}" if lease.reason else ""
    return f"{lease.device[:10]} {lease.site}: {lease.state.lower()}{reason}"


def duration_figure(shown: RoundView, leases: list[LeaseView]) -> Figure:
    """How long each lease took, with the deadline of reports."""
    dots = [Dot(value=took_ms(lease), kind=kind_of(lease), text=said(lease)) for lease in leases]
    return strip_figure("durations", "Time per lease", dots, (shown.report_ms, "deadline"), ago)


def norm_figure(shown: RoundView, leases: list[LeaseView]) -> Figure:
    """The norm of each update that was stored, with the bound above which it is refused."""
    dots = [Dot(value=lease.norm, kind=kind_of(lease), text=said(lease)) for lease in leases if lease.norm >= 0]
    return strip_figure("norms", "Update norms", dots, (shown.norm_max, "bound"), number)
