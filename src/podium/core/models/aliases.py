"""Aliases that people move, and the releases that some of them ask for.

Decides: whether an alias may name a version: one that was sealed for the same task; `production` wants a release as
well; `latest` is moved by the plane alone. Every move is kept as a row and in the journal. Never: verifies a release
(the shell checked its signature against the root document).
"""

import re

from podium.core.effects import Answer
from podium.core.events import AliasMoved, VersionReleased
from podium.core.models.versions import LATEST, moved_alias
from podium.core.outbox import Outbox
from podium.core.rows import AliasMoveRow, ReleaseRow
from podium.core.state import State

RELEASED_ONLY = ("production",)
"""Aliases that name released versions only."""
_NAME = re.compile(r"[^/@\x00-\x1f]{1,128}@[a-z][a-z0-9-]{0,31}")


def move_alias(state: State, out: Outbox, event: AliasMoved) -> None:
    """Let the alias name the version; naming what it names already changes nothing."""
    code, detail = _refusal(state, event)
    before = state.aliases.get(event.alias)
    if not code and (before is None or before.version != event.version):
        row = moved_alias(state, event.alias, event.version, event.actor, event.why)
        move = AliasMoveRow(
            alias=event.alias,
            counter=row.counter,
            version=event.version,
            before=before.version if before else "",
            actor=event.actor,
            why=event.why,
            at_ms=state.now_ms,
            back=event.back,
        )
        out.record("alias-moved", event.alias, row, move, actor=event.actor, version=event.version, reason=event.why)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, detail=detail, id=event.alias))


def _refusal(state: State, event: AliasMoved) -> tuple[str, str]:
    """The problem code and what it is about; "" when the alias may move."""
    model, _, name = event.alias.partition("@")
    version = state.versions.get(event.version)
    before = state.aliases.get(event.alias)
    if not _NAME.fullmatch(event.alias):
        return "usage", f'alias {event.alias!r}: it is "<task>@<name>", the name a to z, 0 to 9 and -'
    if name == LATEST:
        return "alias-managed", f"alias {event.alias}"
    if version is None:
        return "version-unknown", f"version {event.version}"
    if not version.task or state.tasks[version.task].task.task.name != model:
        return "usage", f"version {event.version} is not one of task {model}"
    if event.counter >= 0 and event.counter != (before.counter if before else 0):
        return "alias-moved", f"alias {event.alias}"
    if name in RELEASED_ONLY and event.version not in state.releases:
        return "not-released", f"version {event.version} for {event.alias}"
    return "", ""


def release(state: State, out: Outbox, event: VersionReleased) -> None:
    """Keep that the version is released; a known release changes nothing."""
    code = "" if event.version in state.versions else "version-unknown"
    if not code and event.version not in state.releases:
        row = ReleaseRow(
            id=event.version,
            key_id=event.key_id,
            statement=event.statement,
            actor=event.actor,
            at_ms=state.now_ms,
        )
        out.record("version-released", event.version, row, actor=event.actor, key=event.key_id)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.version))
