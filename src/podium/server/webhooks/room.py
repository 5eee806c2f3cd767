"""The webhooks of a plane: set, listed, removed, and one courier for each while the plane serves.

Decides: which addresses may be set, how many, and what becomes of address and secret. Never: who may do a verb
(core/access), nor when a webhook ends (the core). The secret is shown once; it and the whole address, which may hold
another, lie in the Keys port, and are erased with the webhook or when it ends: nobody is shown more than the origin.
Couriers are held equal to the core's rows every `journal_merge_ms`, whatever came between: a reload, an end, a failure.
Limits: `webhooks_max`, ended ones included.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from podium.core.access.services import OVER, REVOKED, is_told
from podium.core.events import WebhookRemoved, WebhookSet
from podium.core.rows import WebhookRow
from podium.server.devices.device_words import checked
from podium.server.loop.loop import Loop
from podium.server.operators.permission import permit
from podium.server.operators.route_table import AnyRoute, Parameter, Route
from podium.server.plane_data import Parts, Who
from podium.server.webhooks.addresses import origin_of
from podium.server.webhooks.delivering import Courier, Told
from podium.server.webhooks.events import SECRET_BYTES, secret_text
from podium.server.webhooks.ledger import Ledger
from podium.server.webhooks.posting import Poster
from podium.wire.asks import Ask, WebhookAsk
from podium.wire.operator import DeadLetterView, Page, View, WebhookMade, WebhookView
from podium.wire.problems import OperatorFault, PodiumError, StoreFault

T = TypeVar("T")
log = logging.getLogger("podium.webhooks")

KINDS_MAX, KIND_CHARS_MAX = 64, 64
PREFIX = "webhook/"
"""How the Keys names of webhooks begin."""
ENDED = {
    REVOKED: "told nothing any more: the credential that set it was revoked; remove it",
    OVER: "told nothing any more: the credential that set it is over; remove it",
}


def secret_name(webhook: str) -> str:
    """The Keys name of a webhook's secret."""
    return f"{PREFIX}{webhook}"


def url_name(webhook: str) -> str:
    """The Keys name of a webhook's whole address."""
    return f"{PREFIX}{webhook}/url"


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
        self._mute: set[str] = set()
        """Webhooks without a secret or an address, as after a restore without keys."""
        self._one = asyncio.Lock()
        self._standing: asyncio.Task[None] | None = None

    def allow_local(self) -> None:
        """Let webhooks go to loopback, by http and any port: podium serve --allow-local-webhooks."""
        self._poster.allow_local = True

    async def open(self) -> None:
        """Deliver to every webhook that is to be told. Once, when the core is there."""
        await self._keep()
        living = self._living()
        for name in self._parts.keys.names(PREFIX):  # of one that could not be set, or ended while nothing served
            if name.removeprefix(PREFIX).partition("/")[0] not in living:
                await self._blocking(self._parts.keys.erase, name)
        self._standing = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop delivering; what is under way is done again at the next start."""
        if self._standing is not None:
            self._standing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._standing
        for name in list(self._couriers):
            await self._stop(name)
        await asyncio.to_thread(self._threads.shutdown)
        self._ledger.close()

    # -- the verbs -------------------------------------------------------------------------------------------

    async def set(self, who: Who, ask: WebhookAsk) -> WebhookMade:
        """Tell an address of records from now on; its secret is shown this once.

        `OperatorFault`: webhook-refused for an address that is not allowed, usage for too many webhooks or kinds,
        verb-denied for who may not read the journal: a webhook is told all of it.
        """
        permit(self._loop, who, "journal.read")
        kinds = tuple(sorted(set(ask.kinds)))
        if len(kinds) > KINDS_MAX or not all(0 < len(kind) <= KIND_CHARS_MAX for kind in kinds):
            raise OperatorFault(
                "usage", what="the kinds of a webhook", why=f"at most {KINDS_MAX}, each a record's kind"
            )
        target = await self._poster.check(ask.url)
        async with self._one:
            if len(self._rows()) >= self._parts.limits.webhooks_max:
                why = f"a plane has at most {self._parts.limits.webhooks_max}"
                raise OperatorFault("usage", what="there are too many webhooks", why=why, next="podium webhook remove")
            name, secret = "w" + self._parts.entropy.token(6).hex(), self._parts.entropy.token(SECRET_BYTES)
            await self._blocking(self._parts.keys.put, secret_name(name), secret)
            await self._blocking(self._parts.keys.put, url_name(name), ask.url.encode())
            checked(
                await self._loop.ask(
                    lambda at, ticket: WebhookSet(
                        at_ms=at,
                        ticket=ticket,
                        actor=who.actor,
                        id=name,
                        origin=target.origin,
                        kinds=kinds,
                        credential=who.service,
                    )
                )
            )
        with contextlib.suppress(PodiumError):  # a plane that reloads just now starts it when it can
            await self._keep()
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
            await self._let_go(row.id)
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
        gone = "its secret or its address is gone: remove it and set it anew" if row.id in self._mute else ""
        return WebhookView(
            id=row.id,
            origin=origin_of(row),
            kinds=list(row.kinds),
            actor=row.actor,
            delivered=delivered,
            failing=ENDED.get(row.ended) or gone or (held[0].failing if held else ""),
            dead=await self._blocking(self._ledger.count_dead, row.id),
        )

    def _living(self) -> dict[str, WebhookRow]:
        return {row.id: row for row in self._rows() if is_told(row)}

    async def _run(self) -> None:
        """Hold the couriers equal to the rows for ever; while the plane has no core they wait for it."""
        while True:
            await asyncio.sleep(self._parts.limits.journal_merge_ms / 1000)
            try:
                await self._keep()
            except PodiumError as error:
                log.warning("webhooks wait", extra={"code": error.code, "why": error.why})

    async def _keep(self) -> None:
        """One courier for each webhook that is to be told, and none for another."""
        async with self._one:
            living = self._living()
            over = self._couriers.keys() - living.keys()
            if over:
                await self._loop.settled()  # what ended them may be ahead of the store, and erasing is for good
            for name in over:
                await self._let_go(name)
            for row in living.values():
                if row.id not in self._couriers and row.id not in self._mute:
                    await self._start(row)

    async def _start(self, row: WebhookRow) -> None:
        try:
            secret = await self._blocking(self._parts.keys.get, secret_name(row.id))
            url = row.url or (await self._blocking(self._parts.keys.get, url_name(row.id))).decode()
        except StoreFault as error:
            if error.code != "key-erased":
                raise
            log.error("a webhook has no secret", extra={"webhook": row.id})
            self._mute.add(row.id)
            return
        told = Told(row=row, url=url, secret=secret, stands=lambda: is_told(self._loop.state.webhooks[row.id]))
        reading = (self._parts.store.entries, self._ledger, self._threads)
        courier = Courier(told, self._parts.identity.plane_id, self._poster, reading)
        task = asyncio.get_running_loop().create_task(courier.run(self._parts.limits, self._loop.now_ms))
        self._couriers[row.id] = (courier, task)

    async def _let_go(self, name: str) -> None:
        """No courier any more, and nothing that a delivery could be made with."""
        await self._stop(name)
        self._mute.discard(name)
        for key in (secret_name(name), url_name(name)):
            await self._blocking(self._parts.keys.erase, key)

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
            call=lambda call: hooks.set(call.who, call.ask),
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
            summary="Tell nobody there any more; its address and its secret are erased",
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
