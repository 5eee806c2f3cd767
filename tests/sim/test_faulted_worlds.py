"""Faulted seeds of every kind of world: no promise is broken, and all that is to be met is. `make seeds` runs 1,000."""

import pytest

from podium.core.selection.reasons import REASONS
from podium.sim.faults import ALL
from tests.sim.worlds import TERMS, TRANSITIONS, Tally, run_seed, run_seeds

ELSEWHERE = {"banned", "privacy", "kind", "unknown-fact", "region"}
"""Reasons that no world gives: tests/unit/core/test_reasons_reached.py has a situation for each."""
UNMET = {
    *(
        ("run", state, end)
        for state in ("RUNNING", "PAUSING", "PAUSED")
        for end in ("STOPPED", "TIMED_OUT", "ABANDONED")
    ),
    *(("run", state, "FINISHED") for state in ("PAUSING", "PAUSED")),
    *(("lease", state, "INCOMPATIBLE") for state in ("OFFERED", "HELD")),
    *(("lease", "OFFERED", end) for end in ("FAILED", "LAPSED", "SUPERSEDED")),
    ("round", "AGGREGATING", "ABANDONED"),
} - {("run", "RUNNING", "ABANDONED")}
"""Transitions that worlds meet seldom or never: tests/property/test_rounds_table_machine.py walks all of them."""


def test_a_few_worlds_of_every_strategy() -> None:
    whole = Tally()
    for seed in (1, 2, 5, 9, 10, 11):
        whole.add(run_seed(seed))
    assert {"stratified", "oort", "power_of_choice", "uniform", "quality", "rival"} <= whole.terms.keys()
    assert whole.cells["lease", "REPORTED", "ACCEPTED"] > 50


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_worlds_meet_every_term_fault_reason_and_transition() -> None:
    whole = run_seeds(range(10_000, 10_100))
    assert min(whole.terms[name] for name in TERMS) >= 10, whole.terms
    assert min(whole.faults[name] for name in ALL) >= 20, whole.faults
    assert {name for name in REASONS if not whole.reasons[name]} <= ELSEWHERE, whole.reasons
    assert {cell for cell in TRANSITIONS if not whole.cells[cell]} <= UNMET, whole.cells
    assert whole.ends.keys() >= {"FINISHED rounds-done", "ABANDONED rounds-abandoned"}
