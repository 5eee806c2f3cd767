"""SVG by hand: elements with escaped text, axes with round numbers, and the frame that every chart stands in.

Decides: how a chart scales. Positions across are percentages and text is in pixels, so one picture is right at 340 px
and at 1,400 px without a script. Never: colours (classes; console.css) nor inline styles (the page's policy forbids
them). Lines live in a stretched inner picture (`preserveAspectRatio="none"`), text and marks beside it. The figures
that `podium export` writes are drawn elsewhere (cli/figures.py, which says why): they stand without a page around them.
Source: SVG 2, sections 7 (percentages) and 8.7 (preserveAspectRatio).
"""

import math
from collections.abc import Iterable, Sequence

import msgspec
from markupsafe import Markup, escape

HEIGHT = 224
TOP, BOTTOM = 14, 196
"""The plot's upper and lower edge, in px; the axis is written below."""
WIDE = 1_000
"""The width of a stretched picture in its own units."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A chart and the table that says the same: `svg` is whole, `rows` are texts under `head`."""

    name: str  # unique on its page: titles are referred to by it
    title: str
    text: str  # one sentence: what the chart shows now
    svg: Markup
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    key: tuple[tuple[str, str], ...] = ()  # (mark class, what it means)


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """A linear scale from `low` to `high` onto px, the larger value above; `ticks` are round numbers within."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def y(self, value: float) -> float:
        """The height of `value` in px from the top; outside values are held at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(BOTTOM - min(1.0, max(0.0, share)) * (BOTTOM - TOP), 1)


def axis(values: Iterable[float], from_zero: bool = False) -> Axis:
    """An axis that holds all finite `values`, with about four ticks at 1, 2 or 5 times a power of ten."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = (0.0 if from_zero else min(finite)), max(finite)
    if high <= low:
        spare = abs(high) * 0.1 or 1.0
        low, high = (low if from_zero else low - spare), high + spare
    step = _step((high - low) / 4)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    count = round((high - low) / step)
    return Axis(low=low, high=high, ticks=tuple(low + step * place for place in range(count + 1)))


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each * power for each in (1.0, 2.0, 5.0, 10.0) if each * power >= rough * 0.999)


def number(value: float) -> str:
    """A number as an axis says it: at most four digits, thousands as k and M."""
    size = abs(value)
    for least, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= least:
            return f"{value / (least if unit != 'k' else 1e3):.3g}{unit}"
    if size and (size < 1e-3):
        return f"{value:.1e}"
    return f"{value:.4g}"


def tag(name: str, *inner: Markup | str, **attributes: str | float) -> Markup:
    """One element; texts and attribute values are escaped. `class_` is class, `stroke_width` is stroke-width."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    body = Markup("").join(inner)
    return Markup(f"<{name}{told}>{body}</{name}>")


def percent(share: float) -> str:
    """A share of the plot's width as an attribute."""
    return f"{100 * share:.2f}%"


def stretched(*inner: Markup, height: float = HEIGHT) -> Markup:
    """A picture whose x runs from 0 to `WIDE` over the whole width, and whose y is px."""
    return tag(
        "svg",
        *inner,
        viewBox=f"0 0 {WIDE} {height:g}",
        preserveAspectRatio="none",
        width="100%",
        height=height,
        aria_hidden="true",
    )


def path_of(points: Sequence[tuple[float, float]]) -> str:
    """The `points` of a polyline: (share of the width, y in px)."""
    return " ".join(f"{WIDE * share:.1f},{y:.1f}" for share, y in points)


def grid(scale: Axis, unit: str = "") -> Markup:
    """The horizontal lines of an axis, and its numbers left of the plot."""
    marks = [
        tag("line", x1="0", x2="100%", y1=scale.y(tick), y2=scale.y(tick), class_="rule")
        + tag("text", number(tick) + unit, x=-8, y=scale.y(tick) + 4, class_="tick end")
        for tick in scale.ticks
    ]
    return Markup("").join(marks)


def across(labels: Sequence[tuple[float, str]], y: float = BOTTOM + 20) -> Markup:
    """Texts under the plot at shares of its width, the first and the last kept within it."""
    told = []
    for share, text in labels:
        side = "start" if share < 0.08 else "end" if share > 0.92 else "middle"
        told.append(tag("text", text, x=percent(share), y=y, class_=f"tick {side}"))
    return Markup("").join(told)


def frame(name: str, title: str, text: str, *inner: Markup, height: float = HEIGHT, wide: bool = False) -> Markup:
    """The whole chart, named for a screen reader; its axis stands in the margin left of it (`wide`: it holds names)."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", text, id=f"{name}-text"),
        *inner,
        class_="chart wide" if wide else "chart",
        width="100%",
        height=height,
        role="img",
        aria_labelledby=f"{name}-title {name}-text",
    )


def some(count: int, most: int = 6) -> list[int]:
    """At most `most` places of `count`, evenly spaced, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
