"""What a person may see of versions, aliases and releases.

Decides: whose measurement a version shows. A round measures the version that it begins with, before any device trains;
so a version's metrics are those of the sealed rounds, of training or of evaluation, whose base it is, each as the
newest of them has it. One that no round began with has none: it never borrows those of its parent. Reads only.
"""

from podium.core.rounds.rounds import name_of
from podium.core.rows import AliasMoveRow, AliasRow, ReleaseRow, VersionRow
from podium.core.state import State
from podium.core.views.runs import finalised
from podium.wire.operator import AliasMoveView, AliasView, ReleaseView, VersionView


def version_view(state: State, row: VersionRow, now_ms: int) -> VersionView:
    """A version with its lineage, the aliases that name it now, and what was measured on it."""
    rounds = [state.rounds[key] for key in state.lines.measured(row.id)]
    return VersionView(
        digest=row.id,
        number=row.number,
        parent=row.parent,
        run=row.run,
        round=row.round,
        task=state.tasks[row.task].task.task.name if row.task else "",
        size_bytes=row.size_bytes,
        contributors=row.contributors,
        statement=row.statement,
        aliases=sorted(name for name, alias in state.aliases.items() if alias.version == row.id),
        released=row.id in state.releases,
        made_age_ms=now_ms - row.made_ms,
        metrics={name: value for each in rounds for name, value in finalised(each.metrics).items()},
        measured_by=[name_of(each) for each in reversed(rounds)],
    )


def alias_view(state: State, row: AliasRow, now_ms: int) -> AliasView:
    """Where an alias points."""
    return AliasView(
        alias=row.id,
        version=row.version,
        number=state.versions[row.version].number,
        counter=row.counter,
        actor=row.actor,
        why=row.why,
        age_ms=now_ms - row.at_ms,
    )


def move_view(row: AliasMoveRow, now_ms: int) -> AliasMoveView:
    """One move of an alias."""
    return AliasMoveView(
        alias=row.alias,
        counter=row.counter,
        version=row.version,
        before=row.before,
        actor=row.actor,
        why=row.why,
        age_ms=now_ms - row.at_ms,
        back=row.back,
    )


def release_view(row: ReleaseRow, now_ms: int) -> ReleaseView:
    """A version's release."""
    return ReleaseView(
        version=row.id, key_id=row.key_id, statement=row.statement, actor=row.actor, age_ms=now_ms - row.at_ms
    )
