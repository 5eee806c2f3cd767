"""The charts of the console, each a pure function of what the operator API says: SVG, and a table that says the same.

Decides: what each chart shows, and that nothing is told by colour alone (marks differ in shape, series in dash).
Never: reads the plane. Limits: `POINTS_MAX` points a series; more are thinned evenly, and the table says so.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
from markupsafe import Markup

from podium.server.console import svg
from podium.server.console.svg import BOTTOM, TOP, Figure, across, axis, frame, grid, number, path_of, percent, tag
from podium.wire.operator import PresenceView

POINTS_MAX = 240
ROWS_MAX = 200
DOTS_MAX = 60
"""With more points than this the sites are a band alone: marks would cover it."""
EDGE = 0.02
"""How far the first and last point stay from the plot's edges, as a share of its width."""

Text = Callable[[float], str]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One x of a metric chart: its label, the pooled value, and the value of each site (or device)."""

    label: str
    value: float
    each: dict[str, float] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a timeline, from `start` to `end` in ms; `kind` is its class, `text` its tooltip."""

    start: float
    end: float
    kind: str
    text: str


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a timeline."""

    label: str
    spans: list[Span]
    says: str = ""  # what the table says of it


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a strip: a value, its class (which is also its shape), and what it is."""

    value: float
    kind: str
    text: str


def metric_figure(name: str, metric: str, points: Sequence[Spread], unit: str = "round") -> Figure:
    """A metric per round, measured on its base: the pooled line; as a band and marks the lowest and highest site."""
    told = thinned(points)
    values = [value for point in told for value in (point.value, *point.each.values())]
    scale = axis(values)
    at = [_place(place, len(told)) for place in range(len(told))]
    spread = [
        (share, min(point.each.values()), max(point.each.values()))
        for share, point in zip(at, told, strict=True)
        if point.each
    ]
    band = [(share, scale.y(high)) for share, _, high in spread] + [
        (share, scale.y(low)) for share, low, _ in reversed(spread)
    ]
    line = [(share, scale.y(point.value)) for share, point in zip(at, told, strict=True)]
    drawn = svg.stretched(
        tag("polygon", points=path_of(band), class_="band"),
        tag("polyline", points=path_of(line), class_="line a"),
    )
    marks = [
        tag("circle", cx=percent(share), cy=y, r=3.5, class_="mark a") for share, y in line[-1:] if math.isfinite(y)
    ]
    for share, point in zip(at, told if len(told) <= DOTS_MAX else (), strict=len(told) <= DOTS_MAX):
        marks += [tag("circle", cx=percent(share), cy=scale.y(value), r=1.8, class_="dot") for value in _few(point)]
    labels = [(at[place], told[place].label) for place in svg.some(len(told))]
    begun = f"in {unit} {told[-1].label} on the version it began with" if told else ""
    last = f"{metric} {number(told[-1].value)} {begun}" if told else "nothing yet"
    widest = f", sites from {number(spread[-1][1])} to {number(spread[-1][2])}" if spread else ""
    text = last + widest
    rows = [
        (
            point.label,
            number(point.value),
            number(min(point.each.values())) if point.each else "–",
            number(max(point.each.values())) if point.each else "–",
        )
        for point in told
    ]
    return Figure(
        name=name,
        title=f"{metric} by {unit}",
        text=text,
        svg=frame(name, f"{metric} by {unit}", text, grid(scale), drawn, *marks, across(labels)),
        head=(unit, metric, "lowest site", "highest site"),
        rows=rows,
        key=(("line a", "pooled"), ("band", "lowest to highest site")) if spread else (("line a", "pooled"),),
    )


def _few(point: Spread) -> list[float]:
    values = sorted(point.each.values())
    return [values[place] for place in svg.some(len(values), 12)]


def _place(place: int, count: int) -> float:
    return 0.5 if count == 1 else EDGE + (1 - 2 * EDGE) * place / (count - 1)


