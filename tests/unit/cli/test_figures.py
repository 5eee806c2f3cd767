"""Figures hold what they were given, for eyes and for a screen reader, and nothing a strict policy forbids."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.cli.figures import COLOURS, DASHES, POINTS_MARKED, bars, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> ElementTree.Element:
    """The figure parsed; the rules that hold of every figure are looked at here."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[1].tag == f"{SVG}desc"
    assert root.get("aria-label") == root[0].text
    assert not any("style" in each.attrib or each.tag == f"{SVG}style" for each in root.iter())
    assert not any(name.startswith("on") for each in root.iter() for name in each.attrib)
    return root


def lines(series: dict[str, list[tuple[float, float]]], **sizes: int) -> ElementTree.Element:
    return drawn(line_chart(series, title="accuracy", x_label="round", y_label="accuracy", **sizes))


def test_a_line_goes_through_its_points_from_left_to_right_and_upwards() -> None:
    root = lines({"pooled": [(1, 0.5), (2, 0.75), (3, 1.0)]}, width=382, height=272)
    points = root.find(f".//{SVG}polyline")
    assert points is not None
    # 300 px across from 58, 200 px up from 230: x 1, 2, 3 and y 0.5, 0.75, 1.0 are the edges and the middle
    assert points.get("points") == "58.0,230.0 208.0,130.0 358.0,30.0"
    assert root[1].text == "accuracy by round. pooled: 3 points, first 0.5, last 1"
    marked = [each.findtext(f"{SVG}title") for each in root.iter(f"{SVG}circle")]
    assert marked == ["pooled at 1: 0.5", "pooled at 2: 0.75", "pooled at 3: 1"]


def test_ticks_are_round_numbers_within_the_range() -> None:
    root = lines({"loss": [(1, 0.512), (9, 0.731)]})
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"0.55", "0.6", "0.65", "0.7"} <= set(texts)
    assert {"2", "4", "6", "8"} <= set(texts)


def test_series_differ_by_colour_and_by_dash_and_are_named() -> None:
    names = [f"site {place}" for place in range(7)]
    root = lines({name: [(0, place), (1, place + 1)] for place, name in enumerate(names)})
    found = list(root.iter(f"{SVG}polyline"))
    assert [each.get("class") for each in found] == [f"line series-{place}" for place in range(7, 0, -1)]
    assert len({each.get("stroke") for each in found}) == len(COLOURS) == 7
    assert len({each.get("stroke-dasharray") for each in found}) == len(DASHES) == 7
    assert set(names) <= {each.text for each in root.iter(f"{SVG}text")}


def test_a_legend_is_within_its_figure_and_above_the_lines() -> None:
    names = [f"the hospital of the city of {place}" for place in range(7)]
    root = lines({name: [(1, 0.0), (2, 1.0)] for name in names})
    told = {each.text: each for each in root.iter(f"{SVG}text") if (each.text or "").startswith("the hos")}
    assert [text[-4:] for text in told if text] == [f"of {place}" for place in range(7)]
    assert all(float(each.get("x") or 0) + 6.6 * len(each.text or "") <= 640 for each in told.values())
    lowest = max(float(each.get("y") or 0) for each in told.values())
    points = [each.get("points") or "" for each in root.iter(f"{SVG}polyline")]
    assert all(float(at.split(",")[1]) > lowest for line in points for at in line.split())


def test_whole_numbers_across_have_whole_ticks() -> None:
    texts = [each.text for each in lines({"loss": [(1, 0.5)]}).iter(f"{SVG}text")]
    assert "1" in texts and "0.98" not in texts
    assert "1.4" in [each.text for each in lines({"loss": [(1.25, 0.5), (2, 0.5)]}).iter(f"{SVG}text")]


def test_one_point_is_a_dot_and_many_are_a_line_only() -> None:
    one = lines({"loss": [(1, 0.5)]})
    assert (len(list(one.iter(f"{SVG}polyline"))), len(list(one.iter(f"{SVG}circle")))) == (0, 1)
    many = lines({"loss": [(float(place), 1.0) for place in range(POINTS_MARKED + 1)]})
    assert (len(list(many.iter(f"{SVG}polyline"))), len(list(many.iter(f"{SVG}circle")))) == (1, 0)


def test_nothing_is_said_to_be_nothing() -> None:
    for root in (lines({}), lines({"loss": []}), lines({"loss": [(1, math.nan), (math.inf, 1)]})):
        assert "nothing yet" in {each.text for each in root.iter(f"{SVG}text")}
        assert root[1].text == "accuracy by round. nothing yet"
    assert "nothing yet" in bars({}, title="t", x_label="x", y_label="y")


def test_bars_stand_on_zero_side_by_side_and_the_tallest_fits() -> None:
    groups = {"1": {"leased": 8.0, "accepted": 4.0}, "2": {"leased": 0.0}}
    root = drawn(bars(groups, title="funnel", x_label="round", y_label="devices", width=272, height=272))
    found = [each for each in root.iter(f"{SVG}rect") if (each.get("class") or "").startswith("bar ")]
    assert [each.findtext(f"{SVG}title") for each in found] == ["1, leased: 8", "1, accepted: 4", "2, leased: 0"]
    # 200 px for the ceiling 8: 8 fills it, 4 is half of it
    assert [each.get("height") for each in found] == ["200.0", "100.0", "0.0"]
    assert [each.get("y") for each in found] == ["30.0", "130.0", "230.0"]
    assert float(found[0].get("x") or 0) < float(found[1].get("x") or 0) < float(found[2].get("x") or 0)


def test_labels_that_would_overlap_are_left_out() -> None:
    groups = {f"round {number}": {"lost": 1.0} for number in range(100)}
    root = drawn(bars(groups, title="lost", x_label="round", y_label="devices"))
    shown = [each.text for each in root.iter(f"{SVG}text") if (each.text or "").startswith("round ")]
    assert 2 < len(shown) < 12
    assert len(list(root.iter(f"{SVG}rect"))) == 100


def test_names_that_a_device_chose_are_text_and_nothing_else() -> None:
    name = '<script>alert("x")</script>\x00\x1b]0;'
    text = line_chart({name: [(1, 1), (2, 2)], "b": [(1, 1)]}, title=name, x_label=name, y_label=name)
    root = drawn(text)
    assert "<script" not in text
    assert root[0].text == '<script>alert("x")</script>??]0;'


@given(st.dictionaries(st.text(max_size=8), st.lists(st.tuples(st.floats(), st.floats()), max_size=70), max_size=9))
def test_any_numbers_give_a_figure_within_its_frame(series: dict[str, list[tuple[float, float]]]) -> None:
    root = lines(series)
    for each in root.iter(f"{SVG}circle"):
        assert 57.9 <= float(each.get("cx") or 0) <= 616.1
        assert 29.9 <= float(each.get("cy") or 0) <= 238.1
    for each in root.iter(f"{SVG}polyline"):
        assert not re.search("nan|inf", each.get("points") or "")


@pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-30, 1e149, 1e300])
def test_tiny_and_huge_ranges_are_no_error(value: float) -> None:
    lines({"a": [(0, 0), (1, value)]})
    drawn(bars({"a": {"b": value}}, title="t", x_label="x", y_label="y"))
