"""What a task would find here: its forecast from the fleet as it is now and from how its plan's last rounds went.

Decides: nothing; a task is decoded and checked as a run's is, and nothing is kept of it. Never: starts anything.
"""

from podium.core.selection.eligible import Eligibility
from podium.core.views.prospect import prospect
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.operators.fleet_reads import FleetReads
from podium.server.operators.route_table import AnyRoute, Route
from podium.tasks.check import check_task
from podium.tasks.digest import read_task_bytes
from podium.tasks.forecast import Forecast, forecast
from podium.wire.asks import ForecastAsk
from podium.wire.problems import OperatorFault

BYTES_MAX = 2**40


class Forecasts:
    """Forecasts of tasks on this plane's fleet."""

    def __init__(self, loop: Loop, room: BlobRoom, fleet: FleetReads) -> None:
        self._loop, self._room, self._fleet = loop, room, fleet

    async def of(self, ask: ForecastAsk) -> Forecast:
        """The forecast of a task. `OperatorFault(task-invalid | not-available | expression-invalid | usage)`."""
        if min(ask.model_bytes, ask.update_bytes) < -1 or max(ask.model_bytes, ask.update_bytes) > BYTES_MAX:
            raise OperatorFault("usage", what="a size in bytes", why=f"it is -1 (not known) to {BYTES_MAX}")
        task = read_task_bytes(bytes(ask.task))
        check_task(task)
        fit = await self._room.run(Eligibility, task)
        seen = prospect(self._loop.state, task, fit, self._fleet.by_hour(), self._loop.now_ms())
        return forecast(task, ask.model_bytes, ask.update_bytes, seen)


def forecast_routes(forecasts: Forecasts) -> list[AnyRoute]:
    """The rows of the operator API's table."""
    return [
        Route(
            method="POST",
            path="/api/v1/forecast",
            verb="runs.read",
            summary="What a task would find in this fleet: devices, rounds an hour, bytes, waste, energy, go or no-go",
            ask=ForecastAsk,
            answer=Forecast,
            call=lambda call: forecasts.of(call.ask),
            codes=("task-invalid", "not-available", "expression-invalid", "usage"),
        )
    ]
