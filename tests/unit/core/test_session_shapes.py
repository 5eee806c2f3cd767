"""Session shapes: a string for each end of a lease, counted by round and run, and the index by which they drift."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core.rounds.table import LEASE_STATES
from podium.core.views.explain import explain_run
from podium.core.views.fleet import lease_view
from podium.core.views.runs import round_view, run_view
from podium.core.views.shapes import (
    DRIFT_MAX,
    LEGEND,
    SAMPLE_MIN,
    SHAPES,
    UNDECIDED,
    RunShapes,
    drift,
    most_moved,
    shape_of,
    shapes_of,
)
from tests.support.explain_cases import drifted, reporting


def test_every_end_has_a_shape_of_marks_that_the_legend_names() -> None:
    for state in LEASE_STATES:
        assert shape_of(state, "whatever").startswith("-")
    assert set("".join(SHAPES.values())) == set(LEGEND)
    assert {name.partition(":")[0] for name in SHAPES} == set(LEASE_STATES)


def test_the_shapes_of_a_round() -> None:
    outcomes = {"ACCEPTED": 700, "REPORTED": 4, "LAPSED:stall": 38, "LAPSED:offer": 2, "FAILED:plan-raised": 5}
    outcomes |= {"FAILED:data-gone": 1, "REFUSED:norm-bound": 3, "DECLINED:battery": 6, "DECLINED:busy": 1}
    assert list(shapes_of(outcomes).items()) == [
        ("-v[]+^", 704),
        ("-v*", 38),
        ("-/", 7),
        ("-v[!", 5),
        ("-v[]+^#", 3),
        ("-*", 2),
        ("-!", 1),
    ]


def test_a_shape_is_the_same_while_the_round_is_open_and_when_it_is_over() -> None:
    drive = reporting(3, goal=2, over=1.0, rounds=2)
    first, second = (drive.state.live_lease[device] for device in (0, 1))
    drive.report(first)
    drive.fail(second)
    open_view = round_view(drive.state, drive.state.rounds["r", 1], drive.now_ms)
    assert open_view.shapes == {"-v[]+^": 1, "-v[!": 1}
    assert {lease_view(drive.state.leases[id], drive.now_ms).shape for id in (first, second)} == set(open_view.shapes)
    drive.reload()
    assert round_view(drive.state, drive.state.rounds["r", 1], drive.now_ms).shapes == open_view.shapes
    assert run_view(drive.state, drive.run(), drive.now_ms).shapes == open_view.shapes
    drive.stop()
    ended = round_view(drive.state, drive.state.rounds["r", 1], drive.now_ms).shapes
    assert ended["-v[!"] == 1 and sum(ended.values()) == 2


def test_a_drift_is_a_cause_with_the_shape_that_moved_most() -> None:
    drive = drifted()
    told = explain_run(drive.state, drive.run(), drive.now_ms)
    assert told.causes[-1].code == "shape-drift"
    # (532.5/801... of 800 each): 16 and 264 stalled of 800: p 0.330, q 0.0206
    new, old = 264.5 / 801, 16.5 / 801
    index = (new - old) * math.log(new / old) + (old - new) * math.log((1 - new) / (1 - old))
    assert drift(RunShapes({}, {"-v*": 264, "-v[]+^": 536}, {"-v*": 16, "-v[]+^": 784})) == pytest.approx(index)
    assert told.causes[-1].text == (
        "what becomes of its leases has changed: over the newest 8 rounds -v* is 33% of them, before it was 2% "
        f"(stability index {index:.2f}, above {DRIFT_MAX})"
    )
    assert run_view(drive.state, drive.run(), drive.now_ms).shape_drift == pytest.approx(index)


COUNTS = st.dictionaries(st.sampled_from(sorted(set(SHAPES.values()))), st.integers(0, 900))


@given(newest=COUNTS, before=COUNTS)
def test_the_index_is_symmetric_zero_for_equals_and_silent_on_few(
    newest: dict[str, int], before: dict[str, int]
) -> None:
    seen = RunShapes({}, newest, before)
    decided = [sum(count for name, count in side.items() if name not in UNDECIDED) for side in (newest, before)]
    assert (drift(seen) == -1.0) == (min(decided) < SAMPLE_MIN)
    assert drift(seen) == pytest.approx(drift(RunShapes({}, before, newest)))
    assert drift(RunShapes({}, newest, newest)) in (-1.0, 0.0)
    assert (most_moved(seen)[0] == "") == (drift(seen) == -1.0)
