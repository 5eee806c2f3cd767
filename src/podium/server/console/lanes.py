"""The chart of a model's versions: a metric over them, and under it a lane for each alias.

Decides: where an alias stands (a filled mark) and stood (an empty one). Never: reads the plane.
"""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from podium.server.console import svg
from podium.server.console.svg import BOTTOM, Axis, Figure, across, axis, frame, grid, number, path_of, percent, tag

LANE = 26
EDGE = 0.02


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A version in the chart: what was measured on it (None: nothing yet), and the place of its parent, -1 if it is not
    drawn. A number may stand there more than once: each run that begins anew counts from 0."""

    number: int
    value: float | None
    parent: int = -1
    run: str = ""


class AliasLane(msgspec.Struct, frozen=True, kw_only=True):
    """An alias: the number of the version it names, its place (-1: not drawn), and the places it named before."""

    name: str
    number: int
    now: int
    before: tuple[int, ...]


def versions_figure(metric: str, versions: Sequence[Drawn], lanes: Sequence[AliasLane]) -> Figure:
    """`metric` over `versions`, oldest first, a line for each lineage; an alias marks what it names in its lane."""
    at = [_place(place, len(versions)) for place in range(len(versions))]
    scale = axis(each.value for each in versions if each.value is not None)
    known = [(at[place], scale.y(each.value)) for place, each in enumerate(versions) if each.value is not None]
    marks = [tag("circle", cx=percent(share), cy=y, r=2.5, class_="mark now") for share, y in known]
    marks = marks if len(marks) <= 80 else marks[-1:]
    lines = [tag("polyline", points=path_of(line), class_="line a") for line in _lines(versions, at, scale)]
    height = svg.HEIGHT + LANE * len(lanes) + (10 if lanes else 0)
    drawn = [mark for row, lane in enumerate(lanes) for mark in _lane(lane, at, svg.HEIGHT + 10 + LANE * row)]
    labels = [(at[place], f"v{versions[place].number}") for place in svg.some(len(versions), 8)]
    text = f"{len(known)} version{'s' if len(known) != 1 else ''} with {metric or 'no metric'}, measured on the version"
    text += f" itself; {len(versions) - len(known)} not measured yet" if len(known) < len(versions) else " itself"
    text += "".join(f"; {lane.name} is at v{lane.number}" for lane in lanes)
    title = f"{metric} by version" if metric else "Versions"
    return Figure(
        name="versions",
        title=title,
        text=text,
        svg=frame(
            "versions",
            title,
            text,
            grid(scale),
            svg.stretched(*lines),
            *marks,
            across(labels, BOTTOM + 20),
            *drawn,
            height=height,
            wide=True,
        ),
        head=("version", "run", metric or "metric", "aliases"),
        rows=[_row(place, versions[place], lanes) for place in range(len(versions))][::-1][:200],
        key=(("line a", metric or "metric"), ("mark now", "named now"), ("mark before", "named before")),
    )


def _row(place: int, each: Drawn, lanes: Sequence[AliasLane]) -> tuple[str, ...]:
    told = "not measured yet" if each.value is None else number(each.value)
    return (
        f"v{each.number}",
        each.run or "–",
        told,
        ", ".join(lane.name for lane in lanes if lane.now == place) or "–",
    )


def _lines(versions: Sequence[Drawn], at: Sequence[float], scale: Axis) -> list[list[tuple[float, float]]]:
    """The points of each lineage: a version goes on its parent's line, or begins one at its parent."""
    lines: list[list[tuple[float, float]]] = []
    ends: dict[int, list[tuple[float, float]]] = {}  # place of the last version of a line -> the line
    for place, each in enumerate(versions):
        if each.value is None:
            continue
        parent = versions[each.parent] if each.parent >= 0 else None
        line = ends.pop(each.parent, None)
        if line is None:
            line = [(at[each.parent], scale.y(parent.value))] if parent is not None and parent.value is not None else []
            lines.append(line)
        line.append((at[place], scale.y(each.value)))
        ends[place] = line
    return lines


def _place(place: int, count: int) -> float:
    return 0.5 if count < 2 else EDGE + (1 - 2 * EDGE) * place / (count - 1)


def _lane(lane: AliasLane, at: Sequence[float], y: float) -> list[Markup]:
    middle = y + 9
    before = [
        tag(
            "circle",
            tag("title", f"{lane.name} named it"),
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
        *([_named_now(lane, at[lane.now], middle)] if lane.now >= 0 else []),
    ]


def _named_now(lane: AliasLane, share: float, y: float) -> Markup:
    title = tag("title", f"{lane.name} names v{lane.number}")
    return tag("circle", title, cx=percent(share), cy=y, r=5, class_="mark now")
