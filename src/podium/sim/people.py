"""People who pause the run, freeze the plane and cordon devices at drawn moments, and take it back after a drawn while.

Decides: when, for how long and how hard (leases left or revoked). Never: what follows. A person who sees that an act is
not taken back, because the plane died before it was durable, does it again: so every simulation still ends.
"""

import math
import random
from collections.abc import Iterator

from podium.core.events import AnyEvent, DevicesMarked, Frozen, RunPaused, RunResumed, Unfrozen
from podium.core.state import State
from podium.sim.faults import Faults

PAUSED_MS = (1_000, 180_000)
FROZEN_MS = (1_000, 300_000)
CORDONED_MS = (5_000, 120_000)
CORDONED_MAX = 5
"""Devices cordoned at once."""
ACTOR = "person:administrator"


class People:
    """Those who run the plane; what they see is the core's memory."""

    def __init__(self, run: str, chance: random.Random, faults: Faults) -> None:
        self.run = run
        self.chance = chance
        self.faults = faults
        self._until: dict[str, int] = {}  # what is to be taken back -> when
        self._cordoned: tuple[str, ...] = ()

    def acts(self, at_ms: int, state: State) -> Iterator[AnyEvent]:
        """What people do at `at_ms`."""
        yield from self._on_run(at_ms, state)
        yield from self._on_plane(at_ms, state)
        yield from self._on_devices(at_ms, state)

    def _for(self, what: str, at_ms: int, span_ms: tuple[int, int]) -> None:
        # log-uniform: short and long alike, and seldom so long that nothing else happens
        shortest, longest = (math.log(ms) for ms in span_ms)
        self._until[what] = at_ms + int(math.exp(self.chance.uniform(shortest, longest)))

    def _on_run(self, at_ms: int, state: State) -> Iterator[AnyEvent]:
        standing = state.runs[self.run].state
        if standing in ("PAUSING", "PAUSED"):
            if at_ms >= self._until["pause"]:
                yield RunResumed(at_ms=at_ms, ticket=-1, actor=ACTOR, run=self.run)
        elif standing == "RUNNING" and self.faults.strikes("pause"):
            self._for("pause", at_ms, PAUSED_MS)
            now = self.chance.random() < 0.5
            yield RunPaused(at_ms=at_ms, ticket=-1, actor=ACTOR, run=self.run, now=now, why="drawn")

    def _on_plane(self, at_ms: int, state: State) -> Iterator[AnyEvent]:
        if state.frozen():
            if at_ms >= self._until["freeze"]:
                yield Unfrozen(at_ms=at_ms, ticket=-1, actor=ACTOR, why="drawn")
        elif self.faults.strikes("freeze"):
            self._for("freeze", at_ms, FROZEN_MS)
            yield Frozen(at_ms=at_ms, ticket=-1, actor=ACTOR, revoke=self.chance.random() < 0.5, why="drawn")

    def _on_devices(self, at_ms: int, state: State) -> Iterator[AnyEvent]:
        if state.fleet.cordoned.any():
            if at_ms >= self._until["cordon"]:
                yield self._mark(at_ms, "active", of_state="cordoned")
        elif self.faults.strikes("cordon"):
            self._for("cordon", at_ms, CORDONED_MS)
            count = min(len(state.devices), CORDONED_MAX)
            self._cordoned = tuple(
                state.devices.id(number) for number in self.chance.sample(range(len(state.devices)), count)
            )
            yield self._mark(at_ms, "cordoned", of_state="active", revoke=self.chance.random() < 0.5)

    def _mark(self, at_ms: int, state: str, of_state: str, revoke: bool = False) -> AnyEvent:
        return DevicesMarked(
            at_ms=at_ms,
            ticket=-1,
            actor=ACTOR,
            devices=self._cordoned,
            state=state,
            of_states=(of_state,),
            revoke=revoke,
            why="drawn",
        )
