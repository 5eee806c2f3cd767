"""Which screen and which form is served where.

Decides: the paths. Never: what is on them.
"""

from starlette.routing import Route

from podium.server.console.door import Console
from podium.server.console.forms import Forms
from podium.server.console.presence import Presence
from podium.server.console.screens.overview import Overview
from podium.server.console.screens.runs import Runs
from podium.server.operators.acts import Acts
from podium.server.operators.explains import Explains
from podium.server.operators.reads import Reads
from podium.server.operators.submission import Submission


def console_routes(
    console: Console, reads: Reads, explains: Explains, acts: Acts, submission: Submission, presence: Presence
) -> list[Route]:
    """Every route of the console."""
    overview, runs = Overview(reads, presence), Runs(reads, explains)
    return [
        *console.routes(),
        *console.page("/", overview.show),
        *console.page("/freeze", overview.frozen),
        *console.page("/runs", runs.every),
        *console.page("/runs/{id}", runs.show),
        *console.page("/runs/{id}/stop", runs.stop),
        *_forms(console, Forms(acts, submission)),
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
        console.form("/models/{id}/promote", "versions.promote", forms.promote),
        console.form("/models/rollback", "versions.promote", forms.rollback),
    ]
