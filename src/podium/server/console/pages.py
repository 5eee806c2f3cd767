"""Which screen and which form is served where.

Decides: the paths. Never: what is on them.
"""

from dataclasses import dataclass

from starlette.routing import Route

from podium.server.console.door import Console
from podium.server.console.forms import Forms
from podium.server.console.screens.fleet import Fleet
from podium.server.console.screens.journal import Journal
from podium.server.console.screens.models import Models
from podium.server.console.screens.overview import Overview
from podium.server.console.screens.rounds import Rounds
from podium.server.console.screens.runs import Runs
from podium.server.console.screens.settings import Settings
from podium.server.operators.acts import Acts
from podium.server.operators.explains import Explains
from podium.server.operators.fleet_reads import FleetReads
from podium.server.operators.journal_reads import JournalReads
from podium.server.operators.keys import KeyRoom
from podium.server.operators.reads import Reads
from podium.server.operators.submission import Submission
from podium.server.webhooks.room import Webhooks
from podium.wire.limits import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Verbs:
    """The operator API's verbs, by room: what the screens read and the forms do."""

    limits: Limits
    reads: Reads
    fleet: FleetReads
    journal: JournalReads
    explains: Explains
    keys: KeyRoom
    webhooks: Webhooks
    acts: Acts
    submission: Submission


def console_routes(console: Console, verbs: Verbs) -> list[Route]:
    """Every route of the console."""
    overview, runs = Overview(verbs.reads, verbs.fleet), Runs(verbs.reads, verbs.explains, verbs.journal)
    fleet, models = Fleet(verbs.reads, verbs.fleet, verbs.explains), Models(verbs.reads)
    journal, settings = Journal(verbs.journal), Settings(verbs.reads, verbs.keys, verbs.webhooks, verbs.limits)
    return [
        *console.routes(),
        *console.page("/", overview.show),
        *console.page("/freeze", overview.frozen),
        *console.page("/runs", runs.every),
        *console.page("/runs/{id}", runs.show),
        *console.page("/runs/{id}/stop", runs.stop),
        *console.page("/runs/{id}/rounds/{number}", Rounds(verbs.reads).show),
        *console.page("/fleet", fleet.every),
        *console.page("/fleet/{id}", fleet.show),
        *console.page("/fleet/{id}/mark", fleet.mark),
        *console.page("/models", models.every),
        *console.page("/models/rollback", models.rollback),
        *console.page("/models/{id}", models.show),
        *console.page("/journal", journal.every),
        *console.page("/journal/verify", journal.verify),
        *console.page("/settings", settings.show),
        *console.page("/settings/services/{id}/revoke", settings.revoke),
        *console.page("/settings/webhooks/{id}/remove", settings.remove),
        *_forms(console, Forms(verbs.acts, verbs.submission, verbs.webhooks)),
    ]


def _forms(console: Console, forms: Forms) -> list[Route]:
    return [
        console.form("/freeze", "plane.freeze", forms.freeze),
        console.form("/unfreeze", "plane.freeze", forms.unfreeze),
        console.form("/runs/{id}/pause", "runs.pause", forms.pause),
        console.form("/runs/{id}/pause-now", "runs.pause", forms.pause_now),
        console.form("/runs/{id}/resume", "runs.pause", forms.resume),
        console.form("/runs/{id}/stop", "runs.stop", forms.stop),
        console.form("/runs/{id}/retry", "runs.retry", forms.retry),
        console.form("/fleet/{id}/mark", "devices.mark", forms.mark),
        console.form("/models/rollback", "versions.promote", forms.rollback),
        console.form("/models/{id}/promote", "versions.promote", forms.promote),
        console.form("/settings/services", "services.issue", forms.issue_service),
        console.form("/settings/services/{id}/revoke", "services.issue", forms.revoke_service),
        console.form("/settings/webhooks", "webhooks.set", forms.set_webhook),
        console.form("/settings/webhooks/{id}/remove", "webhooks.set", forms.remove_webhook),
    ]
