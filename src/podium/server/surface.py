"""All that people and services reach of a plane: the operator API's rooms and their one table, the console, the probes.

Decides: what is joined to what. Never: what any of it does, nor anything of devices (server/devices). A room that adds
routes adds its list here.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from podium.adapters.sqlite.pages import SqlitePages
from podium.adapters.sqlite.reader import open_readonly
from podium.server.console.door import Console
from podium.server.console.pages import Verbs, console_routes
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.metrics import PlaneMetrics
from podium.server.observe.requests import Observed
from podium.server.operators.act_routes import act_routes
from podium.server.operators.acts import Acts
from podium.server.operators.explains import Explains, explain_routes
from podium.server.operators.fleet_reads import FleetReads, fleet_routes
from podium.server.operators.forecasts import Forecasts, forecast_routes
from podium.server.operators.journal_reads import JournalReads
from podium.server.operators.keys import KeyRoom, key_routes
from podium.server.operators.live import Live
from podium.server.operators.naming import Devices
from podium.server.operators.openapi import openapi_route
from podium.server.operators.operator_routes import Operators, broke
from podium.server.operators.probes import Probes
from podium.server.operators.read_routes import read_routes
from podium.server.operators.reads import Reads
from podium.server.operators.route_table import AnyRoute
from podium.server.operators.submission import Submission
from podium.server.plane_data import Credentials, Parts
from podium.server.webhooks.room import Webhooks, webhook_routes
from podium.wire.messages import Signed


class Surface:
    """The rooms, by name, and `pages`, the ASGI application over them."""

    def __init__(
        self, parts: Parts, loop: Loop, room: BlobRoom, submission: Submission, metrics: PlaneMetrics, data: Path
    ) -> None:
        """Opens a second reading connection to the database of `data`."""
        self._parts, self._loop, self._room = parts, loop, room
        self._listed = SqlitePages(open_readonly(data))
        self.submission = submission
        devices = Devices(lambda: loop.state, partial(room.run, self._listed.devices_called))
        self.acts = Acts(parts, loop, room, devices)
        self.reads = Reads(parts, loop, room, self._listed, devices)
        self.journal = JournalReads(parts, loop, room, self._listed, data)
        self.explains, self.fleet = Explains(loop, devices), FleetReads(loop)
        self.forecasts = Forecasts(loop, room, self.fleet)
        self.keys = KeyRoom(parts, loop, room, self._listed)
        self.webhooks = Webhooks(parts, loop, data)
        self.live = Live(loop, parts.limits)
        self.table = self._table()
        self._credentials = Credentials(data, parts.entropy)
        self.pages = Observed(self._application(metrics), metrics, parts.entropy, self._prove)

    def tells_heads(self, heads: Callable[[], dict[str, Signed]]) -> None:
        """`heads` gives the newest signed head of each tree."""
        self.reads.heads = self.journal.heads = heads

    def _table(self) -> list[AnyRoute]:
        table = [
            *act_routes(self.acts, self.submission),
            *read_routes(self.reads, self.journal),
            *explain_routes(self.explains),
            *key_routes(self.keys),
            *webhook_routes(self.webhooks),
            *fleet_routes(self.fleet),
            *forecast_routes(self.forecasts),
        ]
        table.append(openapi_route(table))
        return table

    def _application(self, metrics: PlaneMetrics) -> Starlette:
        operators = Operators(self._parts, self._loop, self._credentials, self.live)
        console = Console(self._parts, self._loop, self._credentials, self.live)
        verbs = Verbs(
            limits=self._parts.limits,
            reads=self.reads,
            fleet=self.fleet,
            journal=self.journal,
            explains=self.explains,
            keys=self.keys,
            webhooks=self.webhooks,
            acts=self.acts,
            submission=self.submission,
        )
        made = Starlette(
            routes=[
                *operators.routes(self.table),
                *Probes(self._loop, metrics).routes(),
                *console_routes(console, verbs),
            ],
            exception_handlers={HTTPException: console.not_served, Exception: broke},
        )
        made.router.redirect_slashes = False  # a path with a slash more is another path, and nothing is served there
        return made

    def _prove(self, authorization: str) -> None:
        """`OperatorFault` unless the header proves a person or a service of this plane."""
        self._credentials.who(authorization, lambda: self._loop.state.services, self._loop.now_ms())

    async def open(self) -> None:
        """Begin to deliver, once the plane has a core."""
        await self.webhooks.open()

    async def close(self) -> None:
        """End every watch and every delivery."""
        self.live.end()
        await self.webhooks.close()
        self._listed.close()
