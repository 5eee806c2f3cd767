"""The tables themselves: a missing pair is refused by name, every state is reached, ends are ends."""

import pytest

from podium.core.rounds.table import (
    LEASE_EVENTS,
    LEASE_LIVE,
    LEASE_STATES,
    LEASE_TABLE,
    ROUND_EVENTS,
    ROUND_OPEN,
    ROUND_STATES,
    ROUND_TABLE,
    RUN_EVENTS,
    RUN_STATES,
    RUN_TABLE,
    Missing,
    advance,
)

MACHINES = {
    "run": (RUN_STATES, RUN_EVENTS, RUN_TABLE, ("RUNNING", "PAUSING", "PAUSED")),
    "round": (ROUND_STATES, ROUND_EVENTS, ROUND_TABLE, ROUND_OPEN),
    "lease": (LEASE_STATES, LEASE_EVENTS, LEASE_TABLE, (*LEASE_LIVE, "REPORTED")),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_pair_advances_or_is_refused_by_name(machine: str) -> None:
    states, events, table, _ = MACHINES[machine]
    refused = 0
    for state in states:
        for event in events:
            if (state, event) in table:
                assert advance(table, state, event) == table[state, event]
                continue
            refused += 1
            with pytest.raises(Missing, match=f"^{event} in {state}$"):
                advance(table, state, event)
    assert refused == len(states) * len(events) - len(table)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_table_names_its_states_and_events_and_no_others(machine: str) -> None:
    states, events, table, going = MACHINES[machine]
    assert {event for _, event in table} == set(events)
    assert set(table.values()) | {states[0]} == set(states)
    assert {state for state, _ in table} == set(going), "an end is an end"
