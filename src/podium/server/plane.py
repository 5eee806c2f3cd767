"""A whole plane in one process: opens the data directory, wires every room, and answers HTTP as one ASGI application.

Decides: the order in which things open and close. Never: how it is reached (main.py binds sockets and runs threads).
Opening: directory and store (locked, migrated), identity and keys, writer, core, reconcile. Closing is the reverse, and
waits at most `drain_ms` for what is under way.
"""

import asyncio
import contextlib
import logging
from functools import partial
from pathlib import Path

import msgspec

from podium.adapters.blobs import LocalBlobs
from podium.adapters.clock import SystemClock
from podium.adapters.engine import LocalEngine
from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import FileKeys
from podium.adapters.sqlite.pages import SqlitePages
from podium.adapters.sqlite.store import SqliteStore
from podium.core.events import HeadSigned
from podium.core.outbox import POPULATION
from podium.crypto.sign import sign
from podium.ports.plane import SignedHead
from podium.server.aggregation.manifests import Notary
from podium.server.aggregation.role import Aggregation
from podium.server.backup.frozen import freeze_restored
from podium.server.boot import reconcile
from podium.server.devices.device_routes import Conversation
from podium.server.devices.gateway import Door, Gateway, Handler
from podium.server.devices.lease_routes import Delivery
from podium.server.devices.sessions import Sessions
from podium.server.devices.transfers import Transfers
from podium.server.devices.uploads import BlobRoom
from podium.server.http import Receive, Scope, Send
from podium.server.identity import open_identity
from podium.server.journal.audit import META_ROOT
from podium.server.journal.heads import PURPOSE, check_not_older, from_signed, heads_path, to_signed
from podium.server.journal.sequencer import Sequencer
from podium.server.loop.facts import FactsKeeper
from podium.server.loop.loop import Loop
from podium.server.loop.writer import Writer
from podium.server.metrics import PlaneMetrics
from podium.server.observe.gauges import Gauges
from podium.server.observe.timed import TimedEngine
from podium.server.observe.watch import Watch
from podium.server.operators.submission import Submission
from podium.server.plane_data import Parts, session_root
from podium.server.retention import Retention
from podium.server.rotation import kept_roots
from podium.server.surface import Surface
from podium.wire.canonical import decode_canonical, unb64
from podium.wire.limits import Limits
from podium.wire.messages import Head, Signed
from podium.wire.problems import PodiumError

log = logging.getLogger("podium.plane")


def open_parts(data: Path, limits: Limits) -> Parts:
    """The ports over the data directory, and the identity that a first start makes.

    `OperatorFault(data-in-use | data-newer)`, `StoreFault`. Blocking.
    """
    store = SqliteStore(data)
    try:
        entropy = SystemEntropy()
        keys = FileKeys(data / "keys", alone=True)  # the store holds the directory's lock
        identity = open_identity(data, keys, entropy, kept_roots(store, SqlitePages(store)))
        check_not_older(heads_path(data), identity.document, store.head)
        # Kept in the database too, so that a copy of it alone can be verified.
        store.set_meta(META_ROOT, msgspec.json.encode(identity.root).decode())
        return Parts(
            clock=SystemClock(store.last_ms()),
            entropy=entropy,
            keys=keys,
            blobs=LocalBlobs(data / "blobs", alone=True),
            store=store,
            limits=limits.check(),
            identity=identity,
        )
    except BaseException:
        store.close()
        raise


