"""Delivering the journal to one webhook: in order, at least once, for as long as it is set.

Decides: what is tried next, how often, when it is given up, and when the cursor moves: only behind an entry that was
delivered, given up, or not asked for. Never: what an event says (events.py). A kill between a delivery and its cursor
delivers it again, under the same id. While an entry is tried again nothing behind it is sent. Dead letters that are to
be tried again come between: one after each `PAGE` of new entries, or when there is nothing new, so that however many
there are, new ones wait for one of them at most. Whoever asks for them ends the wait before the next try, too.
Limits: `webhook_tries_max` tries, `webhook_first_ms` doubled up to `webhook_backoff_ms`; `PAGE` entries in memory; a
webhook with `webhook_dead_max` dead letters stands still, losing nothing, until they are tried again or it is removed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from podium.core.records import read_record
from podium.core.rows import WebhookRow
from podium.ports.plane import Entry
from podium.server.webhooks.events import body_of, event_id, kind_of, signed_headers
from podium.server.webhooks.ledger import DeadLetter, Ledger
from podium.server.webhooks.posting import Poster, Undelivered
from podium.wire.limits import Limits
from podium.wire.problems import PodiumError

T = TypeVar("T")
log = logging.getLogger("podium.webhooks")

PAGE = 256

Entries = Callable[[int, int], list[Entry]]
"""(after, limit) -> up to `limit` entries of the journal with a number above `after`. Blocking; `StoreFault`."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a courier tells: the webhook, its whole address and its secret, and whether it still is to be told."""

    row: WebhookRow
    url: str
    secret: bytes
    stands: Callable[[], bool]


class Courier:
    """Delivers to one webhook until it is cancelled. On the event loop's thread; what blocks runs in `threads`."""

    def __init__(self, told: Told, plane_id: str, poster: Poster, reading: tuple[Entries, Ledger, Executor]) -> None:
        self.row = told.row
        self.failing = ""
        """Why the present delivery fails, "" while it does not."""
        self._told = told
        self._plane_id = plane_id
        self._poster = poster
        self._entries, self._ledger, self._threads = reading
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to do before the next look, or the next try."""
        self._woken.set()

    async def run(self, limits: Limits, now_ms: Callable[[], int]) -> None:
        """Deliver for as long as the webhook stands; what the disk fails is tried again."""
        broken = ""
        while True:
            try:
                busy = await self._forward(limits, now_ms)
                busy = await self._again() or busy
                self.failing = "" if self.failing == broken else self.failing
            except _Ended:
                return
            except PodiumError as error:
                log.error("webhook stands still", extra={"code": error.code, "why": error.why})
                self.failing = broken = f"{error.code}: {error.what}"
                busy = False
            if not busy:
                await self._idle(limits.journal_merge_ms)

    async def _idle(self, wait_ms: int) -> bool:
        """Wait so long, or until woken: whether it was."""
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def _blocking(self, call: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*given))

    # -- what was given up -----------------------------------------------------------------------------------

    async def _again(self) -> bool:
        """Try the oldest dead letter that is due once; whether there was one."""
        due = await self._blocking(lambda: self._ledger.dead(self.row.id, 1, due=True))
        for letter in due:
            found = await self._blocking(self._entries, letter.number - 1, 1)
            try:
                if found and found[0].record:
                    await self._post(found[0])
            except Undelivered as error:
                await self._blocking(self._ledger.still_dead, letter, str(error))
            else:
                await self._blocking(self._ledger.arrived, letter)
        return bool(due)

    # -- the journal -----------------------------------------------------------------------------------------

    async def _forward(self, limits: Limits, now_ms: Callable[[], int]) -> bool:
        """Deliver the next entries of the journal; whether there were any."""
        number, _ = await self._blocking(self._ledger.cursor, self.row.id)
        entries = await self._blocking(self._entries, number, PAGE)
        passed = 0
        for entry in entries:
            if self._asked_for(entry):
                if await self._blocking(self._ledger.count_dead, self.row.id) >= limits.webhook_dead_max:
                    self.failing = f"{limits.webhook_dead_max} dead letters wait: podium webhook retry"
                    return False
                await self._deliver(entry, limits, now_ms)
                passed = 0
            else:
                passed = entry.number
        if passed:
            await self._blocking(self._ledger.move, self.row.id, passed, 0)
        return bool(entries)

    def _asked_for(self, entry: Entry) -> bool:
        """Entries before the webhook was set are none of its, whether its cursor began there or at the beginning."""
        kind = kind_of(entry)
        if not kind or (self.row.kinds and kind not in self.row.kinds):
            return False
        return read_record(entry.record).at_ms >= self.row.at_ms

    async def _deliver(self, entry: Entry, limits: Limits, now_ms: Callable[[], int]) -> None:
        """Until it is taken or given up. A try that somebody woke it for is none of the `webhook_tries_max`."""
        wait_ms, tried, woken = limits.webhook_first_ms, 0, False
        while tried < limits.webhook_tries_max:
            try:
                await self._post(entry)
            except Undelivered as error:
                tried += not woken
                self.failing = f"{event_id(entry)}, try {tried} of {limits.webhook_tries_max}: {error}"
            else:
                self.failing = ""
                await self._blocking(self._ledger.move, self.row.id, entry.number, 1)
                return
            if tried < limits.webhook_tries_max:
                woken = await self._idle(wait_ms)
                wait_ms = wait_ms if woken else min(limits.webhook_backoff_ms, 2 * wait_ms)
        letter = DeadLetter(
            webhook=self.row.id,
            number=entry.number,
            event=event_id(entry),
            kind=kind_of(entry),
            why=self.failing,
            at_ms=now_ms(),
        )
        log.warning("a delivery was given up", extra={"webhook": self.row.id, "why": self.failing})
        await self._blocking(self._ledger.give_up, letter)

    def _post(self, entry: Entry) -> Awaitable[None]:
        if not self._told.stands():
            raise _Ended
        body = body_of(entry, self._plane_id)
        headers = signed_headers(self._told.secret, event_id(entry), body, int(time.time()))
        return self._poster.post(self._told.url, headers, body)


class _Ended(Exception):
    """The webhook is to be told nothing more."""