def thinned(points: Sequence[Spread]) -> list[Spread]:
    """At most `POINTS_MAX` of the points, evenly, the last among them."""
    return [points[place] for place in svg.some(len(points), POINTS_MAX)]


def timeline_figure(
    name: str, title: str, lanes: Sequence[Lane], unit: str, key: dict[str, str], edge: float = 0.0
) -> Figure:
    """Bars in time, one lane each (a Gantt chart of rounds, the swim lanes of a device); `edge` is the right edge.

    Spans and `edge` are in ms before now, so 0 is now and what is over is below 0; `key`: class -> what it means.
    """
    oldest = min((span.start for lane in lanes for span in lane.spans), default=edge - 1.0)
    length = max(1.0, edge - oldest)
    step, height = 26, 26 * max(1, len(lanes)) + 30
    drawn: list[Markup] = []
    for row, lane in enumerate(lanes):
        y = row * step + 4
        drawn.append(tag("text", _short(lane.label), x=-8, y=y + 14, class_="tick end"))
        drawn.append(tag("rect", x="0", width="100%", y=y, height=18, rx=3, class_="track"))
        drawn += [_bar(span, (edge, length), y) for span in lane.spans]
    last = "now" if edge == 0 else f"{ago(-edge)} ago"
    ticks = [(place / 4, last if place == 4 else f"−{ago(length * (4 - place) / 4)}") for place in range(0, 5, 2)]
    over = f"over the last {ago(length)}" if edge == 0 else f"over {ago(length)}, the last ended {ago(-edge)} ago"
    text = f"{len(lanes)} {unit}{'s' if len(lanes) != 1 else ''} {over}"
    rows = [(lane.label, lane.says or "; ".join(span.text for span in lane.spans)) for lane in lanes]
    return Figure(
        name=name,
        title=title,
        text=text,
        svg=frame(name, title, text, *drawn, across(ticks, height - 8), height=height, wide=True),
        head=(unit, "what happened"),
        rows=rows[:ROWS_MAX],
        key=tuple((f"bar {kind}", means) for kind, means in key.items()),
    )


def _short(label: str) -> str:
    return label if len(label) <= 12 else f"{label[:11]}…"


def _bar(span: Span, window: tuple[float, float], y: float) -> Markup:
    """One bar in a window that ends at the first of `window` and is the second long."""
    edge, length = window
    begin = max(edge - length, span.start)
    start = 1 + (begin - edge) / length
    width = max(0.004, (min(edge, span.end) - begin) / length)
    return tag(
        "rect",
        tag("title", span.text),
        x=percent(min(start, 0.996)),
        width=percent(width),
        y=y,
        height=18,
        rx=2,
        class_=f"bar {span.kind}",
    )


def strip_figure(name: str, title: str, dots: Sequence[Dot], limit: tuple[float, str], text: Text) -> Figure:
    """Values in order of size, one mark each, with the line that none should cross (`limit`: value, its name).

    A limit below zero is none. A crossed mark is a refused or lost one. `text` says a value.
    """
    order = sorted((dot for dot in dots if math.isfinite(dot.value)), key=lambda dot: dot.value)
    shown = [order[place] for place in svg.some(len(order), POINTS_MAX)]
    most = max((dot.value for dot in shown), default=1.0)
    near = limit[0] if 0 <= limit[0] <= most * 4 else -1.0
    scale = axis([*(dot.value for dot in shown), near, 0.0], from_zero=True)
    marks = [_mark(_place(place, len(shown)), scale.y(dot.value), dot) for place, dot in enumerate(shown)]
    line = []
    if near >= 0:
        y = scale.y(near)
        line = [
            tag("line", x1="0", x2="100%", y1=y, y2=y, class_="limit"),
            tag("text", f"{limit[1]} {text(limit[0])}", x="100%", y=y - 5, class_="tick end strong"),
        ]
    elif limit[0] >= 0:
        line = [tag("text", f"{limit[1]} {text(limit[0])}, far above", x="100%", y=TOP - 2, class_="tick end strong")]
    ticks = Markup("").join(
        tag("line", x1="0", x2="100%", y1=scale.y(tick), y2=scale.y(tick), class_="rule")
        + tag("text", text(tick), x=-8, y=scale.y(tick) + 4, class_="tick end")
        for tick in scale.ticks
    )
    bad = sum(dot.kind == "bad" for dot in dots)
    said = f"{len(dots)} values" if dots else "nothing known yet"
    said += f", {bad} refused or lost" if bad else ""
    if order:
        said += f", the middle one {text(order[len(order) // 2].value)}, the largest {text(order[-1].value)}"
    return Figure(
        name=name,
        title=title,
        text=said,
        svg=frame(name, title, said, ticks, *line, *marks, across([(0.0, "smallest"), (1.0, "largest")])),
        head=("value", "what"),
        rows=[(text(dot.value), dot.text) for dot in order[::-1][:ROWS_MAX]],
        key=(("mark a", "accepted"), ("mark open", "under way"), ("mark bad", "refused or lost")),
    )


