"""What was collected can be nobody's alias, release or beginning, and a run that is refused leaves nothing."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from podium.crypto.release import seal_release
from podium.plane.link import OperatorLink
from podium.server.backup.restoring import restore_backup
from podium.server.backup.taking import blob_path, take_backup
from podium.server.identity import read_release_key, release_key_path
from podium.server.main import PlaneServer
from podium.server.plane import Plane, open_parts
from podium.tasks.digest import task_bytes
from podium.wire.asks import PromoteAsk, ReleaseAsk, RollbackAsk, RunAsk
from podium.wire.canonical import b64
from podium.wire.operator import VersionView
from podium.wire.problems import OperatorFault, StoreFault
from podium.wire.tensors import write_arrays
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.api_cases import linked
from tests.support.plane_cases import FAST, SIZE, Operator, enrolled, task

WAIT_S = 20.0
ALIAS = "one-hot@candidate"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlaneServer, Operator, OperatorLink]]:
    """A plane that keeps one version of a run, of which three were sealed."""
    limits = replace(FAST, versions_kept=1, blob_grace_ms=200)
    with linked(tmp_path_factory.mktemp("swept") / "data", limits) as made:
        _, operator, _ = made
        (device,) = enrolled(operator, 1)
        run = operator.submit(task(rounds=3))
        for place in range(3):
            assert train(device, offer_to(device), place).word == "stored"
        assert ended(operator, run).state == "FINISHED"
        yield made


def versions(link: OperatorLink) -> list[VersionView]:
    """The sealed versions, oldest first."""
    return [each for each in link.versions() if each.run]


def collected(server: PlaneServer, version: VersionView) -> VersionView:
    """`version`, once its bytes are gone from the disk."""
    path, until_s = blob_path(server.data, version.digest.removeprefix("sha256:")), time.monotonic() + WAIT_S
    while path.is_file():
        assert time.monotonic() < until_s, "it is never collected"
        time.sleep(0.01)
    return version


def why_refused(call: object, *args: object) -> OperatorFault:
    """With what the plane refuses `call(*args)`."""
    assert callable(call)
    with pytest.raises(OperatorFault) as caught:
        call(*args)
    return caught.value


def statement(plane: Plane | None, data: Path, digest: str, task: str) -> bytes:
    """A release of the version `digest` of the task of that digest, by the plane's own offline key."""
    assert plane is not None
    return seal_release(plane.parts.identity.document, read_release_key(release_key_path(data)), digest, task)


def test_what_was_collected_is_neither_promoted_nor_released_nor_begun_with(
    swept: tuple[PlaneServer, Operator, OperatorLink],
) -> None:
    server, _, link = swept
    first, _, last = versions(link)
    collected(server, first)
    refused = why_refused(link.promote, ALIAS, PromoteAsk(version=first.digest))
    assert refused.code == "version-unknown" and "collected" in refused.why and "podium model list" in refused.next
    terms = link.run(first.run).task_digest
    gone, here = (statement(server.plane, server.data, each.digest, terms) for each in (first, last))
    assert why_refused(link.release, first.digest, gone).code == "version-unknown"
    ask = RunAsk(task=msgspec.Raw(task_bytes(task())), base=first.digest)
    assert why_refused(link.submit, ask).code == "version-unknown"
    assert link.promote(ALIAS, PromoteAsk(version=last.digest)).version == last.digest
    assert link.release(last.digest, here).version == last.digest


def test_what_an_alias_names_stays_whatever_is_sealed_after_it(
    swept: tuple[PlaneServer, Operator, OperatorLink],
) -> None:
    server, operator, link = swept
    last = versions(link)[-1]
    link.promote(ALIAS, PromoteAsk(version=last.digest))
    (device,) = enrolled(operator, 1)
    run = operator.submit(task(rounds=3), {"w": np.full(SIZE, 7.0, np.float32)})
    for place in range(3):
        assert train(device, offer_to(device), place).word == "stored"
    assert ended(operator, run).state == "FINISHED"
    *_, gone, newest = versions(link)
    link.promote(ALIAS, PromoteAsk(version=newest.digest))
    collected(server, gone)
    assert link.rollback(ALIAS, RollbackAsk()).version == last.digest
    assert len(link.blob(last.digest)) == last.size_bytes
    assert why_refused(link.rollback, ALIAS, RollbackAsk(version=gone.digest)).code == "usage", "it never named that"


