"""Why is nothing happening: the two explanations of the operator API, given also while the plane decides nothing.

Decides: that a store which fails, or a core that is not there, is itself the answer. Never: which cause binds
(core/views/explain.py).
"""

from podium.core.views.explain import explain_run, explain_trouble
from podium.core.views.explain_device import explain_device
from podium.server.loop.loop import Loop
from podium.server.operators.naming import Devices, find_run
from podium.server.operators.route_table import AnyRoute, Route
from podium.wire.asks import Ask
from podium.wire.explained import Explanation
from podium.wire.problems import DeviceFault, StoreFault


class Explains:
    """Explanations of runs and devices."""

    def __init__(self, loop: Loop, devices: Devices) -> None:
        self._loop = loop
        self._devices = devices

    async def run(self, name: str) -> Explanation:
        """Why the run of that name stands where it stands. `OperatorFault(run-unknown | id-ambiguous)`."""
        told = None
        try:
            state, now = self._loop.state, self._loop.now_ms()
            told = explain_run(state, find_run(state, name), now)
            await self._loop.settled()
        except (StoreFault, DeviceFault) as fault:
            return explain_trouble("run", told.subject if told else name, fault.code, told)
        return told

    async def device(self, name: str) -> Explanation:
        """Why the device of that name does or does not work. `OperatorFault(not-found | id-ambiguous)`."""
        told = None
        try:
            row = await self._devices.find(name)
            told = explain_device(self._loop.state, row, self._loop.now_ms())
            await self._loop.settled()
        except (StoreFault, DeviceFault) as fault:
            return explain_trouble("device", told.subject if told else name, fault.code, told)
        return told


def explain_routes(explains: Explains) -> list[AnyRoute]:
    """The rows of the operator API's table."""
    return [
        Route(
            method="GET",
            path="/api/v1/runs/{id}/explain",
            verb="runs.read",
            summary="Why a run stands where it stands: the binding cause, the others, and what to do next",
            ask=Ask,
            answer=Explanation,
            watched=True,
            call=lambda call: explains.run(call.id),
            codes=("run-unknown", "id-ambiguous"),
        ),
        Route(
            method="GET",
            path="/api/v1/devices/{id}/explain",
            verb="devices.read",
            summary="Why a device does or does not work: what holds it back, run by run, and what to do next",
            ask=Ask,
            answer=Explanation,
            watched=True,
            call=lambda call: explains.device(call.id),
            codes=("not-found", "id-ambiguous"),
        ),
    ]
