"""Which devices a mark means, and what it would change: for a person who first asks with `dry_run`.

Decides: how devices are named (one by one, or by labels, of which "site" and "name" are two) and what each mark is to
the core. Never: marks (the core does, and looks anew at which devices it may change). Limits: the caller's most devices
of one mark; a fleet is looked through in slices, so that other requests go on meanwhile.
"""

import asyncio
from typing import NamedTuple

from podium.core.rows import DeviceRow
from podium.core.state import State
from podium.server.operators.naming import Devices
from podium.wire.asks import MarkAsk
from podium.wire.operator import MarkDone
from podium.wire.problems import OperatorFault

SLICE = 10_000
"""Devices looked at before the event loop has its turn: about a millisecond."""
DEVICES_TOLD = 100


class Marking(NamedTuple):
    """A mark as the core takes it: the state, and whether running leases end. `of_states`: which devices it changes.

    So that to cordon lifts no ban, to uncordon neither, and to unban touches nobody else.
    """

    state: str
    revoke: bool
    of_states: tuple[str, ...] = ("active", "cordoned", "banned")

    @classmethod
    def of(cls, mark: str) -> "Marking":
        """The marking that a person calls `mark`; `OperatorFault(usage)`."""
        if mark not in MARKS:
            raise OperatorFault("usage", what=f"mark {mark[:32]!r}", why=f"a device can be {', '.join(MARKS)}")
        return MARKS[mark]

    def touched(self, rows: list[DeviceRow]) -> list[DeviceRow]:
        """Those of `rows` that it may change."""
        return [row for row in rows if row.state in self.of_states]

    def done(self, state: State, rows: list[DeviceRow], dry_run: bool) -> MarkDone:
        """What this marking does to `rows` as they stand now."""
        touched = self.touched(rows)
        at_work = [row.number in state.live_lease for row in touched]
        changed = sum(
            row.state != self.state or (self.revoke and busy) for row, busy in zip(touched, at_work, strict=True)
        )
        return MarkDone(
            dry_run=dry_run,
            matched=len(rows),
            changed=changed,
            at_work=sum(at_work),
            devices=[row.id for row in touched[:DEVICES_TOLD]],
        )


MARKS = {
    "active": Marking("active", False),
    "cordoned": Marking("cordoned", False, ("active", "cordoned")),
    "drained": Marking("cordoned", True, ("active", "cordoned")),
    "uncordoned": Marking("active", False, ("active", "cordoned")),
    "unbanned": Marking("active", False, ("active", "banned")),
    "banned": Marking("banned", True),
}


async def chosen(state: State, devices: Devices, ask: MarkAsk, devices_max: int) -> list[DeviceRow]:
    """The devices that `ask` means, each once; none if no labels match.

    `OperatorFault`: usage (both ways of naming, neither, or more than `devices_max`), not-found, id-ambiguous.
    """
    if bool(ask.devices) == bool(ask.labels):
        why = "exactly one of devices and labels says which"
        raise OperatorFault("usage", what="which devices are meant is not clear", why=why)
    if len(ask.devices) > devices_max:
        raise _too_many(devices_max)
    if ask.devices:
        named = [await devices.find(text) for text in ask.devices]
        return list({row.id: row for row in named}.values())
    return await _labelled(state, ask.labels, devices_max)


async def _labelled(state: State, labels: dict[str, str], devices_max: int) -> list[DeviceRow]:
    found: list[DeviceRow] = []
    every = state.devices
    for start in range(0, len(every), SLICE):
        found.extend(row for row in every.rows(start, start + SLICE) if _matches(row, labels))
        if len(found) > devices_max:
            raise _too_many(devices_max)
        await asyncio.sleep(0)
    return found


def _matches(row: DeviceRow, labels: dict[str, str]) -> bool:
    own = {"site": row.site, "name": row.name}
    return all(own.get(name, row.labels.get(name)) == text for name, text in labels.items())


def _too_many(devices_max: int) -> OperatorFault:
    return OperatorFault(
        "usage",
        what=f"more than {devices_max} devices are meant",
        why="one mark is one commit, so it is bounded",
        next="narrow the labels, or mark them in parts",
    )
