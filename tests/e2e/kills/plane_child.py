"""The plane of the kill test: `python plane_child.py DATA PORT TRACE FUSE`; a plane like any other, until killed.

Its store is the real one, which writes down each transaction before and after. The fuse counts transactions: "after:n"
kills the process when its n-th is durable and nothing that waited for it was sent. Or it counts requests of devices:
"before-request:n" kills it when its n-th has come, "after-request:n" when its answer has gone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Step
from podium.core.rows import RoundRow
from podium.ports.plane import SignedHead
from podium.server import main as main_module
from podium.server import plane as plane_module
from podium.server.http import Receive, Scope, Send
from podium.server.main import PlaneServer, serve
from podium.server.plane import Plane
from podium.wire.limits import Limits
from tests.e2e.kills.tracing import Fuse, Trace

LIMITS = Limits(
    form_settle_ms=50,
    offer_ms=4_000,
    reserve_ms=2_000,
    window_rendezvous_ms=60,
    window_idle_ms=200,
    journal_merge_ms=100,
    drain_ms=3_000,
)


class TracedStore(SqliteStore):
    """The embedded store, written down."""

    trace: Trace
    fuse: Fuse

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        """Whole steps, written down."""
        records = [record for step in steps for record in step.records]
        kinds = ",".join(record.kind for record in records)
        self.trace.say("commit", kinds)
        self.fuse.before(f"commit {kinds}")
        super().commit(name, steps, salts)
        rows = [row for record in records for row in record.rows if isinstance(row, RoundRow)]
        self.trace.say("durable", " ".join(f"{row.run}.{row.number}={row.state}" for row in rows))
        self.fuse.after(f"commit {kinds}")

    def place(self, entries: Sequence[tuple[int, int]], heads: Sequence[SignedHead]) -> None:
        """Places and heads, written down."""
        self.fuse.before("place")
        super().place(entries, heads)
        self.fuse.after("place")


class TracedPlane(Plane):
    """The plane, whose requests of devices burn a fuse of their own."""

    fuse: Fuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = str(scope.get("path", ""))
        if not path.startswith("/v1/"):
            await super().__call__(scope, receive, send)
            return
        self.fuse.before(path)
        await super().__call__(scope, receive, send)
        self.fuse.after(path)


def main() -> None:
    """Serve until told to end."""
    data, port, trace_file, fuse = sys.argv[1:]
    trace = Trace(Path(trace_file))
    trace.say("life", fuse)
    TracedStore.trace, TracedStore.fuse = trace, Fuse(fuse, trace)
    vars(plane_module)["SqliteStore"] = TracedStore
    TracedPlane.fuse = Fuse(fuse, trace, "-request")
    vars(main_module)["Plane"] = TracedPlane
    serve(
        PlaneServer(Path(data), port=int(port), limits=LIMITS),
        lambda server: trace.say("ready", server.url),
        Path(data).with_name("plane.log"),
    )


if __name__ == "__main__":
    main()
