"""Models: the versions of a task, the aliases that name them, and what may be promoted or taken back.

Decides: which versions are drawn: the newest `VERSIONS_DRAWN`. Never: acts, nor signs a release (that is done offline).
"""

from podium.server.console.door import Look
from podium.server.console.lanes import AliasLane, versions_figure
from podium.server.console.paging import PAGE_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.operators.reads import Reads
from podium.wire.operator import AliasMoveView, AliasView, VersionView
from podium.wire.problems import OperatorFault

VERSIONS_DRAWN = 240
LINEAGE_SHOWN = 8
MOVES_SHOWN = 20
PROMOTABLE = ("candidate", "canary", "production")
MANAGED = ("latest",)
CRUMBS = (("/", "Overview"), ("/models", "Models"))


class Models:
    """The screens about versions."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads


def alias_lanes(aliases: list[AliasView], moves: list[AliasMoveView], numbers: dict[str, int]) -> list[AliasLane]:
    """Each alias with the versions it named before; a version that is not known any more is left out."""
    lanes = []
    for each in aliases:
        before = {numbers[move.version] for move in moves if move.alias == each.alias and move.version in numbers}
        name = each.alias.partition("@")[2]
        lanes.append(AliasLane(name=name, now=each.number, before=tuple(sorted(before - {each.number}))))
    return lanes