class Plane:
    """One plane. `open` once on the event loop it will live on; it is then an ASGI application; `close` once."""

    def __init__(self, parts: Parts, data: Path) -> None:
        self.parts = parts
        self._data = data
        limits = parts.limits

        def sign_head(payload: bytes) -> SignedHead:
            return from_signed(sign(parts.online_seed(), PURPOSE, payload))

        self._sequencer = Sequencer(parts.store, parts.clock, sign_head, heads_path(data))
        self._writer = Writer(parts.store, parts.entropy, parts.clock, self._sequencer, limits)
        self.room = BlobRoom(parts.blobs, limits)
        self.notary = Notary(parts, self.head_of)
        self.metrics = PlaneMetrics()
        self._writer.timed = self._committed
        self.role = Aggregation(
            parts, self.notary, lambda: TimedEngine(LocalEngine(parts.blobs, parts.keys, limits), self.metrics)
        )
        self.loop = Loop(parts.store, parts.clock, limits, self._writer, self.role)
        self.role.tell, self.role.failed = self.loop.tell, self.loop.failed
        self.watch = Watch(self.metrics)
        self.loop.on_durable, self.loop.on_failed = self.watch.step, self.watch.failed
        self.metrics.watch(Gauges(data, self.loop, self.watch, self._placed))
        sessions = Sessions(session_root(parts.keys, parts.entropy), parts.entropy, limits)
        door = Door(self.loop, sessions, limits)
        timed = Transfers(self.loop.now_ms)
        self._conversation = Conversation(parts, door, self.loop, sessions, timed)
        self._conversation.head_of = self.head_of
        delivery = Delivery(parts, door, self.loop, self.room, timed)
        self.gateway = Gateway(door, device_routes(self._conversation, delivery), self.metrics)
        self.retention = Retention(parts, self.loop, self.room)
        self.facts = FactsKeeper(self.loop, parts.store, limits.facts_ms)
        self.submission = Submission(parts, self.loop, self.room, self.notary)
        self.surface = Surface(parts, self.loop, self.room, self.submission, self.metrics, data)
        self.surface.tells_heads(self.heads)
        self._standing: list[asyncio.Task[None]] = []

    def heads(self) -> dict[str, Signed]:
        """The newest signed head of each tree."""
        return {tree: to_signed(head) for tree, head in self._sequencer.heads().items()}

    def head_of(self, tree: str) -> Signed | None:
        """The newest signed head of `tree`."""
        head = self._sequencer.heads().get(tree)
        return None if head is None else to_signed(head)

    def _placed(self) -> int:
        """How many journal entries have their place, over all trees."""
        return sum(decode_canonical(head.payload, Head).size for head in self._sequencer.heads().values())

    def _committed(self, steps: int, seconds: float) -> None:
        self.metrics.observe("podium_commit_seconds", seconds)
        self.metrics.observe("podium_commit_batch_steps", steps)

    async def open(self) -> None:
        """Start the writer and the core. `StoreFault`, `OperatorFault(journal-broken)`."""
        running = asyncio.get_running_loop()
        loop = self.loop

        def durable(number: int) -> None:
            running.call_soon_threadsafe(loop.durable, number)

        def failed(fault: PodiumError) -> None:
            running.call_soon_threadsafe(loop.failed, fault)

        await asyncio.to_thread(self._writer.start, durable, failed)
        self.watch.begin(self._placed())
        await loop.start(lambda core: reconcile(self.parts, core.state))
        await freeze_restored(self._data, loop)
        standing = (self.retention.run(), self._witness(), self.surface.fleet.run(), self.facts.run())
        self._standing = [running.create_task(each) for each in standing]
        await self.surface.open()
        log.info("plane open", extra={"plane": self.parts.identity.plane_id})

    async def _witness(self) -> None:
        """Put the population's newest head into the plane's tree from time to time, if it changed."""
        told = None
        while True:
            await asyncio.sleep(self.parts.limits.witness_ms / 1000)
            signed = self.head_of(POPULATION)
            if signed is None or signed == told:
                continue
            told = signed
            self.loop.tell(partial(_head_signed, decode_canonical(unb64(signed.payload), Head)))

    async def close(self) -> None:
        """Drain, stop the threads, close the store."""
        for task in self._standing:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.surface.close()
        await self.facts.save()
        await self.loop.stop()
        await asyncio.to_thread(self.role.close)
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self.room.close)
        self.parts.store.close()
        log.info("plane closed", extra={"plane": self.parts.identity.plane_id})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: devices by the raw routes, everything else by the pages."""
        path = scope.get("path", "")
        if scope["type"] == "http" and isinstance(path, str) and path.startswith("/v1/"):
            await self.gateway(scope, receive, send)
        else:
            await self.surface.pages(scope, receive, send)


def _head_signed(head: Head, at_ms: int) -> HeadSigned:
    return HeadSigned(at_ms=at_ms, tree=head.tree, size=head.size, root=head.root)


def device_routes(talk: Conversation, delivery: Delivery) -> dict[tuple[str, str], Handler]:
    """The eight steps: (method, route) -> handler."""
    return {
        ("GET", "/v1/root"): talk.root,
        ("POST", "/v1/enrol"): talk.enrol,
        ("POST", "/v1/session/challenge"): talk.challenge,
        ("POST", "/v1/session"): talk.session,
        ("POST", "/v1/checkin"): talk.check_in,
        ("POST", "/v1/leases/*/accept"): talk.accept,
        ("POST", "/v1/leases/*/decline"): talk.decline,
        ("POST", "/v1/leases/*/progress"): talk.progress,
        ("POST", "/v1/leases/*/fail"): talk.fail,
        ("GET", "/v1/blobs/*"): delivery.blob,
        ("PUT", "/v1/leases/*/upload"): delivery.put_chunk,
        ("HEAD", "/v1/leases/*/upload"): delivery.offset,
        ("POST", "/v1/leases/*/report"): delivery.report,
    }
