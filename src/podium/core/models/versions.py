"""Versions and aliases: immutable models with a parent, and movable names with a history.

Decides: a version's place in its lineage, and where an alias points. A version is addressed by the digest of its bytes;
an alias's counter only grows, its history is in the journal. Never: the bytes themselves, nor who may move an alias.
"""

from msgspec.structs import replace

from podium.core.events import AggregateMade, VersionImported
from podium.core.outbox import Outbox
from podium.core.rows import AliasRow, AnyRow, RoundRow, RunRow, VersionRow
from podium.core.state import State
from podium.wire.alias_names import LATEST


def import_version(state: State, out: Outbox, event: VersionImported) -> None:
    """Take a model that somebody brought in as the first of a lineage; known bytes change nothing."""
    if event.digest in state.versions:
        return
    row = VersionRow(
        id=event.digest,
        number=0,
        parent="",
        run="",
        round=0,
        task="",
        made_ms=state.now_ms,
        size_bytes=event.size_bytes,
        statement=event.statement,
        contributors=0,
        metrics={},
    )
    out.record("version-imported", event.digest, row, actor=event.actor)


def make_version(
    state: State, run: RunRow, row: RoundRow, made: AggregateMade, contributors: int
) -> tuple[AnyRow, ...]:
    """The rows of a new version: itself and its task's `latest` alias.

    Bytes that are a version already (nothing changed, or changed back, or another run learnt the same) are that
    version: its place in the lineage stays, only the alias moves.
    """
    parent = state.versions[row.base]
    version = VersionRow(
        id=made.digest,
        number=parent.number + 1,
        parent=row.base,
        run=run.id,
        round=row.number,
        task=run.task,
        made_ms=state.now_ms,
        size_bytes=made.size_bytes,
        statement=made.statement,
        contributors=contributors,
        metrics={},
    )
    name = f"{state.tasks[run.task].task.task.name}@{LATEST}"
    alias = moved_alias(state, name, made.digest, "plane", f"sealed round {run.id}.{row.number}")
    return (alias,) if made.digest in state.versions else (version, alias)


def moved_alias(state: State, name: str, version: str, actor: str, why: str) -> AliasRow:
    """The alias row that points `name` to `version`; its counter grows by one."""
    before = state.aliases.get(name)
    if before is None:
        return AliasRow(id=name, version=version, counter=1, actor=actor, why=why, at_ms=state.now_ms)
    return replace(before, version=version, counter=before.counter + 1, actor=actor, why=why, at_ms=state.now_ms)
