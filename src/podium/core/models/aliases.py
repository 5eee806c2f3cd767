"""Aliases that people move, and the releases that some of them ask for.

Decides: whether an alias may name a version: one that was sealed for the same task; `production` wants a release as
well; `latest` is moved by the plane alone; no names but those of wire/alias_names.py are given. Every move is kept as a
row and in the journal. A release holds as long as the key that signed it signs: once the release key is rotated,
nothing more gets through on the old one's word. Never: verifies a release (the shell checked its signature against the
root document).
"""

import re

from podium.core.effects import Answer
from podium.core.events import AliasMoved, VersionReleased
from podium.core.models.versions import moved_alias
from podium.core.outbox import Outbox
from podium.core.rows import AliasMoveRow, ReleaseRow
from podium.core.state import State
from podium.wire.alias_names import LATEST, MOVABLE, RELEASED_ONLY, nearest

_NAME = re.compile(r"[^/@\x00-\x1f]{1,128}@[^/@\x00-\x1f]{1,128}")


def move_alias(state: State, out: Outbox, event: AliasMoved) -> None:
    """Let the alias name the version; naming what it names already changes nothing."""
    code, detail = _refusal(state, event)
    why = _not_released(state, event) if not code else ""
    if why:
        code, detail = "not-released", f"version {event.version} for {event.alias}"
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
    out.send(
        Answer(ticket=event.ticket, word="" if code else "done", code=code, detail=detail, why=why, id=event.alias)
    )


def _refusal(state: State, event: AliasMoved) -> tuple[str, str]:
    """The problem code and what it is about; "" when the alias may move."""
    model, _, name = event.alias.partition("@")
    version = state.versions.get(event.version)
    before = state.aliases.get(event.alias)
    if not _NAME.fullmatch(event.alias):
        return "usage", f'alias {event.alias!r}: it is "<task>@<name>"'
    if name == LATEST:
        return "alias-managed", f"alias {event.alias}"
    if name not in MOVABLE:
        return "alias-unknown", f"alias {event.alias}: the nearest known one is {model}@{nearest(name)}"
    if version is None:
        return "version-unknown", f"version {event.version}"
    if not version.task or state.tasks[version.task].task.task.name != model:
        return "usage", f"version {event.version} is not one of task {model}"
    if event.counter >= 0 and event.counter != (before.counter if before else 0):
        return "alias-moved", f"alias {event.alias}"
    return "", ""


def _not_released(state: State, event: AliasMoved) -> str:
    """Why the version may not have an alias of released versions only; "" if it may, or the alias is of any."""
    if event.alias.partition("@")[2] not in RELEASED_ONLY:
        return ""
    row = state.releases.get(event.version)
    if row is None:
        return "nobody released it"
    # who holds an old key could go on releasing, or have released what was never promoted
    retired = f"the release key that signed for it, {row.key_id}, is retired: the present one has to sign for it again"
    return "" if row.key_id in event.release_keys else retired


def release(state: State, out: Outbox, event: VersionReleased) -> None:
    """Keep that the version is released, or that another key signed for it; a known release changes nothing."""
    code, known = "" if event.version in state.versions else "version-unknown", state.releases.get(event.version)
    if not code and (known is None or known.key_id != event.key_id):
        row = ReleaseRow(
            id=event.version,
            key_id=event.key_id,
            statement=event.statement,
            actor=event.actor,
            at_ms=state.now_ms,
        )
        out.record("version-released", event.version, row, actor=event.actor, key=event.key_id)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.version))
