"""Keeps what devices told, chunk by chunk, so that a plane that starts again knows its fleet before it returns.

Decides: when a chunk is kept: every `facts_ms`, and when the plane stops, if a device in it told something since; only
once every step before it is durable, so that no chunk names a device that a crash un-enrols. Never: what a chunk holds
(core/fleet/snapshot.py), nor a row: a lost or damaged chunk costs what its devices tell again. The event loop's thread
copies one chunk at a time, another one compresses and writes it.
"""

import asyncio
import logging
from typing import Protocol

from podium.core.fleet import snapshot
from podium.core.rows import FactsChunk
from podium.core.state import State
from podium.ports.plane import Store
from podium.wire.problems import PodiumError, StoreFault

log = logging.getLogger("podium.facts")


class Decided(Protocol):
    """What is needed of the loop (server/loop/loop.py)."""

    @property
    def state(self) -> State:
        """The core's rows and memory; raises while the plane has no core."""
        ...

    def now_ms(self) -> int:
        """The plane's monotonic time."""
        ...

    async def settled(self) -> None:
        """Wait until all that was decided so far is durable; raises if it is lost instead."""
        ...


def restore_facts(state: State, store: Store, now_ms: int) -> None:
    """Let the fleet of `state`, just loaded, know what was kept of it; what cannot be used is told and passed over."""
    devices = 0
    try:
        for chunk in store.facts():
            devices += _restored(state, chunk, now_ms)
    except StoreFault as fault:
        log.warning("facts of devices cannot be read", extra={"code": fault.code, "why": fault.why})
    if devices:
        log.info("facts of devices restored", extra={"devices": devices})


def _restored(state: State, chunk: FactsChunk, now_ms: int) -> int:
    try:
        return snapshot.restore(state.fleet, chunk, now_ms)
    except ValueError as error:
        log.warning("facts of devices are passed over", extra={"chunk": chunk.number, "why": str(error)})
        return 0


class FactsKeeper:
    """Keeps the chunks of one plane. Runs on the event loop's thread."""

    def __init__(self, loop: Decided, store: Store, facts_ms: int) -> None:
        self._loop = loop
        self._store = store
        self._facts_ms = facts_ms

    async def run(self) -> None:
        """Save for ever; what the store fails is kept at the next turn."""
        while True:
            await asyncio.sleep(self._facts_ms / 1000)
            await self.save()

    async def save(self) -> None:
        """Keep every chunk that changed. A fault is logged: nothing durable depends on it."""
        try:
            state = self._loop.state
            for number in snapshot.changed(state.fleet):
                await self._keep(state, number)
        except PodiumError as fault:
            log.warning("facts of devices are not kept", extra={"code": fault.code, "why": fault.why})

    async def _keep(self, state: State, number: int) -> None:
        taken, at_ms = snapshot.taken(state.fleet, number), self._loop.now_ms()
        kept = False
        try:
            await self._loop.settled()
            await asyncio.to_thread(lambda: self._store.keep_facts((snapshot.packed(taken, at_ms),)))
            kept = True
        finally:
            state.fleet.changed[number] |= not kept
