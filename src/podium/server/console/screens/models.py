"""Models: the versions of a task, the aliases that name them, and what may be promoted or taken back.

Decides: which versions are drawn: the newest `VERSIONS_DRAWN`. Never: acts, nor signs a release (that is done offline).
"""

import shlex
from urllib.parse import quote

from podium.server.console.door import Look
from podium.server.console.lanes import AliasLane, Drawn, versions_figure
from podium.server.console.paging import SHORT_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.console.svg import Figure
from podium.server.operators.reads import Reads
from podium.wire.alias_names import MOVABLE
from podium.wire.operator import AliasMoveView, AliasView, RoundView, RunView, VersionView
from podium.wire.problems import OperatorFault

VERSIONS_DRAWN = 240
TASKS_OFFERED = 12
LINEAGE_SHOWN = 8
MOVES_SHOWN = 20
CRUMBS = (("/", "Overview"), ("/models", "Models"))


class Models:
    """The screens about versions."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def every(self, look: Look) -> Screen:
        """GET /models?task=&run=: the versions of a task, the newest run's unless it is named; of one run of it."""
        run = await self._reads.run(look.query["run"].strip()) if look.query.get("run", "").strip() else None
        tasks = await self._reads.models()
        asked = run.task if run else look.query.get("task", "").strip()
        task = asked or next(iter(tasks), "")
        named = [each for each in await self._aliases() if each.alias.partition("@")[0] == task]
        moves = [move for each in named for move in await self._moves(each.alias, MOVES_SHOWN)]
        moves.sort(key=lambda move: move.age_ms)
        one = run.id if run else ""
        drawn = await self._reads.versions(one, task, "", VERSIONS_DRAWN, newest=True)
        page = await self._reads.versions(one, task, look.query.get("after", ""), SHORT_ROWS, newest=True)
        versions = decoded(drawn, VersionView)
        metric = next((name for each in versions for name in sorted(each.metrics)), "")
        label = f"--run {run.id}" if run else f"--label {shlex.quote(f'task={task}')}" if task else ""
        return Screen(
            template="models.html",
            title=f"Models of {task}" if task else "Models",
            heading="Models",
            twin=f"podium model list {label}".strip(),
            crumbs=CRUMBS[:1],
            live=True,
            told={
                "tasks": list(dict.fromkeys([*tasks[:TASKS_OFFERED], *([task] if task else [])])),
                "task": task,
                "run": run,
                "chart": chart(metric, versions[::-1], named, moves) if versions else None,
                "metric": metric,
                "aliases": named,
                "movable": await self._movable(named),
                "moves": moves[:MOVES_SHOWN],
                "versions": decoded(page, VersionView),
                "pages": links(look, page),
            },
        )

    async def _aliases(self) -> list[AliasView]:
        return decoded(await self._reads.aliases(), AliasView)

    async def _movable(self, aliases: list[AliasView]) -> list[str]:
        """Those that people may take back: of a name that they may move, with a version to go back to."""
        known = [each.alias for each in aliases if each.alias.partition("@")[2] in MOVABLE]
        return [alias for alias in known if await self._reads.version_before(alias)]

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
            told={
                "version": version,
                "lineage": lineage,
                "measured": await self._measured(version),
                "promotable": MOVABLE,
            },
        )

    async def _measured(self, version: VersionView) -> list[tuple[RunView, RoundView]]:
        """The rounds that measured a version, with their runs, the newest first."""
        named = [each.rpartition(".") for each in version.measured_by]
        return [(await self._reads.run(run), await self._reads.round(run, int(number))) for run, _, number in named]

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
                "back": f"/models?task={quote(alias.partition('@')[0])}",
                "kept": (("alias", alias), ("counter", str(there.counter))),
                "choices": (),
                "shade": "warn",
                "label": "Roll back",
            },
        )


def chart(metric: str, versions: list[VersionView], aliases: list[AliasView], moves: list[AliasMoveView]) -> Figure:
    """A metric over the versions, the oldest first, and a lane for each alias."""
    places = {each.digest: place for place, each in enumerate(versions)}
    drawn = [
        Drawn(number=each.number, value=each.metrics.get(metric), parent=places.get(each.parent, -1), run=each.run)
        for each in versions
    ]
    return versions_figure(metric, drawn, alias_lanes(aliases, moves, places))


def alias_lanes(aliases: list[AliasView], moves: list[AliasMoveView], places: dict[str, int]) -> list[AliasLane]:
    """Each alias with the versions it named before; a version that is not drawn is left out."""
    lanes = []
    for each in aliases:
        now = places.get(each.version, -1)
        before = {places[move.version] for move in moves if move.alias == each.alias and move.version in places}
        name = each.alias.partition("@")[2]
        lanes.append(AliasLane(name=name, number=each.number, now=now, before=tuple(sorted(before - {now}))))
    return lanes
