"""Figures as SVG text that stands on its own: lines over rounds, bars by group, strips of single values.

Decides: scales, ticks, marks and the words a screen reader hears. Never: what is drawn (exports.py). It imports nothing
of ours and no plotting library: a command line without the server's packages draws too. The console's charts are its
own (server/console/svg.py): they fill a page in per cents and take its colours; these keep their size in pixels and
carry their colours, those of Okabe and Ito, "Color Universal Design" (2008), told apart by dashes too. What both would
share is how an axis is stepped, ten lines.
No style attribute and no style element, so that a page under a strict content security policy may show them.
Limits: as many series as `COLOURS`, so that no two look alike; `POINTS_MARKED` points of a series are marked one by
one; more are a line only. What is not finite, or beyond `VALUE_MAX`, is left out.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "4 4", "1 3", "10 4")
POINTS_MARKED = 60
VALUE_MAX = 1e150
TICKS = 5
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 24.0, 30.0, 42.0
_LETTER = 6.6
"""The mean width of a letter of the 11 px labels: a legend is set by it."""
_STRIP = 30.0
"""The height of a row of strips in pixels."""
_ACROSS, _ROW = 4, 14.0
"""Names in one row of a legend, and its height in pixels."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Frame:
    """The drawing area in pixels and the data ranges that fill it."""

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    names: Sequence[str]
    left: float = _LEFT

    @property
    def top(self) -> float:
        """The pixel row at which the drawing begins, below the legend."""
        return _TOP + _ROW * max(0, math.ceil(len(self.names) / _ACROSS) - 1)

    def across(self, value: float) -> float:
        """The pixel column of a data x."""
        low, high = self.x
        return self.left + (value - low) / (high - low) * (self.width - self.left - _RIGHT)

    def up(self, value: float) -> float:
        """The pixel row of a data y; rows count downwards."""
        low, high = self.y
        return self.height - _BOTTOM - (value - low) / (high - low) * (self.height - self.top - _BOTTOM)


def line_chart(
    series: Mapping[str, Points], *, title: str, x_label: str, y_label: str, width: int = 640, height: int = 280
) -> str:
    """One line for each name of `series`: (x, y) pairs in data units, the first on top; sizes in pixels.

    The x axis fits the points, the y axis too (not from zero: a metric moves little). Whole x have whole ticks. No
    point at all: an empty frame that says so.
    """
    shown = {name: [at for at in points if all(map(_drawable, at))] for name, points in series.items()}
    every = [at for points in shown.values() for at in points]
    frame = _Frame(width, height, _span([x for x, _ in every]), _span([y for _, y in every]), list(shown))
    ticks = [tick for tick in _ticks(*frame.x) if tick == round(tick) or any(x != round(x) for x, _ in every)]
    lines = [_line(frame, place, name, points) for place, (name, points) in enumerate(shown.items())]
    marks = [_axes(frame, x_label, y_label, ticks), _legend(frame), *lines[::-1]]
    told = [f"{name}: {_told(points)}" for name, points in shown.items() if points]
    return _svg(frame, title, f"{y_label} by {x_label}. " + "; ".join(told or ["nothing yet"]), marks, not every)


