"""The aggregation role with the real engine over blobs and keys in memory: what it tells, and what it does again."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.adapters.engine import LocalEngine
from podium.core.effects import Answer, EndLease, EndRound, FinishRound, JudgeUpdate, PrepareRound
from podium.core.events import AggregateFailed, AggregateMade, UpdatesJudged
from podium.server.aggregation.manifests import upload_key_name
from podium.wire.problems import Bug
from podium.wire.tensors import read_arrays
from tests.support.aggregation_rig import BrokenEngine, EndlessEngine, Rig, WeightlessEngine, run


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
        rig.role.take(EndRound(run="r", round=1, key_id=made.digest, key_rounds=(1,)), rig.state)
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
    monkeypatch.setattr("podium.server.aggregation.role.RETRY_FIRST_MS", 20)

    async def test() -> None:
        rig = Rig(tmp_path)
        rig.blobs.fails = 1
        rig.role.take(PrepareRound(run="r", round=1, base=rig.state.rounds["r", 1].base), rig.state)
        while rig.blobs.fails:
            await asyncio.sleep(0.002)
        rig.state.put(msgspec.structs.replace(rig.state.rounds["r", 1], state="ABANDONED"))
        rig.role.take(EndRound(run="r", round=1, key_id=upload_key_name("r", 1), key_rounds=(1,)), rig.state)
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
    monkeypatch.setattr("podium.server.aggregation.role.RETRY_FIRST_MS", 20)

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
