"""How a screen becomes HTML: templates, static files, and how numbers, times and states are said.

Decides: words and units. Never: what is shown (the screens) nor who may see it. Every value is escaped by the
templates; only what svg.py built is let through. Static files are addressed by the hash of their bytes, so a browser
keeps them for a year and never sees an old one.
"""

import hashlib
import importlib.resources
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import jinja2
import msgspec
from markupsafe import Markup, escape

from podium.server.console.charts import ago
from podium.server.console.svg import tag

PACKAGE = "podium.server.console"
STATIC: dict[str, str] = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "podium.svg": "image/svg+xml",
}
MENU = (
    ("/", "Overview"),
    ("/runs", "Runs"),
    ("/fleet", "Fleet"),
    ("/models", "Models"),
    ("/journal", "Journal"),
    ("/settings", "Settings"),
)
DIGEST = re.compile(r"((?:sha256:)?[0-9a-f]{64})")
LIVE = "live_"
"""Blocks of a template with this prefix are fragments that a stream replaces."""
TONES: dict[str, str] = {
    **dict.fromkeys(("RUNNING", "REPORTING", "AGGREGATING", "OFFERED", "HELD", "at work"), "busy"),
    **dict.fromkeys(("FINISHED", "SEALED", "ACCEPTED", "REPORTED", "online", "active", "released", "verified"), "good"),
    **dict.fromkeys(("PAUSING", "PAUSED", "FORMING", "cordoned", "LAPSED", "pending", "DECLINED", "STOPPED"), "warn"),
    **dict.fromkeys(("ABANDONED", "TIMED_OUT", "FAILED", "REFUSED", "banned", "frozen", "broken", "failing"), "bad"),
}
"""State -> the look of its chip; what is not named here is calm."""


ORDINARY = (
    "",
    *("run-finished", "run-stopped", "pausing", "paused", "preparing", "starting", "waiting-for-reports"),
    *(
        "window-preparing",
        "being-checked",
        "aggregating",
        "returning",
        "not-checked-in",
        "at-work",
        "reserved",
        "contributed",
    ),
    *("seats-taken", "separation", "times-spent", "budget-spent", "no-run", "at-work-elsewhere"),
)
"""Causes that time or a person's own act takes away: said calmly."""


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """One screen, ready to be drawn: `told` is what its template reads, `live` the path of its stream ("" none)."""

    template: str
    title: str
    heading: str
    told: dict[str, object]
    twin: str = ""
    crumbs: tuple[tuple[str, str], ...] = ()
    live: bool = False


class Static:
    """The files that pages refer to, by their hashed path."""

    def __init__(self) -> None:
        folder = importlib.resources.files(PACKAGE) / "static"
        self._files = {name: (folder / name).read_bytes() for name in STATIC}
        self._hashes = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in self._files.items()}

    def path(self, name: str) -> str:
        """Where the present bytes of `name` are served."""
        return f"/static/{self._hashes[name]}/{name}"

    def find(self, digest: str, name: str) -> tuple[bytes, str] | None:
        """The bytes and media type of a file; None if there is none, or another under that hash."""
        if self._hashes.get(name) != digest:
            return None
        return self._files[name], STATIC[name]


class Rendering:
    """The templates, loaded once."""

    def __init__(self, static: Static) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(PACKAGE, "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= {
            "ago": age,
            "moment": moment,
            "span": ago,
            "count": count,
            "bytes": size,
            "short": short,
            "brief": brief,
            "decimal": decimal,
        }
        self._templates.globals |= {
            "static": static.path,
            "tone": tone,
            "share": share,
            "swatch": swatch,
            "menu": MENU,
            "ordinary": ORDINARY,
        }
        self._templates.globals["ui"] = self._templates.get_template("parts.html").module

    def page(self, template: str, told: Mapping[str, object]) -> str:
        """The whole page."""
        return self._templates.get_template(template).render(told)

    def fragments(self, template: str, told: Mapping[str, object]) -> dict[str, str]:
        """The live fragments of a page by name: the frame's own, and the template's."""
        drawn: dict[str, str] = {}
        for name in ("base.html", template):
            source = self._templates.get_template(name)
            for block, render in source.blocks.items():
                if block.startswith(LIVE):
                    context = source.new_context(dict(told))
                    drawn[block.removeprefix(LIVE)] = "".join(render(context))
        return drawn


def age(ms: float) -> str:
    """How long ago, from an age in ms; -1 is never."""
    if ms < 0:
        return "never"
    return "just now" if ms < 1_000 else f"{ago(ms)} ago"


def moment(ms: int) -> str:
    """A time of the plane's clock (ms since the epoch) as date and time of day, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes in the unit that keeps the number short."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def short(digest: str) -> str:
    """The first characters of a digest or id, enough to tell it by."""
    return digest.removeprefix("sha256:")[:10]


def brief(text: str) -> Markup:
    """`text` with each digest in it cut to its first characters; the whole of each is its title."""
    parts = DIGEST.split(text)
    cut = [tag("span", f"{each[:19]}…", title=each) if DIGEST.fullmatch(each) else escape(each) for each in parts]
    return Markup("").join(cut)


def decimal(value: float) -> str:
    """A metric to four digits."""
    return f"{value:.4g}"


def tone(state: str) -> str:
    """The look of a state's chip."""
    return TONES.get(state, "calm")


def share(have: float, need: float) -> str:
    """`have` of `need` as a width."""
    return f"{100 * min(1.0, have / need):.1f}%" if need > 0 else "0%"


def swatch(kind: str) -> Markup:
    """The sample of a mark, line or bar for a chart's key."""
    shape = kind.split(" ")[0]
    if shape == "line":
        inner = tag("line", x1=0, x2=20, y1=6, y2=6, class_=kind)
    elif shape in ("band", "bar", "area"):
        inner = tag("rect", x=0, y=1, width=20, height=10, rx=2, class_=kind)
    elif kind == "mark bad":
        inner = tag("path", d="M6,2 L14,10 M14,2 L6,10", class_=kind)
    else:
        inner = tag("circle", cx=10, cy=6, r=4, class_=kind)
    return tag("svg", inner, viewBox="0 0 20 12")
