"""The webhooks of a plane: set, listed, removed, and one courier for each while the plane serves.

Decides: which addresses may be set, how many, and what becomes of a secret. Never: who may (core/access). The secret is
shown once and lies in the Keys port; removing a webhook erases it. Limits: `webhooks_max`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from podium.core.events import WebhookRemoved, WebhookSet
from podium.core.rows import WebhookRow
from podium.server.devices.device_words import checked
from podium.server.loop.loop import Loop
from podium.server.operators.route_table import AnyRoute, Parameter, Route
from podium.server.plane_data import Parts
from podium.server.webhooks.delivering import Courier
from podium.server.webhooks.events import SECRET_BYTES, secret_text
from podium.server.webhooks.ledger import Ledger
from podium.server.webhooks.posting import Poster
from podium.wire.asks import Ask, WebhookAsk
from podium.wire.operator import DeadLetterView, Page, View, WebhookMade, WebhookView
from podium.wire.problems import OperatorFault, StoreFault

T = TypeVar("T")
log = logging.getLogger("podium.webhooks")

KINDS_MAX, KIND_CHARS_MAX = 64, 64


def secret_name(webhook: str) -> str:
    """The Keys name of a webhook's secret."""
    return f"webhook/{webhook}"


class Webhooks:
    """Every method may also raise as `Loop.ask` does, and `StoreFault`."""

    def __init__(self, parts: Parts, loop: Loop, data: Path) -> None:
        self._parts = parts
        self._loop = loop
        self._poster = Poster(False, parts.limits.webhook_ms)
        # one thread: the ledger's calls follow each other, and a slow disk of theirs stops nothing else
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="podium-webhooks")
        self._ledger = Ledger(data)
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}
        self._one = asyncio.Lock()

    def allow_local(self) -> None:
        """Let webhooks go to loopback, by http and any port: podium serve --allow-local-webhooks."""
        self._poster.allow_local = True

    async def open(self) -> None:
        """Deliver to every webhook that is set. Once, when the core is there."""
        for row in self._rows():
            self._start(row)

    async def close(self) -> None:
        """Stop delivering; what is under way is done again at the next start."""
        for name in list(self._couriers):
            await self._stop(name)
        await asyncio.to_thread(self._threads.shutdown)
        self._ledger.close()

    # -- the verbs -------------------------------------------------------------------------------------------

    async def set(self, actor: str, ask: WebhookAsk) -> WebhookMade:
        """Tell an address of records from now on; its secret is shown this once.

        `OperatorFault(webhook-refused)` for an address that is not allowed, `usage` for too many webhooks or kinds.
        """
        kinds = tuple(sorted(set(ask.kinds)))
        if len(kinds) > KINDS_MAX or not all(0 < len(kind) <= KIND_CHARS_MAX for kind in kinds):
            raise OperatorFault(
                "usage", what="the kinds of a webhook", why=f"at most {KINDS_MAX}, each a record's kind"
            )
        await self._poster.check(ask.url)
        async with self._one:
            if len(self._rows()) >= self._parts.limits.webhooks_max:
                why = f"a plane has at most {self._parts.limits.webhooks_max}"
                raise OperatorFault("usage", what="there are too many webhooks", why=why, next="podium webhook remove")
            name, secret = "w" + self._parts.entropy.token(6).hex(), self._parts.entropy.token(SECRET_BYTES)
            await self._blocking(self._parts.keys.put, secret_name(name), secret)
            checked(
                await self._loop.ask(
                    lambda at, ticket: WebhookSet(
                        at_ms=at, ticket=ticket, actor=actor, id=name, url=ask.url, kinds=kinds
                    )
                )
            )
            self._start(self._loop.state.webhooks[name])
        return WebhookMade(id=name, secret=secret_text(secret))

    async def listed(self) -> Page:
        """Every webhook that is set, and how its deliveries go."""
        return _page([await self._view(row) for row in self._rows()])

    async def remove(self, actor: str, name: str) -> WebhookView:
        """Tell nobody there any more; its secret is erased. `OperatorFault(webhook-unknown)`."""
        async with self._one:
            row = self._found(name)
            view = await self._view(row)
            checked(
                await self._loop.ask(lambda at, ticket: WebhookRemoved(at_ms=at, ticket=ticket, actor=actor, id=row.id))
            )
            await self._stop(row.id)
            await self._blocking(self._parts.keys.erase, secret_name(row.id))
            await self._blocking(self._ledger.forget, row.id)
        return view

    async def dead(self, name: str) -> Page:
        """What was given up, oldest first, of one webhook or of all. `OperatorFault(webhook-unknown)`."""
        now = self._loop.now_ms()
        letters = [
            letter
            for row in ([self._found(name)] if name else self._rows())
            for letter in await self._blocking(self._ledger.dead, row.id, self._parts.limits.webhook_dead_max)
        ]
        return _page(
            DeadLetterView(
                webhook=letter.webhook,
                event=letter.event,
                kind=letter.kind,
                why=letter.why,
                age_ms=max(0, now - letter.at_ms),
            )
            for letter in letters
        )

    async def retry(self, name: str) -> WebhookView:
        """Try every dead letter of a webhook once more. `OperatorFault(webhook-unknown)`."""
        row = self._found(name)
        await self._blocking(self._ledger.retry, row.id)
        if row.id in self._couriers:
            self._couriers[row.id][0].wake()
        return await self._view(row)

    # -- couriers --------------------------------------------------------------------------------------------

    def _rows(self) -> list[WebhookRow]:
        return sorted((row for row in self._loop.state.webhooks.values() if not row.removed), key=lambda row: row.at_ms)

    def _found(self, name: str) -> WebhookRow:
        """The webhook of that id or unique prefix."""
        found = [row for row in self._rows() if name and row.id.startswith(name)]
        if len(found) != 1:
            raise OperatorFault("webhook-unknown", what=f"no webhook is called {name[:64]}")
        return found[0]

    async def _view(self, row: WebhookRow) -> WebhookView:
        _, delivered = await self._blocking(self._ledger.cursor, row.id)
        held = self._couriers.get(row.id)
        failing = held[0].failing if held else "its secret is gone: remove it and set it anew"
        dead = await self._blocking(self._ledger.count_dead, row.id)
        return WebhookView(
            id=row.id, url=row.url, kinds=list(row.kinds), delivered=delivered, failing=failing, dead=dead
        )

    def _start(self, row: WebhookRow) -> None:
        """A courier for `row`; none if its secret is gone, as after a restore without keys."""
        try:
            secret = self._parts.keys.get(secret_name(row.id))
        except StoreFault as error:
            if error.code != "key-erased":
                raise
            log.error("a webhook has no secret", extra={"webhook": row.id})
            return
        reading = (self._parts.store, self._ledger, self._threads)
        courier = Courier(row, secret, self._parts.identity.plane_id, self._poster, reading)
        task = asyncio.get_running_loop().create_task(courier.run(self._parts.limits, self._loop.now_ms))
        self._couriers[row.id] = (courier, task)

    async def _stop(self, name: str) -> None:
        held = self._couriers.pop(name, None)
        if held is not None:
            held[1].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await held[1]

    async def _blocking(self, call: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*given))


