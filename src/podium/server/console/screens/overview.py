"""Overview: the plane in one look, and the kill switch.

Decides: what is told first. Never: acts. Its streams tell it anew on every change.
"""

from podium.server.console.charts import ago, presence_figure, spark
from podium.server.console.door import Look
from podium.server.console.rendering import Screen
from podium.server.operators.fleet_reads import FleetReads
from podium.server.operators.reads import Reads
from podium.wire.operator import RunView


class Overview:
    """The first screen."""

    def __init__(self, reads: Reads, fleet: FleetReads) -> None:
        self._reads = reads
        self._fleet = fleet

    async def show(self, look: Look) -> Screen:
        """GET /."""
        status = await self._reads.status()
        return Screen(
            template="overview.html",
            title="Overview",
            heading="Overview",
            twin="podium status",
            live=True,
            told={
                "status": status,
                "presence": presence_figure("presence", await self._fleet.presence()),
                "runs": [run_row(view) for view in status.runs],
            },
        )

    async def frozen(self, look: Look) -> Screen:
        """GET /freeze: the kill switch, asked for or taken back."""
        status = await self._reads.status()
        at_work = sum(view.round.leases.get("training", 0) for view in status.runs if view.round)
        told: dict[str, object] = {"back": "/", "kept": (), "choices": (), "shade": "bad", "label": "Freeze the plane"}
        why = status.freeze.why or "no reason given"
        if status.freeze.frozen:
            told |= {"effect": "Devices get leases again.", "lines": [], "action": "/unfreeze", "shade": "calm"}
            told |= {
                "label": "Unfreeze the plane",
                "lines": [f"Frozen {ago(status.freeze.age_ms)} ago by {status.freeze.actor}: {why}."],
            }
        else:
            told |= {
                "effect": f"From the next commit on no device of {status.devices} gets a lease.",
                "lines": [
                    f"Open runs: {len(status.runs)}. Devices at work now: {at_work}.",
                    "Rounds that form wait; other deadlines run on.",
                ],
                "action": "/freeze",
                "choices": (("revoke", f"Also revoke the leases of the {at_work} devices at work"),),
            }
        heading = "Unfreeze the plane" if status.freeze.frozen else "Freeze the plane"
        return Screen(
            template="confirm.html",
            title=heading,
            heading=heading,
            crumbs=(("/", "Overview"),),
            twin="podium unfreeze" if status.freeze.frozen else "podium freeze",
            told=told,
        )


def run_row(view: RunView) -> dict[str, object]:
    """A run as lists show it: with its first metric, and how that went."""
    metric, values = next(iter(sorted(view.history.items())), ("", []))
    return {"view": view, "metric": metric, "value": values[-1] if values else None, "spark": spark(values)}
