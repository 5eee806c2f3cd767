"""Models: the versions of a task, the aliases that name them, and what may be promoted or taken back.

Decides: which versions are drawn: the newest `VERSIONS_DRAWN`. Never: acts, nor signs a release (that is done offline).
"""

import shlex
from urllib.parse import quote

from podium.server.console.door import Look
from podium.server.console.lanes import AliasLane, versions_figure
from podium.server.console.paging import SHORT_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.console.svg import Figure
from podium.server.operators.reads import Reads
from podium.wire.operator import AliasMoveView, AliasView, Page, RunView, VersionView
from podium.wire.problems import OperatorFault

VERSIONS_DRAWN = 240
RUNS_OFFERED = 12
LINEAGE_SHOWN = 8
MOVES_SHOWN = 20
PROMOTABLE = ("candidate", "canary", "production")
CRUMBS = (("/", "Overview"), ("/models", "Models"))


class Models:
    """The screens about versions."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def every(self, look: Look) -> Screen:
        """GET /models?run=: the versions of a run (of a task: its newest one), of the newest run unless it is named."""
        runs = [view for view in decoded(await self._reads.runs(limit=RUNS_OFFERED), RunView) if view.kind == "train"]
        asked = look.query.get("run", "").strip()
        run = await self._reads.run(asked) if asked else runs[0] if runs else None
        task = run.task if run else ""
        named = [each for each in await self._aliases() if each.alias.partition("@")[0] == task]
        moves = [move for each in named for move in await self._moves(each.alias, MOVES_SHOWN)]
        moves.sort(key=lambda move: move.age_ms)
        after = look.query.get("after", "")
        drawn, page = await self._versions(run, "", VERSIONS_DRAWN), await self._page(run, after)
        metric = next((name for each in drawn for name in sorted(each.metrics)), "")
        return Screen(
            template="models.html",
            title=f"Models of {task}" if task else "Models",
            heading="Models",
            twin=f"podium model list --run {run.id}" if run else "podium model list",
            crumbs=CRUMBS[:1],
            live=True,
            told={
                "runs": runs,
                "run": run,
                "chart": chart(metric, drawn[::-1], named, moves) if drawn else None,
                "metric": metric,
                "aliases": named,
                "movable": [each.alias for each in named if await self._reads.version_before(each.alias)],
                "moves": moves[:MOVES_SHOWN],
                "versions": decoded(page, VersionView),
                "pages": links(look, page),
            },
        )

    async def _page(self, run: RunView | None, after: str) -> Page:
        """A page of the run's versions, newest first; of all without one."""
        return await self._reads.versions(run.id if run else "", after, SHORT_ROWS, newest=True)

    async def _versions(self, run: RunView | None, after: str, count: int) -> list[VersionView]:
        """The newest versions of a run, newest first."""
        return decoded(await self._reads.versions(run.id if run else "", after, count, newest=True), VersionView)

    async def _aliases(self) -> list[AliasView]:
        return decoded(await self._reads.aliases(), AliasView)

    async def _moves(self, alias: str, count: int) -> list[AliasMoveView]:
        """The last moves of an alias, newest first."""
        return decoded(await self._reads.moves(alias, limit=count), AliasMoveView)

    async def show(self, look: Look) -> Screen:
        """GET /models/VERSION."""
        version = await self._reads.version(look.id)
        lineage = [version]
        while len(lineage) < LINEAGE_SHOWN and lineage[0].parent:
            lineage.insert(0, await self._reads.version(lineage[0].parent))
        return Screen(
            template="version.html",
            title=f"Version v{version.number} {version.digest[7:17]}",
            heading=f"{version.task or 'imported'} v{version.number}",
            twin=f"podium model show {version.digest}",
            crumbs=CRUMBS,
            told={"version": version, "lineage": lineage, "promotable": PROMOTABLE},
        )

    async def rollback(self, look: Look) -> Screen:
        """GET /models/rollback?alias=: asks before an alias goes back."""
        alias = look.query.get("alias", "")
        found = [each for each in await self._aliases() if each.alias == alias]
        before = await self._reads.version_before(alias) if found else None
        if before is None:
            raise OperatorFault("not-found", what=f"alias {alias[:128]!r} has no version to go back to")
        there = found[0]
        name = alias.partition("@")[2]
        return Screen(
            template="confirm.html",
            title=f"Roll back {alias}",
            heading=f"Roll back {name}",
            twin=f"podium model rollback {shlex.quote(alias)}",
            crumbs=CRUMBS,
            told={
                "effect": f"{alias} names v{there.number} now; it will name v{before.number} ({before.digest[7:17]}).",
                "lines": ["Whoever resolves the alias gets the older version from then on."],
                "action": "/models/rollback",
                "back": f"/models?run={quote(alias.partition('@')[0])}",
                "kept": (("alias", alias), ("counter", str(there.counter))),
                "choices": (),
                "shade": "warn",
                "label": "Roll back",
            },
        )


def chart(metric: str, versions: list[VersionView], aliases: list[AliasView], moves: list[AliasMoveView]) -> Figure:
    """A metric over the versions, and a lane for each alias."""
    values = {each.number: each.metrics[metric] for each in versions if metric in each.metrics}
    numbers = {each.digest: each.number for each in versions}
    return versions_figure(metric, values, alias_lanes(aliases, moves, numbers))


def alias_lanes(aliases: list[AliasView], moves: list[AliasMoveView], numbers: dict[str, int]) -> list[AliasLane]:
    """Each alias with the versions it named before; a version that is not drawn is left out."""
    lanes = []
    for each in aliases:
        before = {numbers[move.version] for move in moves if move.alias == each.alias and move.version in numbers}
        name = each.alias.partition("@")[2]
        lanes.append(AliasLane(name=name, now=each.number, before=tuple(sorted(before - {each.number}))))
    return lanes
