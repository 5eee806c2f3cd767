"""The fleet and the core in a closed loop of virtual time: small populations that meet, and rounds that ask no more
devices than they need."""

import pytest

from podium.sim.fleet_terms import FleetTerms
from tests.support.paced_runs import FIRST_MS, QUICK, costs, losing, small_rounds

SEEDS = (7, 8, 9)


@pytest.mark.parametrize(
    ("seed", "terms"),
    [
        (6, QUICK),
        *(pytest.param(seed, QUICK, marks=pytest.mark.long) for seed in range(20, 26)),
        *(pytest.param(seed, losing(2.5), marks=pytest.mark.long) for seed in range(30, 36)),
    ],
)
def test_a_small_fleet_meets_in_its_first_window(seed: int, terms: FleetTerms) -> None:
    """Whatever the seed, and where a fifth of all leases is lost."""
    formed = small_rounds(seed, terms)
    first = sum(each.late_ms <= FIRST_MS for each in formed)
    assert len(formed) == 39
    assert first >= 0.95 * len(formed), f"{first} of {len(formed)} formed in their first window: {formed}"
    assert max(each.filled_ms for each in formed) <= 1_000, f"all fifty had their leases by then: {formed}"


@pytest.mark.long
def test_asking_as_many_as_are_lost_wastes_less_than_a_fixed_share() -> None:
    fixed, adaptive = costs(1.3, SEEDS), costs("auto", SEEDS)
    told = f"fixed 1.3 {fixed}, adaptive {adaptive}"
    assert adaptive.abandoned <= fixed.abandoned, told
    assert adaptive.work_ms <= fixed.work_ms * 2 / 3, told
    assert adaptive.took_ms <= fixed.took_ms * 1.6, told


@pytest.mark.long
def test_where_a_fifth_is_lost_nobody_can_waste_much_less_than_a_fixed_share() -> None:
    """30 rounds of 100 lose 100 * 0.2 / 0.8 = 25 leases each, whoever asks; 130 % wastes 30."""
    fixed, adaptive = (costs(over, (1, 2), losing(2.5)) for over in (1.3, "auto"))
    told = f"fixed 1.3 {fixed}, adaptive {adaptive}"
    assert adaptive.abandoned <= fixed.abandoned == 0, told
    assert adaptive.work_ms <= fixed.work_ms, told
    assert 0.95 * 2 * 30 * 25 <= adaptive.leases <= fixed.leases, told
