"""What tests of the core are made of: tasks from a few terms, telemetry, every row, what a check-in heard."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from podium.core.effects import AnySend, CheckinAnswers, Offer
from podium.core.fleet.telemetry import SWITCHES, Telemetry
from podium.core.fleet.telemetry import telemetry as told_telemetry
from podium.core.rows import AnyRow, table_of
from podium.core.selection.reasons import REASONS
from podium.core.state import State
from podium.tasks.task import Data, Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.limits import Limits
from podium.wire.plain import convert

PLAN = "tests.plan:train"
BASE = "sha256:base"
LIMITS = Limits(window_jitter=0.000001)
Rows = dict[tuple[str, str], AnyRow]


def task(**terms: object) -> Task:
    """A task from terms of any section by name, such as `goal=3, stall=1_000, requires="device.cores > 2"`."""
    known = {"name": "t", "plan": PLAN, "purpose": "a test", **terms}
    sections: dict[str, object] = {"model": convert({"init": "tests.plan:init"}, ModelSource)}
    for section, kind in (("task", Head), ("data", Data), ("select", Select), ("round", Round), ("run", RunRules)):
        held = {name: known.pop(name) for name in kind.__struct_fields__ if name in known}
        sections[section] = convert(held, kind)
    assert not known, f"no section has {sorted(known)}"
    return convert(sections, Task)


IDLE_MS, SOON_MS = 3_200, 200
"""How far apart the moments are at which a small population meets when nothing is wanted of it, and when it is."""


def gathers(at_ms: int, window_ms: int, every_ms: int) -> bool:
    """Whether who is told `window_ms` at `at_ms` comes to the next moment, or within a fiftieth after it."""
    return 0 < window_ms <= every_ms * 1.02 and (at_ms + window_ms) % every_ms <= every_ms * 0.02


def telemetry(rows: int, facts: Mapping[str, float]) -> Telemetry:
    """The same momentary facts for `rows` devices; unknown unless given."""
    switches = {name: np.full(rows, value, np.int8) for name, value in facts.items() if name in SWITCHES}
    levels = {name: np.full(rows, value, np.float32) for name, value in facts.items() if name not in SWITCHES}
    return told_telemetry(rows, levels, switches)


def rows_of(state: State) -> Rows:
    """Every durable row that the core remembers."""
    every: list[AnyRow] = [
        *state.tokens.values(),
        *state.devices,
        *state.tasks.values(),
        *state.runs.values(),
        *state.rounds.values(),
        *state.leases.values(),
        *state.versions.values(),
        *state.aliases.values(),
        *state.alias_moves.values(),
        *state.releases.values(),
        *state.freezes.values(),
        *state.services.values(),
        *state.webhooks.values(),
    ]
    return {(table_of(row), row.key()): row for row in every}


class Told(msgspec.Struct, frozen=True):
    """What a device heard to a check-in."""

    reason: str
    offer: Offer | None
    news: str
    window_ms: int


def told_by(sends: Sequence[AnySend]) -> dict[int, Told]:
    """Ticket -> what its check-in heard; a ticket hears once."""
    heard: dict[int, Told] = {}
    for ticket, told in _told(sends):
        assert ticket not in heard, f"ticket {ticket} hears twice"
        heard[ticket] = told
    return heard


def _told(sends: Sequence[AnySend]) -> Iterator[tuple[int, Told]]:
    for send in sends:
        if isinstance(send, CheckinAnswers):
            for row, ticket in enumerate(send.ticket):
                reason, window = REASONS[int(send.reason[row])], int(send.window_else_ms[row])
                yield int(ticket), Told(reason, send.offers.get(row), send.news.get(row, ""), window)
