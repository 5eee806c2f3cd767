"""Settings: what the plane is held to, and who may ask it or is told by it.

Decides: what a service may be given on a form. Never: shows a secret twice.
"""

from podium.core.access.roles import EVERY
from podium.server.console.charts import ago
from podium.server.console.door import Look
from podium.server.console.paging import decoded
from podium.server.console.rendering import Screen, size
from podium.server.operators.keys import KeyRoom
from podium.server.operators.reads import Reads
from podium.server.webhooks.room import Webhooks
from podium.wire.limits import SETTINGS, Limits
from podium.wire.operator import KeyView, ServiceView, WebhookView
from podium.wire.problems import OperatorFault

CRUMBS = (("/", "Overview"), ("/settings", "Settings"))


class Settings:
    """The screens of settings."""

    def __init__(self, reads: Reads, keys: KeyRoom, webhooks: Webhooks, limits: Limits) -> None:
        self._reads = reads
        self._keys = keys
        self._webhooks = webhooks
        self._limits = limits

    async def show(self, look: Look) -> Screen:
        """GET /settings."""
        bounds = [(name, said(name, getattr(self._limits, name))) for name in sorted(self._limits.__struct_fields__)]
        return Screen(
            template="settings.html",
            title="Settings",
            heading="Settings",
            twin="podium key list",
            crumbs=CRUMBS[:1],
            told={
                "status": await self._reads.status(),
                "keys": decoded(await self._keys.keys(), KeyView),
                "services": await self._services(),
                "verbs": sorted(EVERY),
                "webhooks": decoded(await self._webhooks.listed(), WebhookView),
                "settings": [each for each in bounds if each[0] in SETTINGS],
                "constants": [each for each in bounds if each[0] not in SETTINGS],
            },
        )

    async def revoke(self, look: Look) -> Screen:
        """GET /settings/services/ID/revoke: asks before a credential ends."""
        found = [each for each in await self._services() if each.id == look.id]
        if not found:
            raise OperatorFault("service-unknown", what=f"service {look.id[:64]}")
        name = found[0].name
        return Screen(
            template="confirm.html",
            title=f"Revoke {name}",
            heading=f"Revoke {name}",
            twin=f"podium auth revoke {found[0].id[:12]}",
            crumbs=CRUMBS,
            told={
                "effect": f"1 credential: the next request of {name} is refused.",
                "lines": [
                    f"It may {', '.join(found[0].verbs)}.",
                    "Credentials that it issued end with it, and so do webhooks that they set.",
                ],
                "action": f"/settings/services/{found[0].id}/revoke",
                "back": "/settings",
                "kept": (),
                "choices": (),
                "shade": "bad",
                "label": "Revoke",
            },
        )

    async def remove(self, look: Look) -> Screen:
        """GET /settings/webhooks/ID/remove: asks before an address is told no more."""
        found = [each for each in decoded(await self._webhooks.listed(), WebhookView) if each.id == look.id]
        if not found:
            raise OperatorFault("webhook-unknown", what=f"webhook {look.id[:64]}")
        return Screen(
            template="confirm.html",
            title=f"Remove webhook {found[0].id}",
            heading="Remove the webhook",
            twin=f"podium webhook remove {found[0].id}",
            crumbs=CRUMBS,
            told={
                "effect": f"1 webhook: {found[0].origin} is told nothing any more.",
                "lines": ["Its signing secret and the deliveries that were given up are erased."],
                "action": f"/settings/webhooks/{found[0].id}/remove",
                "back": "/settings",
                "kept": (),
                "choices": (),
                "shade": "bad",
                "label": "Remove",
            },
        )

    async def _services(self) -> list[ServiceView]:
        return decoded(await self._reads.services(), ServiceView)


def said(name: str, value: float) -> str:
    """A limit in the unit that its name ends with."""
    if name.endswith("_ms"):
        return ago(value)
    return size(value) if name.endswith("_bytes") or "_bytes_" in name else f"{value:,}"