def test_a_backup_does_without_what_an_alias_only_once_named(tmp_path: Path) -> None:
    """As a release let it that named what was collected: it must not end every backup for good."""
    data, out = tmp_path / "data", tmp_path / "b.tar"
    with linked(data) as (server, operator, link):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task(rounds=2))
        for place in range(2):
            assert train(device, offer_to(device), place).word == "stored"
        assert ended(operator, run).state == "FINISHED"
        once, now = versions(link)
        for version in (once, now):
            link.promote(ALIAS, PromoteAsk(version=version.digest))
        link.release(once.digest, statement(server.plane, data, once.digest, link.run(run).task_digest))
    assert take_backup(data, out).gone == 0
    lost = blob_path(data, once.digest.removeprefix("sha256:"))
    lost.unlink()
    out.unlink()
    assert take_backup(data, out).gone == 1
    restore_backup(out, tmp_path / "restored")
    with linked(data) as (_, _, link):
        assert why_refused(link.rollback, ALIAS, RollbackAsk()).code == "version-unknown"
    blob_path(data, now.digest.removeprefix("sha256:")).unlink()
    with pytest.raises(StoreFault, match="store-corrupt") as caught:
        take_backup(data, tmp_path / "none.tar")
    assert now.digest in caught.value.what and "alias" in caught.value.next


def asked(fill: float) -> RunAsk:
    """A run that begins with a model full of `fill`."""
    model = write_arrays({"w": np.full(SIZE, fill, np.float32)})
    return RunAsk(task=msgspec.Raw(task_bytes(task())), model=b64(model))


def test_no_sweep_goes_between_finding_a_version_and_naming_it(tmp_path: Path) -> None:
    async def test() -> None:
        data = tmp_path / "data"
        plane = Plane(await asyncio.to_thread(open_parts, data, FAST), data)
        await plane.open()
        run = (await plane.submission.submit("person:administrator", asked(1.0))).run
        digest = plane.loop.state.runs[run].base
        ask = ReleaseAsk(statement=msgspec.Raw(statement(plane, data, digest, "")))
        async with plane.room.naming:  # as a sweep holds it
            releasing = asyncio.create_task(plane.surface.acts.release("person:administrator", digest, ask))
            done, _ = await asyncio.wait({releasing}, timeout=0.2)
            assert not done
            await plane.room.run(plane.parts.blobs.delete, digest)
        with pytest.raises(OperatorFault, match="version-unknown"):
            await releasing
        assert not plane.loop.state.releases
        await plane.close()

    asyncio.run(test())


def test_a_run_that_is_refused_leaves_no_version(swept: tuple[PlaneServer, Operator, OperatorLink]) -> None:
    _, operator, link = swept

    made = link.submit(asked(1.0), "once")
    before = len(link.versions())
    for fill in (2.0, 3.0):
        assert why_refused(link.submit, asked(fill), "once").code == "conflicting-repeat"
    assert link.submit(asked(1.0), "once") == made
    link.stop(made.run)
    assert link.submit(asked(1.0), "once") == made, "the same answer, whatever became of the run"
    runs_max = server_limit(swept)
    started = [operator.submit(task()) for _ in range(runs_max - sum(each.state == "RUNNING" for each in link.runs()))]
    assert why_refused(link.submit, asked(4.0)).code == "run-limit"
    assert len(link.versions()) == before
    for run in started:
        link.stop(run)


def server_limit(swept: tuple[PlaneServer, Operator, OperatorLink]) -> int:
    """How many runs may be open on the plane at once."""
    plane = swept[0].plane
    assert plane is not None
    return plane.parts.limits.runs_active_max
