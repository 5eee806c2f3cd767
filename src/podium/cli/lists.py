"""A list as a person or a script reads it: columns, JSON, or followed until Ctrl-C.

Decides: the form. Never: what is in a list. Followed on a terminal it is redrawn; elsewhere a line tells each change:
"+" come, "~" changed, "-" gone; with --json one object a line. Limits: asked every `WATCH_MS`; a plane that is away for
longer than `AWAY_MS` ends it.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import typer

from podium.cli.errors import INTERRUPTED
from podium.cli.output import columns, note, say, say_json

WATCH_MS = 1_000
AWAY_MS = 60_000

V = TypeVar("V", bound=msgspec.Struct)


@dataclass(frozen=True)
class Listing(Generic[V]):
    """How views become rows: `heads` over what `row` gives, `key` the row's name, `passing` the fields time moves.

    `newest`: only the newest rows are fetched, so that one that is not among them any more has not gone.
    """

    heads: tuple[str, ...]
    row: Callable[[V], tuple[str, ...]]
    key: Callable[[V], str]
    passing: tuple[str, ...] = ()
    newest: bool = False

    def lines(self, views: Sequence[V]) -> list[str]:
        """The columns, heads first."""
        return columns(self.heads, [self.row(view) for view in views])

    def mark(self, view: V) -> bytes:
        """What must change for a row to have changed."""
        still = {name: value for name, value in msgspec.structs.asdict(view).items() if name not in self.passing}
        return msgspec.json.encode(still)


def show(listing: Listing[V], fetch: Callable[[], Sequence[V]], *, json: bool, watch: bool) -> None:
    """Print what `fetch` gives, once or until Ctrl-C (exit code 130)."""
    if not watch:
        views = fetch()
        if json:
            say_json(views)
        else:
            for line in listing.lines(views):
                say(line)
        return
    try:
        if sys.stdout.isatty() and not json:
            _redraw(listing, fetch)
        else:
            for sign, view in changes(listing, fetches(fetch)):
                say(_told(listing, sign, view, json))
    except KeyboardInterrupt:
        note("left the list")
        raise typer.Exit(INTERRUPTED) from None


def fetches(fetch: Callable[[], Sequence[V]]) -> Iterator[Sequence[V]]:
    """What `fetch` gives every `WATCH_MS`, without end; `PlaneAway` once the plane is away for `AWAY_MS`."""
    from podium.device.link import PlaneAway

    heard = time.monotonic()
    while True:
        try:
            views = fetch()
        except PlaneAway:
            if (time.monotonic() - heard) * 1000 > AWAY_MS:
                raise
        else:
            heard = time.monotonic()
            yield views
        time.sleep(WATCH_MS / 1000)


def changes(listing: Listing[V], seen: Iterator[Sequence[V]]) -> Iterator[tuple[str, V]]:
    """("+", view) for each row that came, ("~", view) for one that changed, ("-", its last view) for one that went."""
    known: dict[str, V] = {}
    for views in seen:
        now = {listing.key(view): view for view in views}
        for key, view in now.items():
            if key not in known:
                yield "+", view
            elif listing.mark(known[key]) != listing.mark(view):
                yield "~", view
        if not listing.newest:
            yield from (("-", view) for key, view in known.items() if key not in now)
        known = now


def _told(listing: Listing[V], sign: str, view: V, json: bool) -> str:
    if json:
        return msgspec.json.encode({"change": sign, "row": view}).decode()
    return "  ".join([sign, *listing.row(view)])


def _redraw(listing: Listing[V], fetch: Callable[[], Sequence[V]]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        for views in fetches(fetch):
            live.update(Text("\n".join(listing.lines(views)), overflow="ellipsis", no_wrap=True), refresh=True)
