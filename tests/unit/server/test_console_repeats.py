"""A form of the console that is sent twice is done once, and one that is meant again is done again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from podium.server.console.repeats import MARK, SESSIONS_MAX, Repeats
from podium.wire.problems import OperatorFault

FIELDS = {"name": "nightly", MARK: "a"}


def counting(fails: int = 0) -> Callable[[], Awaitable[int]]:
    """An act that says how often it was done; the first `fails` times it is refused."""
    done = 0

    async def act() -> int:
        nonlocal done
        done += 1
        await asyncio.sleep(0)
        if done <= fails:
            raise OperatorFault("usage")
        return done

    return act


def test_the_same_form_is_done_once_at_once_and_afterwards() -> None:
    async def test() -> None:
        repeats, act = Repeats[int](), counting()
        twice = (repeats.once("me", "/a", FIELDS, act) for _ in range(2))
        assert await asyncio.gather(*twice) == [1, 1]
        assert await repeats.once("me", "/a", dict(FIELDS), act) == 1
        first = asyncio.create_task(repeats.once("you", "/a", FIELDS, act))
        await asyncio.sleep(0)
        first.cancel()
        assert await repeats.once("you", "/a", FIELDS, act) == 2, "whoever sent it first is gone, and it is done"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("whose", "path", "fields"),
    [
        ("you", "/a", FIELDS),
        ("me", "/b", FIELDS),
        ("me", "/a", {**FIELDS, "name": "daily"}),
        ("me", "/a", {**FIELDS, MARK: "b"}),
    ],
)
def test_another_form_is_another(whose: str, path: str, fields: dict[str, str]) -> None:
    async def test() -> None:
        repeats, act = Repeats[int](), counting()
        assert await repeats.once("me", "/a", FIELDS, act) == 1
        assert await repeats.once(whose, path, fields, act) == 2

    asyncio.run(test())


def test_without_a_mark_every_form_is_meant() -> None:
    async def test() -> None:
        repeats, act = Repeats[int](), counting()
        assert [await repeats.once("me", "/a", {"name": "x"}, act) for _ in range(2)] == [1, 2]

    asyncio.run(test())


def test_what_was_refused_may_be_sent_again() -> None:
    async def test() -> None:
        repeats, act = Repeats[int](), counting(fails=1)
        twice = (repeats.once("me", "/a", FIELDS, act) for _ in range(2))
        told = await asyncio.gather(*twice, return_exceptions=True)
        assert [type(each) for each in told] == [OperatorFault] * 2
        assert await repeats.once("me", "/a", FIELDS, act) == 2

    asyncio.run(test())


def test_sessions_are_bounded() -> None:
    async def test() -> None:
        repeats, act = Repeats[int](), counting()
        for number in range(SESSIONS_MAX + 1):
            await repeats.once(str(number), "/a", FIELDS, act)
        assert await repeats.once("0", "/a", FIELDS, act) == SESSIONS_MAX + 2
        assert await repeats.once(str(SESSIONS_MAX), "/a", FIELDS, act) == SESSIONS_MAX + 1

    asyncio.run(test())