def _mark(share: float, y: float, dot: Dot) -> Markup:
    if dot.kind != "bad":
        return tag("circle", tag("title", dot.text), cx=percent(share), cy=y, r=3.5, class_=f"mark {dot.kind}")
    cross = tag("path", d="M-4,-4 L4,4 M-4,4 L4,-4", class_="mark bad")
    return tag("svg", tag("title", dot.text), cross, x=percent(share), y=y, class_="at")


def presence_figure(name: str, view: PresenceView) -> Figure:
    """Devices online over time, of which at work; now is the right edge."""
    length = float(max(1, *(point.age_ms for point in view.points))) if view.points else 1.0
    scale = axis([*(float(point.online) for point in view.points), 1.0], from_zero=True)
    at = [1 - point.age_ms / length for point in view.points]
    online = [(share, scale.y(point.online)) for share, point in zip(at, view.points, strict=True)]
    work = [(share, scale.y(point.at_work)) for share, point in zip(at, view.points, strict=True)]
    floor = [(1.0, float(BOTTOM)), (at[0] if at else 0.0, float(BOTTOM))]
    drawn = svg.stretched(
        tag("polygon", points=path_of([*online, *floor]), class_="area a"),
        tag("polygon", points=path_of([*work, *floor]), class_="area b"),
        tag("polyline", points=path_of(online), class_="line a"),
        tag("polyline", points=path_of(work), class_="line b"),
    )
    ticks = [(place / 4, "now" if place == 4 else f"−{ago(length * (4 - place) / 4)}") for place in range(5)]
    here, busy = (view.points[-1].online, view.points[-1].at_work) if view.points else (0, 0)
    text = f"{here} of {view.devices} devices online now, {busy} at work; seen for {ago(length)}"
    return Figure(
        name=name,
        title="Devices online",
        text=text,
        svg=frame(name, "Devices online", text, grid(scale), drawn, across(ticks)),
        head=("when", "online", "at work"),
        rows=[
            (f"{ago(point.age_ms)} ago", str(point.online), str(point.at_work))
            for point in view.points[::-1][:ROWS_MAX]
        ],
        key=(("line a", "online"), ("line b", "at work")),
    )


def ago(ms: float) -> str:
    """A length of time in its two largest units' larger one: 41 s, 12 min, 3 h, 2 d."""
    seconds = ms / 1000
    for least, size, unit in ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min"), (10, 1, "s")):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{ms:.0f} ms"


def spark(values: Sequence[float]) -> Markup:
    """A line without axes, beside a number that says where it stands."""
    told = [value for value in values if math.isfinite(value)][-POINTS_MAX:]
    if len(told) < 2:
        return Markup("")
    low, high = min(told), max(told)
    reach = (high - low) or 1.0
    points = [(place / (len(told) - 1), 25 - 22 * (value - low) / reach) for place, value in enumerate(told)]
    line = svg.stretched(tag("polyline", points=path_of(points), class_="line a"), height=28)
    return tag("svg", line, class_="spark", aria_hidden="true")