def _page(views: Iterable[View]) -> Page:
    return Page(items=[msgspec.Raw(msgspec.json.encode(view)) for view in views])


def webhook_routes(hooks: Webhooks) -> list[AnyRoute]:
    """The rows of the operator API's table."""
    return [
        Route(
            method="GET",
            path="/api/v1/webhooks",
            verb="webhooks.read",
            summary="Who is told of records, and how that goes",
            ask=Ask,
            answer=Page,
            items=WebhookView,
            watched=True,
            call=lambda call: hooks.listed(),
        ),
        Route(
            method="POST",
            path="/api/v1/webhooks",
            verb="webhooks.set",
            summary="Tell an address of records, as signed CloudEvents; its secret is shown this once",
            ask=WebhookAsk,
            answer=WebhookMade,
            status=201,
            call=lambda call: hooks.set(call.actor, call.ask),
            codes=("webhook-refused", "usage"),
        ),
        Route(
            method="GET",
            path="/api/v1/dead-letters",
            verb="webhooks.read",
            summary="Deliveries that were given up, oldest first",
            ask=Ask,
            answer=Page,
            items=DeadLetterView,
            query=(Parameter(name="webhook", what="only those of this webhook"),),
            watched=True,
            call=lambda call: hooks.dead(call.text("webhook")),
            codes=("webhook-unknown",),
        ),
        Route(
            method="DELETE",
            path="/api/v1/webhooks/{id}",
            verb="webhooks.set",
            summary="Tell nobody there any more; its secret is erased",
            ask=Ask,
            answer=WebhookView,
            call=lambda call: hooks.remove(call.actor, call.id),
            codes=("webhook-unknown",),
        ),
        Route(
            method="POST",
            path="/api/v1/webhooks/{id}/retry",
            verb="webhooks.set",
            summary="Try every dead letter of a webhook once more",
            ask=Ask,
            answer=WebhookView,
            call=lambda call: hooks.retry(call.id),
            codes=("webhook-unknown",),
        ),
    ]
