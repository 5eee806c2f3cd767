"""The probes: routes without a credential, which tell nothing of anybody.

Decides: whether the plane is healthy and ready. Never: anything about what it does.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from podium.server import http
from podium.server.loop.loop import Loop
from podium.server.metrics import PlaneMetrics
from podium.server.operators.operator_routes import to_starlette


class Probes:
    """/healthz, /readyz, /metrics."""

    def __init__(self, loop: Loop, metrics: PlaneMetrics) -> None:
        self._loop = loop
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """The three routes."""
        return [
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthy(self, request: Request) -> Response:
        """GET /healthz: the process answers."""
        return Response(b"ok\n", media_type="text/plain")

    async def ready(self, request: Request) -> Response:
        """GET /readyz: 200 while the plane takes requests, else 503 with the reason."""
        if self._loop.broken:
            return to_starlette(http.refusal(self._loop.refusal()))
        return Response(b"ready\n", media_type="text/plain")

    async def metrics(self, request: Request) -> Response:
        """GET /metrics, in Prometheus' text format."""
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4")
