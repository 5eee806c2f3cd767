"""The console's charts: what they draw stands where the numbers say, in words as well, and texts stay texts."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.server.console.charts import (
    POINTS_MAX,
    Dot,
    Lane,
    Span,
    Spread,
    ago,
    metric_figure,
    presence_figure,
    spark,
    strip_figure,
    timeline_figure,
)
from podium.server.console.lanes import AliasLane, Drawn, versions_figure
from podium.server.console.svg import BOTTOM, TOP, Figure, axis, number, some
from podium.wire.operator import PresencePoint, PresenceView

NASTY = '"><script>alert(1)</script>&'


def tree(figure: Figure) -> ElementTree.Element:
    """The figure as XML: it must be well-formed, named, and without a style of its own."""
    assert " style=" not in figure.svg and "<style" not in figure.svg and "<script" not in figure.svg
    root = ElementTree.fromstring(str(figure.svg))
    assert root.get("role") == "img"
    named = (root.get("aria-labelledby") or "").split()
    assert [each.get("id") for each in root if each.tag in ("title", "desc")] == named
    assert all(len(row) == len(figure.head) for row in figure.rows)
    return root


def shapes(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """The elements of class `kind`, whatever else they are."""
    return [each for each in root.iter() if kind in (each.get("class") or "").split()]


def test_a_metric_is_a_line_a_band_and_a_table() -> None:
    points = [
        Spread(label="1", value=0.5, each={"a": 0.4, "b": 0.6}),
        Spread(label="2", value=0.75, each={"a": 0.7, "b": 0.8}),
    ]
    figure = metric_figure("m", "accuracy", points)
    root = tree(figure)
    (line,) = shapes(root, "line")
    drawn = [tuple(map(float, pair.split(","))) for pair in (line.get("points") or "").split()]
    scale = axis([0.4, 0.8])
    assert drawn == [(20.0, scale.y(0.5)), (980.0, scale.y(0.75))]
    assert len((shapes(root, "band")[0].get("points") or "").split()) == 4
    assert len(shapes(root, "dot")) == 4
    assert figure.rows == [("1", "0.5", "0.4", "0.6"), ("2", "0.75", "0.7", "0.8")]
    assert figure.text == "accuracy 0.75 in round 2 on the version it began with, sites from 0.7 to 0.8"


def test_a_metric_without_a_round_or_with_one_is_drawn_too() -> None:
    assert metric_figure("m", "loss", []).text == "nothing yet"
    tree(metric_figure("m", "loss", []))
    (mark,) = shapes(tree(metric_figure("m", "loss", [Spread(label="1", value=2.0)])), "mark")
    assert mark.get("cx") == "50.00%"


def test_many_points_are_thinned_and_the_last_one_stays() -> None:
    points = [Spread(label=str(place), value=float(place)) for place in range(5_000)]
    figure = metric_figure("m", "loss", points)
    assert len(figure.rows) == POINTS_MAX
    assert (figure.rows[0][0], figure.rows[-1][0]) == ("0", "4999")


def test_a_hostile_name_stays_text_everywhere() -> None:
    figures = [
        metric_figure("m", NASTY, [Spread(label=NASTY, value=1.0, each={NASTY: 1.0})]),
        timeline_figure(
            "t", NASTY, [Lane(label=NASTY, spans=[Span(start=-9, end=0, kind="held", text=NASTY)])], "run", {}
        ),
        strip_figure("s", NASTY, [Dot(value=1.0, kind="bad", text=NASTY)], (2.0, NASTY), ago),
        versions_figure(NASTY, [Drawn(number=0, value=1.0)], [AliasLane(name=NASTY, number=0, now=0, before=())]),
    ]
    for figure in figures:
        said = "".join(tree(figure).itertext())
        assert "alert(1)" in said


def test_spans_stand_between_their_start_and_now() -> None:
    lanes = [
        Lane(label="round 1", spans=[Span(start=-1_000, end=-500, kind="forming", text="forming 500 ms")]),
        Lane(label="round 2", spans=[Span(start=-500, end=0, kind="reporting", text="reporting 500 ms")]),
    ]
    figure = timeline_figure("t", "Rounds", lanes, "round", {"forming": "forming"})
    root = tree(figure)
    (first,), (second,) = shapes(root, "forming"), shapes(root, "reporting")
    assert (first.get("x"), first.get("width")) == ("0.00%", "50.00%")
    assert (second.get("x"), second.get("width")) == ("50.00%", "50.00%")
    assert figure.rows == [("round 1", "forming 500 ms"), ("round 2", "reporting 500 ms")]
    assert figure.key == (("bar forming", "forming"),)


def test_a_strip_shows_its_limit_and_marks_what_was_refused_by_shape() -> None:
    dots = [
        Dot(value=value, kind=kind, text=f"{kind} {value}") for value, kind in ((3.0, "bad"), (1.0, "a"), (2.0, "open"))
    ]
    figure = strip_figure("s", "Norms", dots, (2.5, "bound"), number)
    root = tree(figure)
    (limit,), (cross,) = shapes(root, "limit"), shapes(root, "bad")
    scale = axis([1.0, 2.0, 3.0, 2.5, 0.0], from_zero=True)
    assert float(limit.get("y1") or 0) == scale.y(2.5)
    assert cross.tag.endswith("path"), "told by shape, not by colour alone"
    assert figure.rows == [("3", "bad 3.0"), ("2", "open 2.0"), ("1", "a 1.0")]
    assert figure.text == "3 values, 1 refused or lost, the middle one 2, the largest 3"
    far = strip_figure("s", "Norms", dots, (1_000.0, "bound"), number)
    assert not shapes(tree(far), "limit") and "far above" in far.svg
    tree(strip_figure("s", "Norms", [], (-1.0, ""), number))


def test_presence_counts_back_from_now() -> None:
    told = ((20_000, 0, 0), (10_000, 5, 1), (0, 8, 2))
    points = [PresencePoint(age_ms=age, online=here, at_work=busy) for age, here, busy in told]
    figure = presence_figure("p", PresenceView(devices=10, points=points))
    assert figure.text == "8 of 10 devices online now, 2 at work; seen for 20 s"
    assert figure.rows[0] == ("0 ms ago", "8", "2")
    online, busy_line = shapes(tree(figure), "line")
    assert [pair.split(",")[0] for pair in (online.get("points") or "").split()] == ["0.0", "500.0", "1000.0"]
    assert busy_line.get("class") == "line b"
    tree(presence_figure("p", PresenceView(devices=0, points=[])))


def test_versions_have_a_lane_for_each_alias() -> None:
    lanes = [
        AliasLane(name="production", number=1, now=1, before=(0, 1)),
        AliasLane(name="canary", number=2, now=2, before=()),
        AliasLane(name="candidate", number=7, now=-1, before=()),
    ]
    versions = [
        Drawn(number=0, value=0.1),
        Drawn(number=1, value=0.5, parent=0, run="7f3a"),
        Drawn(number=2, value=None, parent=1, run="7f3a"),
    ]
    figure = versions_figure("accuracy", versions, lanes)
    root = tree(figure)
    assert len(shapes(root, "before")) == 1, "where it is now is not where it was"
    assert len(shapes(root, "track")) == 3 and "candidate is at v7" in figure.text, "what it names is not drawn"
    assert figure.rows == [
        ("v2", "7f3a", "not measured yet", "canary"),
        ("v1", "7f3a", "0.5", "production"),
        ("v0", "–", "0.1", "–"),
    ]
    assert figure.text.startswith("2 versions with accuracy, measured on the version itself; 1 not measured yet;")
    tree(versions_figure("", [], []))


def test_versions_of_several_runs_are_several_lines() -> None:
    versions = [
        Drawn(number=0, value=0.1),
        Drawn(number=0, value=0.2),
        Drawn(number=1, value=0.5, parent=0, run="a"),
        Drawn(number=1, value=0.6, parent=1, run="b"),
        Drawn(number=2, value=0.7, parent=2, run="a"),
        Drawn(number=2, value=0.8, parent=2, run="retried"),
    ]
    root = tree(versions_figure("accuracy", versions, []))
    scale = axis([0.1, 0.8])
    drawn = [
        [float(pair.split(",")[1]) for pair in (line.get("points") or "").split()] for line in shapes(root, "line")
    ]
    heights = [[0.1, 0.5, 0.7], [0.2, 0.6], [0.5, 0.8]]
    assert drawn == [[scale.y(value) for value in line] for line in heights]


def test_a_spark_needs_two_values() -> None:
    assert spark([]) == spark([1.0]) == spark([math.nan, 1.0]) == ""
    assert "polyline" in spark([1.0, 2.0])


finite = st.floats(-1e12, 1e12)


@given(st.lists(finite, max_size=30), st.booleans())
def test_an_axis_holds_every_value_between_round_ticks(values: list[float], from_zero: bool) -> None:
    kept = [abs(value) for value in values] if from_zero else values
    scale = axis(kept, from_zero)
    assert scale.low < scale.high and 2 <= len(scale.ticks) <= 8
    assert all(TOP <= scale.y(value) <= BOTTOM for value in kept)
    assert scale.y(scale.low) == BOTTOM and scale.y(scale.high) == TOP
    assert list(scale.ticks) == sorted(scale.ticks)


@given(st.integers(0, 2_000), st.integers(2, 50))
def test_some_of_many_are_the_first_the_last_and_evenly_between(count: int, most: int) -> None:
    chosen = some(count, most)
    assert len(chosen) == min(count, most) and chosen == sorted(set(chosen))
    assert not count or (chosen[0], chosen[-1]) == (0, count - 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.12345, "0.1235"), (1e-5, "1.0e-05"), (9_999.0, "9999"), (12_000.0, "12k"), (2_500_000.0, "2.5M")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(12, "12 ms"), (1_500, "1.5 s"), (41_000, "41 s"), (150_000, "2 min"), (7_300_000, "2 h"), (200_000_000, "2 d")],
)
def test_times_are_said_in_one_unit(ms: int, text: str) -> None:
    assert ago(ms) == text
    assert re.fullmatch(r"[\d.]+ (ms|s|min|h|d)", ago(ms))
