"""The outbox of one step: what it records and sends. Recording a row is what changes the state.

Decides: that no row changes without a record, and that the state changes exactly as the record says. Never: anything
about the rows' content.
"""

from podium.core.effects import AnySend, Record
from podium.core.rows import AnyRow
from podium.core.state import State

POPULATION = "default"
"""The one population of an embedded plane; its journal tree bears its name."""


class Outbox:
    """Collects the records and sends of the step under way and applies rows to `state` as they are recorded."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.records: list[Record] = []
        self.sends: list[AnySend] = []

    def record(self, kind: str, subject: str, *rows: AnyRow, actor: str = "", tree: str = "", **why: str | int) -> None:
        """Keep that `kind` happened to `subject` and let `rows` be the present ones.

        `actor` is "person:<role>", "service:<name>", "device:<id>" or "" for the plane itself; acts of people and
        of services go to the plane's tree, and so does what is told with `tree="plane"`.
        """
        for row in rows:
            self.state.put(row)
        self.records.append(
            Record(
                at_ms=self.state.now_ms,
                tree=tree or ("plane" if actor.startswith(("person:", "service:")) else POPULATION),
                kind=kind,
                subject=subject,
                actor=actor or "plane",
                why=why,
                rows=rows,
            )
        )

    def send(self, send: AnySend) -> None:
        """Send this once the step is durable."""
        self.sends.append(send)
