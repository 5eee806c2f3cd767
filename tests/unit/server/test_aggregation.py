"""The aggregation role with the real engine over blobs and keys in memory: what it tells, and what it does again."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.adapters.blobs import MemoryBlobs
from podium.adapters.clock import SystemClock
from podium.adapters.engine import LocalEngine
from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import MemoryKeys
from podium.adapters.memory import MemoryStore
from podium.core.effects import Answer, EndLease, EndRound, FinishRound, JudgeUpdate, PrepareRound
from podium.core.events import AggregateFailed, AggregateMade, AnyEvent, ManifestMade, UpdatesJudged
from podium.core.rows import DeviceRow, LeaseRow, RoundRow, RunRow, TaskRow, VersionRow
from podium.core.state import State
from podium.crypto.seal import seal_frames, seal_key, update_info
from podium.crypto.sign import open_signed, public_key, sign
from podium.ports.plane import Arrays, RoundWork
from podium.server.aggregation import Aggregation, round_of_lease
from podium.server.loop import MakeEvent
from podium.server.manifests import Notary, upload_key_name
from podium.server.plane_data import ONLINE_KEY, Parts, open_identity
from podium.tasks.digest import task_digest
from podium.wire.canonical import b64, canonical, unb64
from podium.wire.limits import Limits
from podium.wire.messages import ENCODING_F32, Report, RoundManifest, Signed
from podium.wire.problems import Bug, PodiumError, StoreFault
from podium.wire.tensors import read_arrays, write_arrays
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


def test_a_round_from_key_to_version(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        manifest = await rig.prepared()
        again = await rig.prepared()
        assert again.upload == manifest.upload, "preparing again makes no other key"
        leases = tuple(sorted(rig.reported(manifest, place) for place in range(3)))
        before = len(rig.told)
        for lease in (*leases, leases[0]):
            rig.role.take(JudgeUpdate(lease=lease), rig.state)
        while sum(len(told.verdicts) for told in rig.told if isinstance(told, UpdatesJudged)) < 4:
            await rig.hear(len(rig.told) + 1)
        judged = [told for told in rig.told[before:] if isinstance(told, UpdatesJudged)]
        assert {verdict.code for told in judged for verdict in told.verdicts} == {""}
        rig.role.take(FinishRound(run="r", round=1, leases=leases), rig.state)
        made = await rig.hear(len(rig.told) + 1)
        assert isinstance(made, AggregateMade) and made.leases == leases
        data = rig.blobs.get(made.digest)
        assert len(data) == made.size_bytes
        weights = read_arrays(data)["w"].astype(np.float64)
        np.testing.assert_allclose(weights[:4], [1 / 3, 1 / 3, 1 / 3, 0.0], atol=1e-5)
        assert rig.blobs.size(made.statement) > 100
        rig.role.take(EndRound(run="r", round=1, key_id=made.digest), rig.state)
        while rig.blobs.uploads():
            await asyncio.sleep(0.002)
        rig.role.close()
        assert rig.parts.keys.names("upload/") == []

    run(test)


def test_a_full_disk_is_tried_again(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.fails = 2
        assert (await rig.prepared()).round == 1
        assert rig.blobs.fails == 0 and not rig.broke
        rig.role.close()

    run(test)


def test_a_round_that_ended_meanwhile_gets_no_key_by_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.server.aggregation.RETRY_FIRST_MS", 20)

    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.fails = 1
        rig.role.take(PrepareRound(run="r", round=1, base=rig.state.rounds["r", 1].base), rig.state)
        while rig.blobs.fails:
            await asyncio.sleep(0.002)
        rig.state.put(msgspec.structs.replace(rig.state.rounds["r", 1], state="ABANDONED"))
        rig.role.take(EndRound(run="r", round=1, key_id=upload_key_name("r", 1)), rig.state)
        await asyncio.sleep(0.06)  # longer than the pause before another try
        rig.role.close()
        assert rig.parts.keys.names("upload/") == []
        assert rig.told == [] and not rig.broke

    run(test)


def test_an_erased_key_gives_the_round_up(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        manifest = await rig.prepared()
        lease = rig.reported(manifest, 0)
        rig.parts.keys.erase(upload_key_name("r", 1))
        rig.role.take(JudgeUpdate(lease=lease), rig.state)
        told = await rig.hear(2)
        assert told == AggregateFailed(at_ms=7, run="r", round=1, reason="key-erased")
        rig.role.close()

    run(test)


@pytest.mark.parametrize(("engine", "reason"), [(WeightlessEngine, "weight-zero"), (EndlessEngine, "not-finite")])
def test_a_sum_that_makes_no_version_gives_the_round_up(tmp_path: Path, engine: type[LocalEngine], reason: str) -> None:
    async def test() -> None:
        rig = Rig(tmp_path, engine)
        rig.role.take(FinishRound(run="r", round=1, leases=("r.1.0",)), rig.state)
        assert await rig.hear(1) == AggregateFailed(at_ms=7, run="r", round=1, reason=reason)
        rig.role.close()

    run(test)


def test_a_base_that_is_gone_gives_the_round_up(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.delete(rig.base)
        rig.role.take(PrepareRound(run="r", round=1, base=rig.base), rig.state)
        assert await rig.hear(1) == AggregateFailed(at_ms=7, run="r", round=1, reason="base-lost")
        assert not rig.broke, "one lost blob must not take the plane down"
        rig.role.close()

    run(test)


def test_an_accepted_update_that_rotted_gives_the_round_up(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        lease = rig.reported(await rig.prepared(), 0)
        rig.state.put(msgspec.structs.replace(rig.state.leases[lease], state="ACCEPTED"))
        rig.blobs.discard(lease)
        rig.blobs.append(lease, 0, b"other bytes")
        rig.role.take(JudgeUpdate(lease=lease), rig.state)
        rig.role.take(FinishRound(run="r", round=1, leases=(lease,)), rig.state)
        assert await rig.hear(2) == AggregateFailed(at_ms=7, run="r", round=1, reason="update-lost")
        rig.role.close()
        assert len(rig.told) == 2 and not rig.broke

    run(test)


def test_a_sum_waits_for_an_update_that_could_not_be_read_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.server.aggregation.RETRY_FIRST_MS", 20)

    async def test() -> None:
        rig = Rig(tmp_path)
        lease = rig.reported(await rig.prepared(), 0)
        rig.role.take(FinishRound(run="r", round=1, leases=(lease,)), rig.state)
        rig.role.take(JudgeUpdate(lease=lease), rig.state)
        while not any(isinstance(told, AggregateMade) for told in rig.told):
            await rig.hear(len(rig.told) + 1)
        assert not rig.broke
        rig.role.close()

    run(test)


def test_a_bug_of_the_role_drops_the_core(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path, BrokenEngine)
        rig.role.take(FinishRound(run="r", round=1, leases=("r.1.0",)), rig.state)
        while not rig.broke:
            await asyncio.sleep(0.002)
        assert [fault.code for fault in rig.broke] == ["bug"] and not rig.told
        rig.role.close()

    run(test)


def test_what_was_under_way_before_a_reset_tells_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.fails = 1
        rig.role.take(PrepareRound(run="r", round=1, base=rig.base), rig.state)
        rig.role.reset()
        rig.role.take(PrepareRound(run="r", round=1, base=rig.base), rig.state)
        await rig.hear(1)
        await asyncio.sleep(0.3)
        assert len(rig.told) == 1, "the first was forgotten, and is not tried again"
        rig.role.close()

    run(test)


def test_an_ended_lease_loses_its_chunks(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.append("r.1.5", 0, b"chunk")
        rig.role.take(EndLease(lease="r.1.5"), rig.state)
        while rig.blobs.uploads():
            await asyncio.sleep(0.002)
        with pytest.raises(Bug):
            rig.role.take(Answer(ticket=1, word="done"), rig.state)
        rig.role.close()

    run(test)


def test_a_lease_names_its_round() -> None:
    assert round_of_lease("7f3a.12.345") == ("7f3a", 12)