def bars(
    groups: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    width: int = 640,
    height: int = 280,
) -> str:
    """For each group one bar per name, from zero, side by side: group -> name -> count >= 0; sizes in pixels.

    Names keep one colour over all groups, in the order they first come. Labels that would overlap are left out.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    values = [value for group in groups.values() for value in group.values() if _drawable(value)]
    frame = _Frame(width, height, (0.0, float(max(1, len(groups)))), (0.0, _ceiling(max(values, default=0.0))), names)
    marks = [_axes(frame, x_label, y_label, []), _legend(frame)]
    step = (width - _LEFT - _RIGHT) / max(1, len(groups))
    every = max(1, math.ceil((max(map(len, groups), default=0) + 1) * _LETTER / step))
    for place, (group, held) in enumerate(groups.items()):
        if place % every == 0:
            marks.append(_text(frame.across(place + 0.5), height - _BOTTOM + 16, group, "middle"))
        marks += [_bar(frame, (place, names.index(name), len(names)), f"{group}, {name}", held[name]) for name in held]
    told = [
        f"{group}: " + ", ".join(f"{name} {_number(held[name])}" for name in held) for group, held in groups.items()
    ]
    return _svg(frame, title, f"{y_label} by {x_label}. " + "; ".join(told or ["nothing yet"]), marks, not values)


def strips(groups: Mapping[str, Sequence[float]], *, title: str, x_label: str, mark: float, width: int = 640) -> str:
    """For each name a row: a dot at each of its values, a bar at their median, and a line from least to most.

    `mark`: a value with a line through all rows, such as 1 for a ratio. A name without a value has an empty row that
    says so. The axis fits values and mark; sizes in pixels.
    """
    shown = {name: sorted(value for value in values if _drawable(value)) for name, values in groups.items()}
    every = [value for values in shown.values() for value in values]
    low, high = _span([*every, mark])
    room = 0.05 * (high - low)
    rows = max(1, len(shown))
    left = max(_LEFT, 16 + _LETTER * max((len(name) for name in shown), default=0))
    height = int(_TOP + _BOTTOM + _STRIP * rows)
    frame = _Frame(width, height, (low - room, high + room), (0.0, float(rows)), [], left)
    ground, at = frame.height - _BOTTOM, frame.across(mark)
    marks = [
        _text(frame.across(value), ground + 16, _number(value), "middle") for value in _ticks(low - room, high + room)
    ]
    marks.append(
        f'<line class="axis" x1="{left:.1f}" x2="{width - _RIGHT}" y1="{ground}" y2="{ground}" stroke="currentColor" '
        f'stroke-opacity="0.6"/><line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{ground}" '
        f'stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="4 4"/>'
    )
    marks.append(_text((left + width - _RIGHT) / 2, frame.height - 8, x_label, "middle"))
    marks += [_strip(frame, place, name, values) for place, (name, values) in enumerate(shown.items())]
    told = [f"{name}: {', '.join(map(_number, values)) or 'none'}" for name, values in shown.items()]
    return _svg(frame, title, f"{x_label}. " + "; ".join(told or ["nothing yet"]), marks, not shown)


def _strip(frame: _Frame, place: int, name: str, values: Sequence[float]) -> str:
    """The row of one name; `values` rise."""
    number, row = place % len(COLOURS), _TOP + _STRIP * (place + 0.5)
    parts = [_text(frame.left - 8, row + 4, name, "end")]
    if not values:
        return parts[0] + _text(frame.left + 8, row + 4, "never", "start")
    colour, ends = COLOURS[number], [frame.across(value) for value in values]
    middle = frame.across(statistics.median(values))
    parts.append(
        f'<line class="line series-{number + 1}" x1="{ends[0]:.1f}" x2="{ends[-1]:.1f}" y1="{row:.1f}" y2="{row:.1f}" '
        f'stroke="{colour}" stroke-width="2" stroke-opacity="0.5"/><rect class="bar series-{number + 1}" '
        f'x="{middle - 2:.1f}" y="{row - 9:.1f}" width="4" height="18" fill="{colour}"/>'
    )
    parts += [
        f'<circle class="dot series-{number + 1}" cx="{end:.1f}" cy="{row:.1f}" r="4" fill="{colour}">'
        f"<title>{_words(name)}: {_number(value)}</title></circle>"
        for end, value in zip(ends, values, strict=True)
    ]
    return "".join(parts)


def _line(frame: _Frame, place: int, name: str, points: Points) -> str:
    number, colour, dash = place % len(COLOURS) + 1, COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
    path = " ".join(f"{frame.across(x):.1f},{frame.up(y):.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = (
        f'<polyline class="line series-{number}" points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
        f'{dashed} stroke-linejoin="round"/>'
        if len(points) > 1
        else ""
    )
    if len(points) > POINTS_MARKED:
        return drawn
    dots = [
        f'<circle class="dot series-{number}" cx="{frame.across(x):.1f}" cy="{frame.up(y):.1f}" r="2.5" '
        f'fill="{colour}"><title>{_words(name)} at {_number(x)}: {_number(y)}</title></circle>'
        for x, y in points
    ]
    return drawn + "".join(dots)


def _bar(frame: _Frame, cell: tuple[int, int, int], name: str, value: float) -> str:
    """The bar of `cell` (group, place within it, bars of a group); nothing for what is left out."""
    group, place, count = cell
    if not _drawable(value):
        return ""
    left = frame.across(group + 0.1 + 0.8 * place / count)
    right = frame.across(group + 0.1 + 0.8 * (place + 1) / count)
    top, ground, number = frame.up(max(0.0, value)), frame.up(0.0), place % len(COLOURS)
    return (
        f'<rect class="bar series-{number + 1}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{max(0.5, right - left - 0.5):.1f}" height="{ground - top:.1f}" fill="{COLOURS[number]}">'
        f"<title>{_words(name)}: {_number(value)}</title></rect>"
    )


def _axes(frame: _Frame, x_label: str, y_label: str, x_ticks: Sequence[float]) -> str:
    ground, left, right = frame.height - _BOTTOM, _LEFT, frame.width - _RIGHT
    parts = []
    for value in _ticks(*frame.y):
        row = frame.up(value)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{row:.1f}" y2="{row:.1f}" stroke="currentColor" '
            f'stroke-opacity="0.15"/>' + _text(left - 6, row + 4, _number(value), "end")
        )
    parts += [_text(frame.across(value), ground + 16, _number(value), "middle") for value in x_ticks]
    parts.append(
        f'<line class="axis" x1="{left}" x2="{right}" y1="{ground}" y2="{ground}" stroke="currentColor" '
        f'stroke-opacity="0.6"/>'
    )
    parts.append(_text((left + right) / 2, frame.height - 8, x_label, "middle"))
    middle = (frame.top + ground) / 2
    parts.append(
        f'<text class="label" x="12" y="{middle:.1f}" text-anchor="middle" fill="currentColor" '
        f'transform="rotate(-90 12 {middle:.1f})">{_words(y_label)}</text>'
    )
    return "".join(parts)


def _legend(frame: _Frame) -> str:
    """A swatch and a name for each series, in columns above the drawing; none for a single one."""
    if len(frame.names) < 2:
        return ""
    parts, column = [], (frame.width - _LEFT - _RIGHT) / _ACROSS
    letters = int((column - 24) / _LETTER)
    for place, name in enumerate(frame.names):
        number, left, top = place % len(COLOURS), _LEFT + column * (place % _ACROSS), 10 + _ROW * (place // _ACROSS)
        parts.append(
            f'<rect class="swatch series-{number + 1}" x="{left:.1f}" y="{top}" width="12" height="8" '
            f'fill="{COLOURS[number]}"/>' + _text(left + 16, top + 8, _short(name, letters), "start")
        )
    return "".join(parts)


def _short(name: str, letters: int) -> str:
    """`name` in at most so many letters: its beginning and its end."""
    return name if len(name) <= letters else f"{name[: letters // 2]}…{name[len(name) + letters // 2 + 1 - letters :]}"


def _svg(frame: _Frame, title: str, description: str, marks: Sequence[str], empty: bool) -> str:
    nothing = _text(frame.width / 2, frame.height / 2, "nothing yet", "middle") if empty else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" role="img" aria-label="{_words(title)}" '
        f'viewBox="0 0 {frame.width} {frame.height}" width="{frame.width}" height="{frame.height}" '
        f'font-family="system-ui, sans-serif" font-size="11">'
        f"<title>{_words(title)}</title><desc>{_words(description)}</desc>" + "".join(marks) + nothing + "</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{_words(text)}</text>'
    )


def _words(text: str) -> str:
    """`text` as XML: markup escaped, what XML 1.0 section 2.2 or a terminal cannot hold replaced."""
    return escape("".join(char if char.isprintable() else "?" for char in text))


def _told(points: Points) -> str:
    return f"{len(points)} points, first {_number(points[0][1])}, last {_number(points[-1][1])}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"


def _drawable(value: float) -> bool:
    return abs(value) <= VALUE_MAX  # false of NaN too


def _span(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds every value and is wide enough to be divided into ticks."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low <= max(1e-200, 1e-12 * max(abs(low), abs(high))):
        room = 0.05 * max(abs(low), abs(high))
        room = room if room > 1e-200 else 0.5
        return low - room, high + room
    return low, high


def _ceiling(value: float) -> float:
    """The least tick that is not below `value`; 1 for nothing."""
    if value <= 1e-200:
        return 1.0
    step = _step(value)
    return math.ceil(value / step) * step


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within [low, high], about `TICKS` of them."""
    step = _step(high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990)."""
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if rough <= factor * power * (1 + 1e-9))
