"""The loop over a store in memory, with the real writer thread: batches, order, overload, and reload after failures."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryStore
from podium.core.effects import PrepareRound
from podium.core.events import EnrolAsked, RunSubmitted, TokenIssued, VersionImported
from podium.core.selection.reasons import REASONS
from podium.server.loop.batches import session_opened
from podium.server.loop.loop import Loop
from podium.tasks.digest import task_digest
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities, CheckIn
from podium.wire.problems import Bug, DeviceFault, PodiumError, StoreFault
from tests.support.loop_rig import Clock, HeldWriter, Rig, Role
from tests.support.plane_cases import task


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""
    asyncio.run(asyncio.wait_for(_awaited(test), 30))


async def _awaited(test: Callable[[], Awaitable[None]]) -> None:
    await test()


async def issue(loop: Loop, name: str = "t", uses: int = 1) -> str:
    """Issue a token called `name`."""
    answer = await loop.ask(
        lambda at, ticket: TokenIssued(
            at_ms=at,
            ticket=ticket,
            actor="person:administrator",
            token_hash=name,
            population="default",
            site="",
            name="",
            labels={},
            uses=uses,
            expires_ms=at + 1000,
        )
    )
    return answer.word


async def join(loop: Loop, number: int) -> None:
    """Enrol device `number` and open its session with epoch 1."""
    await issue(loop, f"token-{number}")
    enrolled = await loop.ask(
        lambda at, ticket: EnrolAsked(
            at_ms=at,
            ticket=ticket,
            token_hash=f"token-{number}",
            device_id=f"d{number}",
            public_key=f"key-{number}",
            population="default",
            name="",
        )
    )
    assert (enrolled.word, enrolled.id) == ("done", f"d{number}")
    opened = await loop.ask(lambda at, ticket: session_opened(at, ticket, number, 1, Capabilities()))
    assert opened.word == "done"


def test_an_answer_waits_until_its_step_is_durable(tmp_path: Path) -> None:
    async def test() -> None:
        writer = HeldWriter()
        store = MemoryStore()
        loop = Loop(store, Clock(), Limits(), writer, Role())
        await loop.start(lambda core: [])
        waiting = asyncio.ensure_future(issue(loop))
        await asyncio.sleep(0)
        assert [len(step.records) for step in writer.steps] == [1, 1]
        loop.durable(writer.steps[0].number)
        await asyncio.sleep(0)
        assert not waiting.done(), "the boot is durable, the token is not"
        loop.durable(writer.steps[1].number)
        assert await waiting == "done"

    run(test)


def test_a_step_without_records_waits_for_those_before_it(tmp_path: Path) -> None:
    async def test() -> None:
        writer = HeldWriter()
        loop = Loop(MemoryStore(), Clock(), Limits(), writer, Role())
        await loop.start(lambda core: [])
        unknown = asyncio.ensure_future(
            loop.ask(
                lambda at, ticket: EnrolAsked(
                    at_ms=at,
                    ticket=ticket,
                    token_hash="none",
                    device_id="d",
                    public_key="k",
                    population="default",
                    name="",
                )
            )
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(writer.steps) == 1 and not unknown.done(), "a refusal is no record, but the boot is not durable"
        loop.durable(writer.steps[0].number)
        assert (await unknown).code == "token-invalid"
        again = await loop.ask(
            lambda at, ticket: EnrolAsked(
                at_ms=at, ticket=ticket, token_hash="none", device_id="d", public_key="k", population="", name=""
            )
        )
        assert again.code == "token-invalid", "nothing recorded is before it now"

    run(test)


def test_nobody_hears_of_what_is_not_durable(tmp_path: Path) -> None:
    async def test() -> None:
        writer = HeldWriter()
        loop = Loop(MemoryStore(), Clock(), Limits(), writer, Role())
        await loop.start(lambda core: [])
        loop.durable(writer.steps[0].number)
        await loop.settled()
        asked = asyncio.ensure_future(issue(loop))
        await asyncio.sleep(0)
        assert "t" in loop.state.tokens, "the core is ahead of the store"
        reading = asyncio.ensure_future(loop.settled())
        await asyncio.sleep(0)
        assert not reading.done()
        loop.durable(writer.steps[1].number)
        await reading
        assert (await asked) == "done" and loop.steps_ahead == 0
        later = asyncio.ensure_future(issue(loop, "u"))
        await asyncio.sleep(0)
        reading = asyncio.ensure_future(loop.settled())
        await asyncio.sleep(0)
        loop.failed(StoreFault("store-full"))
        for lost in (reading, later):
            with pytest.raises(StoreFault, match="store-full"):
                await lost
        await loop.stop()

    run(test)


def test_check_ins_of_one_moment_share_one_step(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            for number in range(20):
                await join(rig.loop, number)
            before = rig.store.load().step
            outcomes = await asyncio.gather(*(rig.loop.check_in(number, 1, CheckIn()) for number in range(20)))
            assert {REASONS[outcome.reason] for outcome in outcomes} == {"no-task"}
            assert all(outcome.window_ok_ms > 0 for outcome in outcomes)
            stale = await rig.loop.check_in(3, 0, CheckIn())
            assert REASONS[stale.reason] == "epoch"
            assert rig.store.load().step == before, "a check-in that gets nothing costs no durable write"

    run(test)


def test_a_full_batch_does_not_wait(tmp_path: Path) -> None:
    async def test() -> None:
        limits = Limits(batch_ms=3_600_000, batch_rows_max=4)
        async with Rig(tmp_path, limits) as rig:
            for number in range(4):
                await join(rig.loop, number)
            await asyncio.gather(*(rig.loop.check_in(number, 1, CheckIn()) for number in range(4)))

    run(test)


def test_more_requests_than_the_limit_are_refused_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        limits = Limits(requests_waiting_max=3, steps_ahead_max=2)
        writer = HeldWriter()
        loop = Loop(MemoryStore(), Clock(), limits, writer, Role())
        await loop.start(lambda core: [])
        waiting = [asyncio.ensure_future(issue(loop, f"t{number}")) for number in range(3)]
        await asyncio.sleep(0)
        assert loop.waiting == 3 and loop.steps_ahead == 2, "the core runs ahead of the store no further than allowed"
        with pytest.raises(DeviceFault, match="overloaded"):
            await issue(loop, "one too many")
        while not all(future.done() for future in waiting):
            loop.durable(writer.steps[-1].number)
            await asyncio.sleep(0)
        assert [future.result() for future in waiting] == ["done"] * 3
        assert [step.number for step in writer.steps] == [1, 2, 3, 4]

    run(test)


def test_batches_wait_for_room_ahead_of_the_store(tmp_path: Path) -> None:
    async def test() -> None:
        limits = Limits(steps_ahead_max=1, batch_ms=1)
        writer = HeldWriter()
        loop = Loop(MemoryStore(), Clock(), limits, writer, Role())
        await loop.start(lambda core: [])
        asked = asyncio.ensure_future(loop.check_in(0, 1, CheckIn()))
        await asyncio.sleep(0.02)
        assert not asked.done()
        loop.failed(StoreFault("store-failed"))
        with pytest.raises(StoreFault, match="store-failed"):
            await asked
        await loop.stop()

    run(test)


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("code", ["store-failed", "store-full", "store-unknown"])
def test_a_failed_commit_reloads_and_the_repeat_is_the_same(tmp_path: Path, code: str, applied: bool) -> None:
    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            await join(rig.loop, 0)
            rig.store.fail_next(code, applied)
            with pytest.raises(StoreFault, match=code):
                await issue(rig.loop, "again")
            assert rig.loop.broken.startswith(code)
            with pytest.raises(StoreFault, match=code):
                await rig.loop.check_in(0, 1, CheckIn())
            assert rig.role.resets == 1
            while rig.loop.broken:
                await asyncio.sleep(0.01)
            assert await issue(rig.loop, "again") == "done"
            assert set(rig.loop.state.tokens) == {"token-0", "again"}
            assert rig.loop.state.devices[0].id == "d0"
            rows = {(type(row).__name__, row.key()): row for row in rig.store.load().rows}
            memory = [*rig.loop.state.tokens.values(), *rig.loop.state.devices]
            assert sorted(rows) == sorted((type(row).__name__, row.key()) for row in memory)

    run(test)


def test_a_store_that_stays_broken_is_tried_again_and_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            await join(rig.loop, 0)
            for _ in range(3):
                rig.store.fail_next("store-full", False)
            with pytest.raises(StoreFault, match="store-full"):
                await issue(rig.loop, "x")
            while rig.role.resets < 3 or rig.loop.broken:
                await asyncio.sleep(0.01)
            assert await issue(rig.loop, "x") == "done"

    run(test)


def test_after_a_reload_what_is_open_is_asked_for_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            rig.loop.tell(
                lambda at: VersionImported(at_ms=at, actor="person:x", digest="sha256:b", size_bytes=1, statement="s")
            )
            terms = task()
            submitted = await rig.loop.ask(
                lambda at, ticket: RunSubmitted(
                    at_ms=at,
                    ticket=ticket,
                    actor="person:x",
                    run="r",
                    task=terms,
                    task_digest=task_digest(terms),
                    base="sha256:b",
                )
            )
            assert submitted.word == "done"
            assert [type(send) for send in rig.role.sends] == [PrepareRound]
            rig.store.fail_next("store-unknown", True)
            with pytest.raises(StoreFault, match="store-unknown"):
                await issue(rig.loop, "x")
            while len(rig.role.sends) < 2:
                await asyncio.sleep(0.01)
            assert rig.role.sends == [PrepareRound(run="r", round=1, base="sha256:b")] * 2

    run(test)


def test_an_event_that_breaks_the_core_drops_it_and_the_plane_goes_on(tmp_path: Path) -> None:
    def breaking(at_ms: int) -> RunSubmitted:
        raise ZeroDivisionError(f"at {at_ms}")

    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            rig.loop.tell(breaking)
            assert rig.role.resets == 1 and rig.loop.broken.startswith("bug")
            rig.loop.tell(breaking)
            assert rig.role.resets == 1, "nothing is told to a core that is gone"
            while rig.loop.broken:
                await asyncio.sleep(0.01)
            assert await issue(rig.loop) == "done"

    run(test)


def test_time_never_falls_below_the_last_durable_step(tmp_path: Path) -> None:
    async def test() -> None:
        store = MemoryStore()
        async with Rig(tmp_path, Limits(), store) as rig:
            await issue(rig.loop, "a")
        rig = Rig(tmp_path, Limits(), store)
        rig.clock.ms = 5
        async with rig:
            assert rig.loop.now_ms() == 1_000_000
            await issue(rig.loop, "b")
        assert store.load().at_ms == 1_000_000

    run(test)


def test_a_stopping_loop_finishes_what_is_under_way(tmp_path: Path) -> None:
    async def test() -> None:
        rig = Rig(tmp_path, Limits())
        async with rig:
            await join(rig.loop, 0)
            late = asyncio.ensure_future(rig.loop.check_in(0, 1, CheckIn()))
            await asyncio.sleep(0)
        assert REASONS[(await late).reason] == "no-task"
        with pytest.raises(DeviceFault, match="overloaded"):
            await issue(rig.loop, "too late")

    run(test)


def test_failures_that_are_no_store_fault_reload_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path, Limits()) as rig:
            fault: PodiumError = Bug("the writer thread ended")
            rig.loop.failed(fault)
            rig.loop.failed(fault)
            assert rig.role.resets == 1, "a core that is gone is not dropped twice"
            while rig.loop.broken:
                await asyncio.sleep(0.01)

    run(test)
