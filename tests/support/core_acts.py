"""What people do to a plane, a line each, on a `Drive` of core_drive.py: pause, freeze, mark, release, promote.

Decides: nothing; the actor is the administrator unless told otherwise. Every function gives what the person heard.
"""

from collections.abc import Sequence
from typing import TypeVar

from podium.core.effects import Answer
from podium.core.events import (
    AliasMoved,
    AnyEvent,
    DevicesMarked,
    Frozen,
    RunPaused,
    RunResumed,
    Unfrozen,
    VersionReleased,
)
from podium.wire.plain import convert
from tests.support.core_drive import People

ADMINISTRATOR = "person:administrator"
T = TypeVar("T", bound=AnyEvent)


def act(drive: People, kind: type[T], **terms: object) -> Answer:
    """A person does `kind`; what the event lacks of ticket, actor, moment and reason is filled in."""
    ticket = drive.ticket()
    known: dict[str, object] = {"at_ms": drive.now_ms, "ticket": ticket, "actor": ADMINISTRATOR, "why": "", **terms}
    held = {name: known[name] for name in kind.__struct_fields__ if name in known}
    return drive.answer(drive.feed(convert(held, kind)), ticket)


def pause(drive: People, run: str = "r", now: bool = False, why: str = "") -> Answer:
    """Pause a run, after its present round unless `now`."""
    return act(drive, RunPaused, run=run, now=now, why=why)


def resume(drive: People, run: str = "r") -> Answer:
    """Let a run go on."""
    return act(drive, RunResumed, run=run)


def freeze(drive: People, revoke: bool = False, why: str = "") -> Answer:
    """Freeze the plane."""
    return act(drive, Frozen, revoke=revoke, why=why)


def unfreeze(drive: People, why: str = "") -> Answer:
    """Unfreeze it."""
    return act(drive, Unfrozen, why=why)


EVERY_STATE = ("active", "cordoned", "banned")


def mark(
    drive: People,
    devices: Sequence[str],
    state: str,
    revoke: bool = False,
    why: str = "",
    of: Sequence[str] = EVERY_STATE,
) -> Answer:
    """Let those devices (ids) that are in a state of `of` be `state`."""
    return act(drive, DevicesMarked, devices=tuple(devices), state=state, of_states=tuple(of), revoke=revoke, why=why)


RELEASE_KEY = "release-key"


def promote(
    drive: People, alias: str, version: str, counter: int = -1, why: str = "", keys: Sequence[str] = (RELEASE_KEY,)
) -> Answer:
    """Let an alias name a version, where the release keys `keys` sign."""
    return act(drive, AliasMoved, alias=alias, version=version, counter=counter, release_keys=tuple(keys), why=why)


def release(drive: People, version: str, key: str = RELEASE_KEY) -> Answer:
    """Release a version by a release key."""
    return act(drive, VersionReleased, version=version, key_id=key, statement=f"statement-of-{version}-by-{key}")
