"""What a person may call a run, version, device, alias or service: its id, a unique prefix, a name, or @last.

Decides: which one is meant. Never: what is done with it. Reads only.
"""

from collections.abc import Awaitable, Callable, Iterable

from podium.core.fleet.roster import UNKNOWN
from podium.core.rows import AliasRow, DeviceRow, RunRow, ServiceRow, VersionRow
from podium.core.state import State
from podium.wire.problems import OperatorFault

LAST = "@last"
TOLD = 3
"""Devices that are named to whoever's text means several."""
Called = Callable[[str, int], Awaitable[tuple[list[int], list[int]]]]
"""`Pages.devices_called`, awaited."""


def find_run(state: State, text: str) -> RunRow:
    """The run of that id, unique prefix, or task name (its newest run); @last is the newest of all.

    `OperatorFault(run-unknown | id-ambiguous)`.
    """
    if text in state.runs:
        return state.runs[text]
    newest_last = sorted(state.runs.values(), key=lambda run: (run.started_ms, run.id))
    if text == LAST and newest_last:
        return newest_last[-1]
    named = [run for run in newest_last if state.tasks[run.task].task.task.name == text]
    if named:
        return named[-1]
    return state.runs[_only("run-unknown", "run", text, state.runs)]


def find_version(state: State, text: str) -> VersionRow:
    """The version of that digest (with or without "sha256:"), unique prefix of it, number ("v3") that no other
    version has, or alias; @last is the newest.

    `OperatorFault(version-unknown | id-ambiguous)`.
    """
    if text in state.aliases:
        return state.versions[state.aliases[text].version]
    if text == LAST and state.versions:
        return max(state.versions.values(), key=lambda row: (row.made_ms, row.number))
    numbered = [row.id for row in state.versions.values() if text == f"v{row.number}"]
    if len(numbered) > 1:
        raise OperatorFault(
            "id-ambiguous",
            what=f"{text} names {len(numbered)} model versions",
            why=", ".join(numbered[:3]),
            next="give a digest, as podium model list shows it",
        )
    wanted = numbered[0] if numbered else text if text.startswith("sha256:") else f"sha256:{text}"
    return state.versions[_only("version-unknown", "model version", wanted, state.versions)]


def find_alias(state: State, text: str) -> AliasRow:
    """The alias of that whole name. `OperatorFault(not-found)`."""
    if text not in state.aliases:
        raise OperatorFault("not-found", what=f"no alias is called {text[:128]}", next="podium model list shows them")
    return state.aliases[text]


def versions_before(state: State, alias: AliasRow) -> list[VersionRow]:
    """The versions that rollbacks of `alias` go to one by one, the nearest last.

    A rollback forgets what it went back from, so the next one goes further back, and never to what was rolled back
    itself, unless somebody let the alias name that again.
    """
    moves = sorted((move for move in state.alias_moves.values() if move.alias == alias.id), key=lambda one: one.counter)
    named: list[str] = []
    for move in moves:
        if move.back and move.version in named:
            while named[-1] != move.version:
                named.pop()
        else:
            named.append(move.version)
    return [state.versions[version] for version in named[:-1]]


def version_to_go_back_to(state: State, alias: AliasRow, named: str) -> VersionRow:
    """The last of `versions_before`; or the version that `named` means, if `alias` ever named that.

    `OperatorFault`: usage when there is none, version-unknown, id-ambiguous.
    """
    if named:
        version = find_version(state, named)
        if all((move.alias, move.version) != (alias.id, version.id) for move in state.alias_moves.values()):
            why = "a rollback goes to a version that the alias has named; promote moves it elsewhere"
            raise OperatorFault("usage", what=f"{alias.id} never named {version.id}", why=why)
        return version
    before = versions_before(state, alias)
    if not before:
        why = "there is none before it that was not rolled back itself"
        next = f"podium model alias history {alias.id} shows what it named; --to goes to any of them"
        raise OperatorFault("usage", what=f"{alias.id} has no version to go back to", why=why, next=next)
    return before[-1]


def find_service(state: State, text: str) -> ServiceRow:
    """The service credential of that id, unique prefix of it, or name (the living one of that name).

    `OperatorFault(service-unknown | id-ambiguous)`.
    """
    same = [row for row in state.services.values() if row.name == text and not row.revoked]
    named = [row.id for row in same if row.expires_ms > state.now_ms]
    found = named[0] if len(named) == 1 else _only("service-unknown", "service credential", text, state.services)
    return state.services[found]


class Devices:
    """What people call devices: looked up in the store's indexes, since there may be a million."""

    def __init__(self, state: Callable[[], State], called: Called) -> None:
        """`state`: the core's, as it now is; may raise."""
        self._state = state
        self._called = called

    async def find(self, text: str) -> DeviceRow:
        """The device of that id, name that no other has, or unique prefix of its id; raises as `state` does too.

        `OperatorFault(not-found | id-ambiguous)`.
        """
        number = self._state().devices.number(text)
        if number != UNKNOWN:
            return self._state().devices[number]
        named, begun = await self._called(text, TOLD + 1) if text else ([], [])
        rows = [self._state().devices[number] for number in (named if len(named) == 1 else begun)]
        if not rows:
            raise OperatorFault("not-found", what=f"no device is called {text[:128]}")
        if len(rows) > 1:
            why = ", ".join(row.id for row in rows[:TOLD])
            raise OperatorFault("id-ambiguous", what=f"{text[:128]} names several devices", why=why)
        return rows[0]


def _only(code: str, what: str, prefix: str, ids: Iterable[str]) -> str:
    """The one of `ids` that starts with `prefix`; `OperatorFault(code)` if none does, `id-ambiguous` if several do."""
    found = [name for name in ids if prefix and name.startswith(prefix)]
    if prefix in found:
        return prefix
    if not found:
        raise OperatorFault(code, what=f"no {what} is called {prefix.removeprefix('sha256:')[:128]}")
    if len(found) > 1:
        raise OperatorFault("id-ambiguous", what=f"{prefix} names {len(found)} {what}s", why=", ".join(found[:3]))
    return found[0]
