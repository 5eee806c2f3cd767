"""What the forms of the console do: each calls the operator API's own verb, then says what it led to.

Decides: where a person lands afterwards. Never: anything that the operator API could not do.
"""

from urllib.parse import quote

from podium.server.console.door import Done, Form
from podium.server.console.rendering import Screen
from podium.server.console.repeats import MARK
from podium.server.operators.acts import Acts
from podium.server.operators.operator_routes import IDEMPOTENCY_CHARS_MAX
from podium.server.operators.submission import Submission
from podium.server.webhooks.room import Webhooks
from podium.wire.asks import FreezeAsk, MarkAsk, PauseAsk, PromoteAsk, RollbackAsk, ServiceAsk, StopAsk, WebhookAsk

WORDS = {
    "active": "takes leases again",
    "cordoned": "gets no new lease",
    "drained": "was drained",
    "banned": "is banned",
}


class Forms:
    """One method per form."""

    def __init__(self, acts: Acts, submission: Submission, webhooks: Webhooks) -> None:
        self._acts = acts
        self._submission = submission
        self._webhooks = webhooks

    async def pause(self, form: Form) -> Done:
        """Let a run rest after its present round."""
        view = await self._acts.pause(form.actor, form.id, PauseAsk(why=form.text("why")))
        return Done(path=f"/runs/{view.id}", notice=f"Run {view.id} pauses after its present round.")

    async def pause_now(self, form: Form) -> Done:
        """Let a run rest now."""
        view = await self._acts.pause(form.actor, form.id, PauseAsk(now=True, why=form.text("why")))
        return Done(path=f"/runs/{view.id}", notice=f"Run {view.id} is paused.")

    async def resume(self, form: Form) -> Done:
        """Let a run go on."""
        view = await self._acts.resume(form.actor, form.id)
        return Done(path=f"/runs/{view.id}", notice=f"Run {view.id} goes on.")

    async def stop(self, form: Form) -> Done:
        """End a run."""
        view = await self._acts.stop(form.actor, form.id, StopAsk(why=form.text("why")))
        return Done(path=f"/runs/{view.id}", notice=f"Run {view.id} is stopped; version v{view.version_number} stays.")

    async def retry(self, form: Form) -> Done:
        """Start a new run from where one ended."""
        made = await self._submission.retry(form.actor, form.id, form.text(MARK)[:IDEMPOTENCY_CHARS_MAX])
        return Done(path=f"/runs/{made.run}", notice=f"Run {made.run} goes on from the last sealed version.")

    async def freeze(self, form: Form) -> Done:
        """The kill switch."""
        await self._acts.freeze(form.actor, FreezeAsk(revoke=form.text("revoke") == "yes", why=form.text("why")))
        return Done(path="/", notice="The plane is frozen: no device gets a lease.")

    async def unfreeze(self, form: Form) -> Done:
        """Leases again."""
        await self._acts.unfreeze(form.actor, FreezeAsk(why=form.text("why")))
        return Done(path="/", notice="Devices get leases again.")

    async def mark(self, form: Form) -> Done:
        """Let one device be active, cordoned, drained or banned."""
        mark = form.text("mark")
        await self._acts.mark(form.actor, MarkAsk(mark=mark, devices=(form.id,), why=form.text("why")))
        return Done(path=f"/fleet/{form.id}", notice=f"The device {WORDS.get(mark, 'is marked')}.")

    async def promote(self, form: Form) -> Done:
        """Let an alias name a version."""
        ask = PromoteAsk(version=form.id, why=form.text("why"))
        view = await self._acts.promote(form.actor, form.text("alias"), ask)
        return Done(path=f"/models/{form.id}", notice=f"{view.alias} names v{view.number} now.")

    async def rollback(self, form: Form) -> Done:
        """Let an alias name the version before, if it still names the one that the person saw."""
        ask = RollbackAsk(counter=_count(form.text("counter")), why=form.text("why"))
        view = await self._acts.rollback(form.actor, form.text("alias"), ask)
        task = view.alias.partition("@")[0]
        return Done(path=f"/models?task={quote(task)}", notice=f"{view.alias} is back at v{view.number}.")

    async def issue_service(self, form: Form) -> Done:
        """Make a service's credential; the page shows it this once."""
        verbs = tuple(name.removeprefix("verb:") for name in form.fields if name.startswith("verb:"))
        made = await self._acts.issue_service(form.who, ServiceAsk(name=form.text("name"), verbs=verbs))
        return Done(screen=_secret(f"Credential of {form.text('name')}", made.token))

    async def revoke_service(self, form: Form) -> Done:
        """End a service's credential."""
        view = await self._acts.revoke_service(form.who, form.id)
        return Done(path="/settings", notice=f"The credential of {view.name} is revoked.")

    async def set_webhook(self, form: Form) -> Done:
        """Tell an address of records; the page shows the signing secret this once."""
        kinds = tuple(kind for kind in form.text("kinds").replace(",", " ").split() if kind)
        made = await self._webhooks.set(form.who, WebhookAsk(url=form.text("url"), kinds=kinds))
        return Done(screen=_secret(f"Secret of webhook {made.id}", made.secret))

    async def remove_webhook(self, form: Form) -> Done:
        """Tell nobody there any more."""
        view = await self._webhooks.remove(form.actor, form.id)
        return Done(path="/settings", notice=f"{view.origin} is told nothing any more.")


def _secret(heading: str, secret: str) -> Screen:
    """The page that shows a secret this once."""
    return Screen(
        template="secret.html",
        title=heading,
        heading=heading,
        crumbs=(("/", "Overview"), ("/settings", "Settings")),
        told={"secret": secret, "back": "/settings"},
    )


def _count(text: str) -> int:
    """A counter that a form carried; -1, however it stands now, for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else -1
