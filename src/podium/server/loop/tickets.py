"""Tickets: the requests that wait for the core, each by a number that its answer carries.

Decides: how many may wait, and which answer is whose. Never: when an answer may be given (the loop: once its step is
durable). Limits: `requests_waiting_max`.
"""

import asyncio
from typing import NamedTuple

from podium.core.effects import Answer, CheckinAnswers, Offer
from podium.wire.problems import Bug, DeviceFault, PodiumError


class CheckinOutcome(NamedTuple):
    """The answer to one check-in: an index into REASONS, the two windows (ms), the offer and the news if any."""

    reason: int
    window_ok_ms: int
    window_else_ms: int
    offer: Offer | None
    news: str


Outcome = Answer | CheckinOutcome


def busy(why: str) -> DeviceFault:
    """The fault of a request that the plane cannot take now."""
    return DeviceFault("overloaded", why=why)


class Tickets:
    """The waiting requests. Used on the event loop's thread alone."""

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._last = 0
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> tuple[int, asyncio.Future[Outcome]]:
        """A new ticket and the future of its answer; `DeviceFault(overloaded)` if too many wait already."""
        if len(self._waiting) >= self._waiting_max:
            raise busy(f"{len(self._waiting)} requests wait already")
        self._last += 1
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = future
        return self._last, future

    def answer(self, send: Answer | CheckinAnswers) -> None:
        """Give each ticket that `send` names its answer; tickets that nobody holds are passed over."""
        if isinstance(send, Answer):
            self._give(send.ticket, send)
            return
        columns = [column.tolist() for column in (send.ticket, send.reason, send.window_ok_ms, send.window_else_ms)]
        offers, news = send.offers, send.news
        for row, (ticket, reason, ok_ms, else_ms) in enumerate(zip(*columns, strict=True)):
            self._give(ticket, CheckinOutcome(reason, ok_ms, else_ms, offers.get(row), news.get(row, "")))

    def fail(self, fault: PodiumError) -> None:
        """Nobody will be answered: every waiting request gets `fault`."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(fault)
        self._waiting = {}

    def _give(self, ticket: int, outcome: Outcome) -> None:
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            future.set_result(outcome)


def as_checkin(outcome: Outcome) -> CheckinOutcome:
    """`outcome` of a check-in; `Bug` if the core gave it another's."""
    if not isinstance(outcome, CheckinOutcome):
        raise Bug(f"a check-in was answered with {outcome!r}")
    return outcome


def as_answer(outcome: Outcome) -> Answer:
    """`outcome` of anything else; `Bug` if the core gave it a check-in's."""
    if not isinstance(outcome, Answer):
        raise Bug(f"a request was answered with {outcome!r}")
    return outcome
