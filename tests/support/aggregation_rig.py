"""An aggregation role with the real engine over blobs and keys in memory, and what it tells."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np

from podium.adapters.blobs import MemoryBlobs
from podium.adapters.clock import SystemClock
from podium.adapters.engine import LocalEngine
from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import MemoryKeys
from podium.adapters.memory import MemoryStore
from podium.core.effects import PrepareRound
from podium.core.events import AnyEvent, ManifestMade
from podium.core.rows import DeviceRow, LeaseRow, RoundRow, RunRow, TaskRow, VersionRow
from podium.core.state import State
from podium.crypto.seal import seal_frames, seal_key, update_info
from podium.crypto.sign import open_signed, public_key, sign
from podium.ports.plane import Arrays, RoundWork
from podium.server.aggregation.manifests import Notary, upload_key_name
from podium.server.aggregation.role import Aggregation
from podium.server.identity import ONLINE_KEY, open_identity
from podium.server.loop.loop import MakeEvent
from podium.server.plane_data import Parts
from podium.tasks.digest import task_digest
from podium.wire.canonical import b64, canonical, unb64
from podium.wire.limits import Limits
from podium.wire.messages import ENCODING_F32, Report, RoundManifest, Signed
from podium.wire.problems import PodiumError, StoreFault
from podium.wire.tensors import write_arrays
from tests.support.plane_cases import SIZE, one_hot, task

TERMS = task()
DIGEST = task_digest(TERMS)


class FlakyBlobs(MemoryBlobs):
    """Blobs whose next puts fail."""

    fails = 0

    def put(self, data: bytes) -> str:
        """Keep, or fail as a full disk does."""
        if self.fails:
            self.fails -= 1
            raise StoreFault("store-full", retryable=True)
        return super().put(data)


class Summed(LocalEngine):
    """An engine whose sum holds the lease that the tests finish over."""

    def added(self, run: str, round: int) -> frozenset[str]:
        """One lease."""
        return frozenset({"r.1.0"})


class WeightlessEngine(Summed):
    """An engine whose sums weigh nothing."""

    def finish(self, work: RoundWork, leases: object) -> Arrays:
        """Nothing to finish."""
        raise ValueError("the total weight is zero")


class EndlessEngine(Summed):
    """An engine whose next version is not finite."""

    def finish(self, work: RoundWork, leases: object) -> Arrays:
        """Beyond what the dtype holds."""
        raise OverflowError("the next version is beyond float32")


class BrokenEngine(Summed):
    """An engine with a bug."""

    def finish(self, work: RoundWork, leases: object) -> Arrays:
        """Break."""
        raise KeyError("w")


class Rig:
    """A role over memory, with a state of one run whose round is open."""

    def __init__(self, tmp_path: Path, engine: type[LocalEngine] = LocalEngine) -> None:
        keys, entropy = MemoryKeys(), SystemEntropy()
        self.blobs = FlakyBlobs()
        self.parts = Parts(
            clock=SystemClock(),
            entropy=entropy,
            keys=keys,
            blobs=self.blobs,
            store=MemoryStore(),
            limits=Limits(),
            identity=open_identity(tmp_path, keys, entropy),
        )
        self.base = self.blobs.put(write_arrays({"w": np.zeros(SIZE, np.float32)}))
        self.seed = bytes(range(32))
        self.state = State(rows(self.base, b64(public_key(self.seed))), Limits())
        self.role = Aggregation(
            self.parts,
            Notary(self.parts, lambda tree: None),
            lambda: engine(self.parts.blobs, self.parts.keys, self.parts.limits),
        )
        self.told: list[AnyEvent] = []
        self.broke: list[PodiumError] = []
        self.role.tell = self._tell
        self.role.failed = self.broke.append

    def _tell(self, make: MakeEvent) -> None:
        self.told.append(make(7))

    async def hear(self, count: int) -> AnyEvent:
        """The `count`th thing told."""
        while len(self.told) < count and not self.broke:
            await asyncio.sleep(0.002)
        return self.told[count - 1]

    async def prepared(self) -> RoundManifest:
        """Prepare the round; its manifest, verified."""
        self.role.take(PrepareRound(run="r", round=1, base=self.base), self.state)
        made = await self.hear(len(self.told) + 1)
        assert isinstance(made, ManifestMade)
        assert made.key_id == upload_key_name("r", 1)
        signed = msgspec.json.decode(self.blobs.get(made.manifest), type=Signed)
        online = public_key(self.parts.keys.get(ONLINE_KEY))
        return open_signed(online, "round-manifest", signed, RoundManifest)

    def reported(self, manifest: RoundManifest, place: int, weight: str = "1") -> str:
        """Store a one-hot update of lease `r.1.<place>` and put its row, REPORTED, into the state."""
        lease, content = f"r.1.{place}", self.parts.entropy.token(32)
        sealed = b"".join(seal_frames(content, write_arrays(one_hot(place))))
        self.blobs.append(lease, 0, sealed)
        key = seal_key(unb64(manifest.upload.public_key), content, update_info(lease, self.base))
        report = Report(
            lease=lease,
            task_digest=DIGEST,
            base=self.base,
            encoding=ENCODING_F32,
            sha256=hashlib.sha256(sealed).hexdigest(),
            length=len(sealed),
            sealed_key=b64(key),
            steps_done=1,
            weight=weight,
            metrics={},
        )
        signed = sign(self.seed, "report", canonical(report))
        self.state.put(lease_row(lease, self.base, signed))
        return lease


def lease_row(lease: str, base: str, signed: Signed) -> LeaseRow:
    """A lease whose report is stored."""
    return LeaseRow(
        id=lease,
        run="r",
        round=1,
        device="d0",
        site="",
        base=base,
        state="REPORTED",
        reason="",
        generation=2,
        epoch=1,
        granted_ms=0,
        deadline_ms=0,
        ended_ms=-1,
        report=signed.payload,
        report_signature=signed.signature,
        upload_bytes=1,
        weight=1.0,
        metrics={},
    )


def rows(base: str, key: str) -> list[DeviceRow | TaskRow | RunRow | RoundRow | VersionRow]:
    """A device, a run and its open round."""
    return [
        DeviceRow(
            id="d0",
            number=0,
            name="",
            population="default",
            site="",
            labels={},
            public_key=key,
            enrolled_ms=0,
            participated_ms=-1,
            state="active",
        ),
        TaskRow(id=DIGEST, task=TERMS),
        RunRow(
            id="r",
            task=DIGEST,
            state="RUNNING",
            reason="",
            actor="",
            started_ms=0,
            deadline_ms=10**12,
            ended_ms=-1,
            base=base,
            first=base,
            rounds_sealed=0,
            rounds_opened=1,
            abandoned_in_row=0,
            loss_rate=0.0,
            metrics={},
        ),
        RoundRow(
            run="r",
            number=1,
            state="REPORTING",
            reason="",
            base=base,
            manifest="",
            key_id="",
            opened_ms=0,
            form_deadline_ms=-1,
            reporting_ms=0,
            report_deadline_ms=-1,
            ended_ms=-1,
            leases_made=0,
            outcomes={},
            version="",
            metrics={},
            site_metrics={},
        ),
        VersionRow(
            id=base,
            number=0,
            parent="",
            run="",
            round=0,
            task="",
            made_ms=0,
            size_bytes=1,
            statement="",
            contributors=0,
            metrics={},
        ),
    ]


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())
