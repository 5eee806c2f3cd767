"""One courier over a real ledger: what it delivers in which order, and what wakes it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from podium.core.effects import Record
from podium.core.records import encode_record
from podium.core.rows import WebhookRow
from podium.ports.plane import Entry
from podium.server.webhooks import delivering
from podium.server.webhooks.delivering import Courier, Told
from podium.server.webhooks.ledger import DeadLetter, Ledger
from podium.server.webhooks.posting import Poster, Undelivered
from podium.wire.limits import Limits

HOOK = WebhookRow(id="w", origin="https://example.org", kinds=(), actor="person:administrator", at_ms=0, removed=False)
LIMITS = Limits(webhook_first_ms=3_600_000, webhook_backoff_ms=3_600_000, journal_merge_ms=20)
"""Whoever waits for the next try waits longer than any test."""


class Posted(Poster):
    """Keeps the subjects of what it is to post; `answer` may refuse one."""

    def __init__(self) -> None:
        super().__init__(True, 1_000)
        self.subjects: list[str] = []
        self.urls: set[str] = set()
        self.answer: Callable[[str], str] = lambda subject: ""
        """Why that subject's event is not taken, "" if it is."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        subject = msgspec.json.decode(body)["subject"]
        self.urls.add(url)
        self.subjects.append(subject)
        if why := self.answer(subject):
            raise Undelivered(why)


class Desk:
    """A journal of one list, a ledger, and the courier between them."""

    def __init__(self, data: Path) -> None:
        self.entries: list[Entry] = []
        self.ledger = Ledger(data)
        self.poster = Posted()
        self.stands = True
        self._threads = ThreadPoolExecutor(max_workers=1)
        told = Told(row=HOOK, url="https://example.org/whole", secret=b"s" * 32, stands=lambda: self.stands)
        self.courier = Courier(told, "p1", self.poster, (self.after, self.ledger, self._threads))

    def after(self, number: int, limit: int) -> list[Entry]:
        """As a store gives them."""
        return self.entries[number : number + limit]

    def append(self, *subjects: str) -> None:
        """One more entry about each."""
        for subject in subjects:
            number = len(self.entries) + 1
            record = Record(at_ms=1, tree="plane", kind="k", subject=subject, actor="plane")
            body = encode_record(record, number)
            self.entries.append(
                Entry(number=number, step=number, tree="plane", place=-1, salt=b"", record=body, leaf=b"\1" * 32)
            )

    def bury(self, *subjects: str) -> None:
        """Let an entry about each be a dead letter."""
        for subject in subjects:
            self.append(subject)
            number = len(self.entries)
            self.ledger.give_up(
                DeadLetter(webhook="w", number=number, event=f"plane/{number}/", kind="k", why="it broke", at_ms=1)
            )

    def close(self) -> None:
        self._threads.shutdown()
        self.ledger.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


async def until(desk: Desk, holds: Callable[[], bool], limits: Limits = LIMITS) -> None:
    """Let the courier run until `holds`."""
    running = asyncio.create_task(desk.courier.run(limits, lambda: 2))
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)
    running.cancel()


def delivered(desk: Desk) -> int:
    return desk.ledger.cursor("w")[1]


def test_new_events_come_before_dead_letters_and_between_them(desk: Desk) -> None:
    desk.bury("dead-1", "dead-2", "dead-3")
    desk.append("new-1", "new-2")
    desk.ledger.retry("w")

    def answer(subject: str) -> str:
        if subject == "dead-1":
            desk.append("newest")
        return "still broken" if subject == "dead-2" else ""

    desk.poster.answer = answer
    # the last letter is posted before the ledger hears that it arrived
    asyncio.run(until(desk, lambda: len(desk.poster.subjects) == 6 and len(desk.ledger.dead("w", 9)) == 1))
    assert desk.poster.subjects == ["new-1", "new-2", "dead-1", "newest", "dead-2", "dead-3"]
    assert [(letter.event, letter.why) for letter in desk.ledger.dead("w", 9)] == [("plane/2/", "still broken")]
    assert desk.poster.urls == {"https://example.org/whole"}, "not the origin that the row shows"


def test_dead_letters_get_their_turn_however_much_is_new(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "PAGE", 2)
    desk.bury("dead-1", "dead-2")
    desk.append(*(f"new-{number}" for number in range(6)))
    desk.ledger.retry("w")
    asyncio.run(until(desk, lambda: delivered(desk) == 8))
    assert desk.poster.subjects == ["new-0", "new-1", "dead-1", "new-2", "new-3", "dead-2", "new-4", "new-5"]


def test_who_asks_for_the_dead_ends_the_wait_before_the_next_try(desk: Desk) -> None:
    desk.bury("dead")
    desk.append("new")
    desk.poster.answer = lambda subject: "away"

    async def told() -> None:
        running = asyncio.create_task(desk.courier.run(LIMITS, lambda: 2))
        async with asyncio.timeout(20):
            for tries in range(1, 30):
                while len(desk.poster.subjects) < tries or "try 1 of 10" not in desk.courier.failing:
                    await asyncio.sleep(0)
                desk.courier.wake()
            desk.poster.answer = lambda subject: ""
            desk.ledger.retry("w")
            desk.courier.wake()
            while delivered(desk) < 2:
                await asyncio.sleep(0)
        running.cancel()

    asyncio.run(told())
    assert desk.poster.subjects[-2:] == ["new", "dead"] and set(desk.poster.subjects[:-1]) == {"new"}
    assert desk.courier.failing == "", "tries that somebody asked for did not use its ten up"


def test_a_webhook_that_ended_is_told_nothing_more_not_even_what_waits(desk: Desk) -> None:
    desk.bury("dead")
    desk.append("first", "second")
    desk.ledger.retry("w")

    def answer(subject: str) -> str:
        desk.stands = False
        return ""

    desk.poster.answer = answer

    async def told() -> None:
        async with asyncio.timeout(20):
            await desk.courier.run(LIMITS, lambda: 2)

    asyncio.run(told())
    assert desk.poster.subjects == ["first"] and len(desk.ledger.dead("w", 9)) == 1
