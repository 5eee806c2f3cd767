"""What is learned of devices: losses shrunk to class and prior, robust durations, quantiles, claims held to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.core.fleet.reliability import CLASSES_MAX, HOUR_MS, Observations, Reliability

NAN = float("nan")


def seen(
    devices: list[int], lost: list[bool], durations: list[float] | None = None, at_ms: list[int] | None = None
) -> Observations:
    """Leases of `devices`, all of class device // 10."""
    count = len(devices)
    unknown = np.full(count, np.nan, np.float32)
    return Observations(
        devices=np.array(devices, np.int64),
        classes=np.array(devices, np.int64) // 10,
        lost=np.array(lost, np.bool_),
        duration_ms=np.array(durations, np.float32) if durations else unknown,
        download=unknown,
        upload=unknown,
        at_ms=np.array(at_ms if at_ms else [0] * count, np.int64),
    )


def ids(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def test_losses_are_shrunk_to_class_and_prior() -> None:
    learned = Reliability()
    assert learned.loss_rate(ids(3, 999), ids(0, 99), 0.1).tolist() == pytest.approx([0.1, 0.1])
    learned.observe(seen([3] * 4 + [4] * 6, [True] * 3 + [False] * 7))
    shared = (3 + 20 * 0.1) / (10 + 20)
    expected = [(3 + 8 * shared) / (4 + 8), (0 + 8 * shared) / (6 + 8), shared, 0.1]
    assert learned.loss_rate(ids(3, 4, 5, 11), ids(0, 0, 0, 1), 0.1).tolist() == pytest.approx(expected)


def test_after_three_days_evidence_counts_half() -> None:
    learned = Reliability()
    learned.observe(seen([3] * 4, [True] * 4))
    learned.observe(seen([40], [False], at_ms=[72 * HOUR_MS]))
    shared = (2 + 20 * 0.1) / (2 + 20)
    assert learned.loss_rate(ids(3), ids(0), 0.1)[0] == pytest.approx((2 + 8 * shared) / (2 + 8))
    learned.observe(seen([3], [False], at_ms=[72 * HOUR_MS + 1]))
    assert (learned.tries[3], learned.losses[3]) == (3.0, 2.0)


def test_one_odd_duration_moves_little() -> None:
    learned = Reliability()
    learned.observe(seen([3, 3, 3], [False] * 3, [1_000.0, NAN, 1_000_000.0]))
    # clipped to 4,000, a quarter of the way
    assert learned.duration_ms(ids(3), ids(0))[0] == 1_750.0
    assert learned.last_ms[3] == 1_000_000.0
    assert np.isnan(learned.duration_ms(ids(77), ids(7))[0])


def test_a_class_has_the_quantiles_of_its_durations() -> None:
    learned = Reliability()
    durations = np.random.default_rng(4).lognormal(11.0, 1.0, 4_000).astype(np.float32)
    learned.observe(seen([3] * 4_000, [False] * 4_000, durations.tolist()))
    for q in (0.1, 0.5, 0.95):
        exact = float(np.quantile(durations, q))
        assert learned.duration_quantile(ids(0, 5), q)[0] == pytest.approx(exact, rel=0.05)
        assert np.isnan(learned.duration_quantile(ids(0, 5), q)[1])
    assert learned.duration_ms(ids(9), ids(0))[0] == learned.duration_quantile(ids(0), 0.5)[0], "its class's median"
    # the first and the last bin take what is beyond them
    learned.observe(seen([50, 60], [False] * 2, [1.0, 1e12]))
    assert learned.duration_quantile(ids(5, 6), 1.0).tolist() == pytest.approx([123.8, 86_400_000.0], rel=1e-3)


def test_bandwidth_is_learned_each_way() -> None:
    learned = Reliability()
    two = np.array([4.3, 4.3], np.float32)
    told = Observations(
        devices=ids(1, 2),
        classes=ids(0, 0),
        lost=np.zeros(2, np.bool_),
        duration_ms=np.full(2, np.nan, np.float32),
        download=two,
        upload=np.full(2, 2.15, np.float32),
        at_ms=ids(0, 0),
    )
    learned.observe(told)
    assert learned.bandwidth_quantile(ids(0), 0.5, "download")[0] == pytest.approx(4.3, rel=0.29)
    assert learned.bandwidth_quantile(ids(0), 0.5, "upload")[0] == pytest.approx(2.15, rel=0.29)


def test_columns_are_small_and_classes_bounded() -> None:
    learned = Reliability()
    learned.observe(seen([1_000_000], [True]))
    columns = [value for value in vars(learned).values() if isinstance(value, np.ndarray)]
    assert sum(column.itemsize for column in columns) == 20
    assert {len(column) for column in columns} == {1 << 20}
    assert len(learned.outcomes.of(ids(0, CLASSES_MAX, 10**9))) == 3
    assert learned.outcomes.of(ids(100_000))[0].tolist() == [0.0, 1.0]


ROW = st.tuples(
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from([NAN, 50.0, 1e3, 3e4, 2e8]),
    st.sampled_from([0, 1, 60_000, HOUR_MS - 1, 3 * HOUR_MS]),
)
REACHED = {"device twice in a batch": 0, "hour turns in a batch": 0, "hour turns between": 0}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=2, max_size=60), st.data())
def test_cutting_batches_changes_no_bit(rows: list[tuple[int, bool, float, int]], data: st.DataObject) -> None:
    moments = np.cumsum([row[3] for row in rows]).tolist()
    cuts = sorted(data.draw(st.lists(st.integers(1, len(rows) - 1), min_size=1, max_size=8)))
    whole, parts = Reliability(), Reliability()
    whole.observe(_slice(rows, moments, 0, len(rows)))
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        parts.observe(_slice(rows, moments, start, end))
        hours = {at // HOUR_MS for at in moments[start:end]}
        REACHED["device twice in a batch"] += len({row[0] for row in rows[start:end]}) < end - start
        REACHED["hour turns in a batch"] += len(hours) > 1
        REACHED["hour turns between"] += 0 < start < len(rows) and moments[start] // HOUR_MS not in {
            moments[start - 1] // HOUR_MS
        }
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            # one side may have grown in other steps
            size = min(len(value), len(getattr(parts, name)))
            assert value[:size].tobytes() == getattr(parts, name)[:size].tobytes(), name
    every = np.arange(41)
    assert whole.loss_rate(every, every // 10).tobytes() == parts.loss_rate(every, every // 10).tobytes()
    assert whole.duration_ms(every, every // 10).tobytes() == parts.duration_ms(every, every // 10).tobytes()


def test_an_hour_of_a_class_is_added_up_before_it_is_rounded() -> None:
    """A third of an observation, and 2,000 one by one, are not the float32 that 2,000 at once are."""
    rows = [(3, number % 3 == 0, 1e3, 0) for number in range(6_000)]
    moments = [number // 2_000 * 5 * HOUR_MS for number in range(6_000)]
    whole, parts = Reliability(), Reliability()
    whole.observe(_slice(rows, moments, 0, 6_000))
    for start in range(0, 6_000, 30):
        parts.observe(_slice(rows, moments, start, start + 30))
    assert whole.outcomes.of(ids(0)).tobytes() == parts.outcomes.of(ids(0)).tobytes()
    assert whole.durations.of(ids(0)).tobytes() == parts.durations.of(ids(0)).tobytes()


def test_the_cells_were_reached() -> None:
    assert min(REACHED.values()) > 10, REACHED


def _slice(rows: list[tuple[int, bool, float, int]], moments: list[int], start: int, end: int) -> Observations:
    some = rows[start:end]
    return seen([row[0] for row in some], [row[1] for row in some], [row[2] for row in some], moments[start:end])
