"""A loop over a store in memory with the real writer thread, or with a writer that a test holds."""

import asyncio
from pathlib import Path

from podium.adapters.entropy import SystemEntropy
from podium.adapters.memory import MemoryStore
from podium.core.effects import AnySend, Step
from podium.core.state import State
from podium.ports.plane import SignedHead
from podium.server.journal.sequencer import Sequencer
from podium.server.loop.loop import Loop
from podium.server.loop.writer import Writer
from podium.wire.limits import Limits
from podium.wire.problems import PodiumError


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        """The time."""
        return self.ms


class Role:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sends: list[AnySend] = []
        self.resets = 0

    def take(self, send: AnySend, state: State) -> None:
        """Note it."""
        self.sends.append(send)

    def reset(self) -> None:
        """Note it."""
        self.resets += 1


class HeldWriter:
    """A writer that makes nothing durable until a test says so."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def put(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)

    def reset(self) -> None:
        """Forget all."""
        self.steps.clear()


class Rig:
    """A loop with everything around it."""

    def __init__(self, tmp_path: Path, limits: Limits, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.clock = Clock()
        self.role = Role()
        sequencer = Sequencer(self.store, self.clock, unsigned, tmp_path / "heads.jsonl")
        self.writer = Writer(self.store, SystemEntropy(), self.clock, sequencer, limits)
        self.loop = Loop(self.store, self.clock, limits, self.writer, self.role)

    async def __aenter__(self) -> "Rig":
        running, loop = asyncio.get_running_loop(), self.loop

        def durable(number: int) -> None:
            running.call_soon_threadsafe(loop.durable, number)

        def failed(fault: PodiumError) -> None:
            running.call_soon_threadsafe(loop.failed, fault)

        self.writer.start(durable, failed)
        await loop.start(lambda core: [])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.loop.stop()
        self.writer.stop()


def unsigned(payload: bytes) -> SignedHead:
    """A head that nobody verifies here."""
    return SignedHead(payload=payload, key_id="k", signature=b"")
