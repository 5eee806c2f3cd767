"""Runs and one run: how learning goes, why it does not, and what may be done about it.

Decides: which rounds are drawn: the newest `ROUNDS_DRAWN` in charts, `LANES_DRAWN` as lanes. Never: acts.
"""

from podium.core.rounds.table import RUN_STATES
from podium.core.views.explain import TROUBLES
from podium.core.views.shapes import DRIFT_MAX, meaning
from podium.ports.plane import EntriesWanted
from podium.server.console.charts import Lane, Span, Spread, ago, metric_figure, timeline_figure
from podium.server.console.door import Look
from podium.server.console.paging import PAGE_ROWS, SHORT_ROWS, decoded, links
from podium.server.console.rendering import Screen, share
from podium.server.console.screens.overview import run_row
from podium.server.console.screens.standstill import standstill
from podium.server.console.svg import Figure
from podium.server.operators.explains import Explains
from podium.server.operators.journal_reads import JournalReads
from podium.server.operators.reads import Reads
from podium.wire.operator import PAUSES, RUN_OPEN, EntryView, RoundView, RunView

ROUNDS_DRAWN = 240
LANES_DRAWN = 12
METRICS_DRAWN = 4
PLANE = "plane"
CRUMBS = (("/", "Overview"), ("/runs", "Runs"))


class Runs:
    """The screens about runs."""

    def __init__(self, reads: Reads, explains: Explains, journal: JournalReads) -> None:
        self._reads = reads
        self._explains = explains
        self._journal = journal

    async def every(self, look: Look) -> Screen:
        """GET /runs: newest first."""
        asked = {name: look.query.get(name, "").strip() for name in ("state", "task")}
        page = await self._reads.runs(look.query.get("after", ""), PAGE_ROWS, **asked)
        return Screen(
            template="runs.html",
            title="Runs",
            heading="Runs",
            twin="podium status --all",
            crumbs=CRUMBS[:1],
            told={
                "runs": [run_row(view) for view in decoded(page, RunView)],
                "pages": links(look, page),
                "task": asked["task"],
                "state": asked["state"],
                "states": RUN_STATES,
            },
            live=True,
        )

    async def show(self, look: Look) -> Screen:
        """GET /runs/ID; of a plane that decides nothing, why."""
        told = await self._explains.run(look.id)
        if told.cause in TROUBLES:
            return standstill(told, CRUMBS)
        view = await self._reads.run(told.subject)
        rounds = await self._rounds(view.id)
        page = await self._reads.rounds(view.id, look.query.get("after", ""), SHORT_ROWS)
        return Screen(
            template="run.html",
            title=f"{view.task}, run {view.id}",
            heading=view.task,
            twin=f"podium watch {view.id}",
            crumbs=CRUMBS,
            live=True,
            told={
                "view": view,
                "open": view.state in RUN_OPEN,
                "pause": await self._pause(view),
                "metrics": metric_figures(view, rounds),
                "funnel": bar_rows({stage.name: stage.devices for stage in told.funnel}),
                "lost": lost_rows(view.round.lost) if view.round else [],
                "shapes": [(shape, count, meaning(shape)) for shape, count in view.shapes.items()],
                "drift_max": DRIFT_MAX,
                "gantt": gantt(rounds[-LANES_DRAWN:]) if rounds else None,
                "rounds": decoded(page, RoundView),
                "pages": links(look, page),
                "explained": told,
            },
        )

    async def _pause(self, view: RunView) -> EntryView | None:
        """Who paused a run that rests or is about to, when and why, as the journal has it; None for any other."""
        for kind in PAUSES.get(view.state, ()):
            page = await self._journal.entries(EntriesWanted(kind=kind, subject=view.id), limit=1)
            for entry in decoded(page, EntryView):
                if entry.actor != PLANE:
                    return entry
        return None

    async def _rounds(self, run: str) -> list[RoundView]:
        """The newest rounds of a run, oldest first."""
        return decoded(await self._reads.rounds(run, limit=ROUNDS_DRAWN), RoundView)[::-1]

    async def stop(self, look: Look) -> Screen:
        """GET /runs/ID/stop: asks before a run is stopped."""
        view = await self._reads.run(look.id)
        busy = view.round.leases.get("training", 0) if view.round else 0
        return Screen(
            template="confirm.html",
            title=f"Stop run {view.id}",
            heading=f"Stop {view.task}",
            twin=f"podium stop {view.id}",
            crumbs=(*CRUMBS, (f"/runs/{view.id}", view.task)),
            told={
                "effect": f"{busy} devices at work lose their lease; the run ends.",
                "lines": [f"Version v{view.version_number} stays. A stopped run can be retried from it."],
                "action": f"/runs/{view.id}/stop",
                "back": f"/runs/{view.id}",
                "kept": (),
                "choices": (),
                "shade": "bad",
                "label": "Stop the run",
            },
        )


def metric_figures(view: RunView, rounds: list[RoundView]) -> list[Figure]:
    """A chart for each metric: from the rounds drawn, with the spread over sites."""
    sealed = [each for each in rounds if each.state == "SEALED"]
    figures = []
    for place, metric in enumerate(sorted({name for each in sealed for name in each.metrics})[:METRICS_DRAWN]):
        points = [
            Spread(
                label=str(each.number),
                value=each.metrics[metric],
                each={site: told[metric] for site, told in each.site_metrics.items() if metric in told},
            )
            for each in sealed
            if metric in each.metrics
        ]
        figures.append(metric_figure(f"metric-{place}", metric, points))
    return figures


def bar_rows(counts: dict[str, int]) -> list[tuple[str, int, str]]:
    """(name, count, width of its bar), in order."""
    most = max(counts.values(), default=0)
    return [(name, count, share(count, most)) for name, count in counts.items()]


def lost_rows(lost: dict[str, int]) -> list[tuple[str, int, str]]:
    """(reason, leases, width of its bar), the commonest first."""
    most = max(lost.values(), default=0)
    order = sorted(lost.items(), key=lambda each: (-each[1], each[0]))
    return [(name.lower().replace(":", ": "), count, share(count, most)) for name, count in order if count]


def gantt(rounds: list[RoundView]) -> Figure:
    """The rounds in time: forming, reporting, aggregating; it ends now, or with the last round when all are over."""
    ages = [each.ended_age_ms for each in rounds]
    return timeline_figure(
        "gantt",
        "Rounds in time",
        [Lane(label=f"round {each.number}", spans=_spans(each), says=_said(each)) for each in rounds],
        "round",
        {"forming": "forming", "reporting": "reporting, aggregating", "abandoned": "abandoned"},
        edge=0.0 if min(ages) < 0 else -float(min(ages)),
    )


def _spans(each: RoundView) -> list[Span]:
    opened, started = -float(each.opened_age_ms), -float(each.reporting_age_ms)
    end = 0.0 if each.ended_age_ms < 0 else -float(each.ended_age_ms)
    formed = started if each.reporting_age_ms >= 0 else end
    spans = [Span(start=opened, end=formed, kind="forming", text=f"forming {ago(formed - opened)}")]
    if each.reporting_age_ms >= 0:
        kind = "abandoned" if each.state == "ABANDONED" else "reporting"
        spans.append(Span(start=started, end=end, kind=kind, text=f"{each.state.lower()} {ago(end - started)}"))
    return spans


def _said(each: RoundView) -> str:
    reason = f", {each.reason}" if each.reason else ""
    return f"{each.state.lower()}{reason}, {ago(each.took_ms)}, opened {ago(each.opened_age_ms)} ago"
