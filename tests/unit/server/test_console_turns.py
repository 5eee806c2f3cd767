"""Live pages are drawn one at a time and in turn, and rest so long that all of them cost a small share of the time."""

import asyncio
from itertools import pairwise

import pytest

from podium.server.console.turns import REST, REST_S_MAX, Turns


class Clock:
    """Time that passes only when somebody sleeps or works; half of the time of work is the processor's."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.used_s = 7.0

    def turns(self) -> Turns:
        return Turns(lambda: self.now_s, lambda: self.used_s, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)

    async def work(self, seconds: float) -> None:
        self.used_s += seconds / 2
        await self.sleep(seconds)


def test_all_drawing_together_takes_its_share_of_the_time_and_no_more() -> None:
    clock, drawn = Clock(), []

    async def page(turns: Turns, name: str, costs_s: float) -> None:
        for _ in range(3):
            async with turns.turn():
                began_s = clock.now_s
                await clock.work(costs_s)
                drawn.append((name, began_s, clock.now_s))

    async def pages() -> None:
        turns = clock.turns()
        await asyncio.gather(page(turns, "a", 0.01), page(turns, "b", 0.05))

    asyncio.run(pages())
    assert [name for name, _, _ in drawn] == ["a", "b", "a", "b", "a", "b"], "whoever came first"
    for (_, began_s, ended_s), (_, following_s, _) in pairwise(drawn):
        assert following_s - ended_s == pytest.approx(REST * (ended_s - began_s) / 2)
    assert drawn[0][1] == 100.0, "the first one does not wait"


def test_a_page_that_cannot_be_drawn_gives_up_its_turn() -> None:
    async def pages() -> float:
        clock = Clock()
        turns = clock.turns()
        with pytest.raises(ValueError, match="torn"):
            async with turns.turn():
                await clock.work(1.0)
                raise ValueError("torn")
        async with turns.turn():
            return clock.now_s

    assert asyncio.run(pages()) == 101.0 + REST_S_MAX
