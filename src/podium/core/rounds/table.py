"""The transition tables of runs, rounds and leases: every (state, event) pair that may happen, and nothing else.

Decides: which transitions exist. A pair that is missing is a typed refusal (`Missing`). Never: what a transition does
besides (runs.py, rounds.py, leases.py). docs/states is generated from here; the mutation tests drop and swap each row.
"""

RUN_STATES = ("RUNNING", "PAUSING", "PAUSED", "FINISHED", "STOPPED", "TIMED_OUT", "ABANDONED")
RUN_EVENTS = ("pausing", "paused", "resumed", "finished", "stopped", "timed-out", "abandoned")
RUN_TABLE: dict[tuple[str, str], str] = {
    ("RUNNING", "pausing"): "PAUSING",
    ("RUNNING", "paused"): "PAUSED",
    ("PAUSING", "paused"): "PAUSED",
    ("PAUSING", "resumed"): "RUNNING",
    ("PAUSED", "resumed"): "RUNNING",
    ("RUNNING", "finished"): "FINISHED",
    ("RUNNING", "stopped"): "STOPPED",
    ("RUNNING", "timed-out"): "TIMED_OUT",
    ("RUNNING", "abandoned"): "ABANDONED",
    ("PAUSING", "finished"): "FINISHED",
    ("PAUSING", "stopped"): "STOPPED",
    ("PAUSING", "timed-out"): "TIMED_OUT",
    ("PAUSING", "abandoned"): "ABANDONED",
    # what was at work when the run was paused may still be the last that it needed
    ("PAUSED", "finished"): "FINISHED",
    ("PAUSED", "stopped"): "STOPPED",
    ("PAUSED", "abandoned"): "ABANDONED",
}

ROUND_STATES = ("FORMING", "REPORTING", "AGGREGATING", "SEALED", "ABANDONED")
ROUND_EVENTS = ("started", "closed", "sealed", "abandoned")
ROUND_TABLE: dict[tuple[str, str], str] = {
    ("FORMING", "started"): "REPORTING",
    ("FORMING", "abandoned"): "ABANDONED",
    ("REPORTING", "closed"): "AGGREGATING",
    ("REPORTING", "abandoned"): "ABANDONED",
    ("AGGREGATING", "sealed"): "SEALED",
    ("AGGREGATING", "abandoned"): "ABANDONED",
}
ROUND_OPEN = ("FORMING", "REPORTING", "AGGREGATING")

LEASE_STATES = (
    "OFFERED",
    "HELD",
    "REPORTED",
    "ACCEPTED",
    "DECLINED",
    "INCOMPATIBLE",
    "FAILED",
    "LAPSED",
    "REFUSED",
    "SUPERSEDED",
    "REVOKED",
)
LEASE_EVENTS = (
    "accepted",
    "declined",
    "incompatible",
    "failed",
    "lapsed",
    "reported",
    "passed",
    "refused",
    "superseded",
    "revoked",
)
LEASE_TABLE: dict[tuple[str, str], str] = {
    ("OFFERED", "accepted"): "HELD",
    ("OFFERED", "declined"): "DECLINED",
    ("OFFERED", "incompatible"): "INCOMPATIBLE",
    ("OFFERED", "failed"): "FAILED",
    ("OFFERED", "lapsed"): "LAPSED",
    ("OFFERED", "superseded"): "SUPERSEDED",
    ("OFFERED", "revoked"): "REVOKED",
    ("HELD", "declined"): "DECLINED",
    ("HELD", "incompatible"): "INCOMPATIBLE",
    ("HELD", "failed"): "FAILED",
    ("HELD", "lapsed"): "LAPSED",
    ("HELD", "reported"): "REPORTED",
    ("HELD", "superseded"): "SUPERSEDED",
    ("HELD", "revoked"): "REVOKED",
    ("REPORTED", "passed"): "ACCEPTED",
    ("REPORTED", "refused"): "REFUSED",
    ("REPORTED", "revoked"): "REVOKED",
}
LEASE_LIVE = ("OFFERED", "HELD")
"""A device in one of these holds its one training lease."""
LEASE_STORED = ("REPORTED", "ACCEPTED")
"""The update is durable and waits for its round."""


class Missing(Exception):
    """The table has no row for this (state, event) pair."""


def advance(table: dict[tuple[str, str], str], state: str, event: str) -> str:
    """The state after `event` in `state`; `Missing` if the table has no such row."""
    try:
        return table[state, event]
    except KeyError:
        raise Missing(f"{event} in {state}") from None
