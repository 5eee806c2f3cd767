"""Delivering the journal to one webhook: in order, at least once, for as long as it is set.

Decides: what is tried next, how often, when it is given up, and when the cursor moves: only behind an entry that was
delivered, given up, or not asked for. Never: what an event says (events.py). A kill between a delivery and its cursor
delivers it again, under the same id. While an entry is tried again nothing behind it is sent.
Limits: `webhook_tries_max` tries, `webhook_first_ms` doubled up to `webhook_backoff_ms`; `PAGE` entries in memory; a
webhook with `webhook_dead_max` dead letters stands still, losing nothing, until they are tried again or it is removed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from podium.core.records import read_record
from podium.core.rows import WebhookRow
from podium.ports.plane import Entry, Store
from podium.server.webhooks.events import body_of, event_id, kind_of, signed_headers
from podium.server.webhooks.ledger import DeadLetter, Ledger
from podium.server.webhooks.posting import Poster, Undelivered
from podium.wire.limits import Limits
from podium.wire.problems import PodiumError

T = TypeVar("T")
log = logging.getLogger("podium.webhooks")

PAGE = 256


class Courier:
    """Delivers to one webhook until it is cancelled. On the event loop's thread; what blocks runs in `threads`."""

    def __init__(
        self, row: WebhookRow, secret: bytes, plane_id: str, poster: Poster, reading: tuple[Store, Ledger, Executor]
    ) -> None:
        self.row = row
        self.failing = ""
        """Why the present delivery fails, "" while it does not."""
        self._secret = secret
        self._plane_id = plane_id
        self._poster = poster
        self._store, self._ledger, self._threads = reading
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do before the next look."""
        self._woken.set()

    async def run(self, limits: Limits, now_ms: Callable[[], int]) -> None:
        """Deliver for ever; what the disk fails is tried again."""
        while True:
            self._woken.clear()
            try:
                busy = await self._again() or await self._forward(limits, now_ms)
            except PodiumError as error:
                log.error("webhook stands still", extra={"code": error.code, "why": error.why})
                self.failing, busy = f"{error.code}: {error.what}", False
            if not busy:
                await self._idle(limits.journal_merge_ms)

    async def _idle(self, wait_ms: int) -> None:
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _blocking(self, call: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*given))

    # -- what was given up -----------------------------------------------------------------------------------

    async def _again(self) -> bool:
        """Try each dead letter that is due once; whether there was one."""
        due = await self._blocking(lambda: self._ledger.dead(self.row.id, PAGE, due=True))
        for letter in due:
            found = await self._blocking(self._store.entries, letter.number - 1, 1)
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
        entries = await self._blocking(self._store.entries, number, PAGE)
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
        wait_ms = limits.webhook_first_ms
        for tried in range(1, limits.webhook_tries_max + 1):
            try:
                await self._post(entry)
            except Undelivered as error:
                self.failing = f"{event_id(entry)}, try {tried} of {limits.webhook_tries_max}: {error}"
                if tried < limits.webhook_tries_max:
                    await asyncio.sleep(wait_ms / 1000)
                    wait_ms = min(limits.webhook_backoff_ms, 2 * wait_ms)
            else:
                self.failing = ""
                await self._blocking(self._ledger.move, self.row.id, entry.number, 1)
                return
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
        body = body_of(entry, self._plane_id)
        headers = signed_headers(self._secret, event_id(entry), body, int(time.time()))
        return self._poster.post(self.row.url, headers, body)
