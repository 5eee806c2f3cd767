"""The chart of a model's versions: a metric over them, and under it a lane for each alias.

Decides: where an alias stands (a filled mark) and stood (an empty one). Never: reads the plane.
"""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from podium.server.console import svg
from podium.server.console.svg import BOTTOM, Figure, across, axis, frame, grid, number, path_of, percent, tag

LANE = 26
EDGE = 0.02


class AliasLane(msgspec.Struct, frozen=True, kw_only=True):
    """An alias: the number of the version it names, and of those it named before."""

    name: str
    now: int
    before: tuple[int, ...]


def versions_figure(metric: str, values: dict[int, float], lanes: Sequence[AliasLane]) -> Figure:
    """`values`: version number -> `metric`, in order; versions that an alias names are marked in its lane."""
    numbers = sorted({*values, *(lane.now for lane in lanes), *(each for lane in lanes for each in lane.before)})
    first, last = (numbers[0], numbers[-1]) if numbers else (0, 0)
    at = {each: _place(each, first, last) for each in numbers}
    scale = axis(values.values())
    line = [(at[each], scale.y(values[each])) for each in sorted(values)]
    marks = [tag("circle", cx=percent(share), cy=y, r=2.5, class_="mark now") for share, y in line]
    marks = marks if len(marks) <= 80 else marks[-1:]
    height = svg.HEIGHT + LANE * len(lanes) + (10 if lanes else 0)
    drawn = [mark for row, lane in enumerate(lanes) for mark in _lane(lane, at, svg.HEIGHT + 10 + LANE * row)]
    shown = [numbers[place] for place in svg.some(len(numbers), 8)]
    labels = [(at[each], f"v{each}") for each in shown]
    text = f"{len(values)} version{'s' if len(values) != 1 else ''} with {metric or 'no metric'}" + "".join(
        f"; {lane.name} is at v{lane.now}" for lane in lanes
    )
    title = f"{metric} by version" if metric else "Versions"
    named = {each: [lane.name for lane in lanes if lane.now == each] for each in numbers}
    return Figure(
        name="versions",
        title=title,
        text=text,
        svg=frame(
            "versions",
            title,
            text,
            grid(scale),
            svg.stretched(tag("polyline", points=path_of(line), class_="line a")),
            *marks,
            across(labels, BOTTOM + 20),
            *drawn,
            height=height,
            wide=True,
        ),
        head=("version", metric or "metric", "aliases"),
        rows=[
            (f"v{each}", number(values[each]) if each in values else "–", ", ".join(named[each]) or "–")
            for each in numbers[::-1][:200]
        ],
        key=(("line a", metric or "metric"), ("mark now", "named now"), ("mark before", "named before")),
    )


def _place(each: int, first: int, last: int) -> float:
    return 0.5 if first == last else EDGE + (1 - 2 * EDGE) * (each - first) / (last - first)


def _lane(lane: AliasLane, at: dict[int, float], y: float) -> list[Markup]:
    middle = y + 9
    before = [
        tag(
            "circle",
            tag("title", f"{lane.name} named v{each}"),
            cx=percent(at[each]),
            cy=middle,
            r=4,
            class_="mark before",
        )
        for each in lane.before
        if each != lane.now
    ]
    return [
        tag("text", lane.name, x=-8, y=middle + 4, class_="tick end"),
        tag("rect", x="0", width="100%", y=y, height=18, rx=3, class_="track"),
        *before,
        tag(
            "circle",
            tag("title", f"{lane.name} names v{lane.now}"),
            cx=percent(at[lane.now]),
            cy=middle,
            r=5,
            class_="mark now",
        ),
    ]
