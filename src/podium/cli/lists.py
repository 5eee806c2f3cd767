"""A list as a person or a script reads it: columns, JSON, or followed until Ctrl-C.

Decides: the form. Never: what is in a list. Followed, it comes as the plane tells it (`Calls.follow`): on a terminal it
is redrawn; elsewhere a line tells each change: "+" come, "~" changed, "-" gone; with --json one object a line.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec
import typer

from podium.cli.errors import INTERRUPTED
from podium.cli.output import columns, note, say, say_json

if TYPE_CHECKING:
    from podium.plane.calls import Calls

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


@dataclass(frozen=True)
class Rows(Generic[V]):
    """Where a list comes from: the plane's rows at `path` under `query`; `keep` chooses what the plane cannot.

    `newest`: only so many, which the plane gives newest first and a list shows newest last; 0 is every row.
    """

    link: "Calls"
    path: str
    kind: type[V]
    query: Mapping[str, str | int] = field(default_factory=dict)
    keep: Callable[[V], bool] = bool
    newest: int = 0

    def once(self) -> list[V]:
        """The rows as they are now."""
        if self.newest:
            return self._kept(self.link.first_of(self.path, self.kind, self.newest, **self.query))
        return self._kept(self.link.rows(self.path, self.kind, **self.query))

    def followed(self) -> Iterator[list[V]]:
        """The rows now and whenever they change."""
        for views in self.link.follow_rows(self.path, self.kind, self.newest, **self.query):
            yield self._kept(views)

    def _kept(self, views: list[V]) -> list[V]:
        return [view for view in (views[::-1] if self.newest else views) if self.keep(view)]


def show(listing: Listing[V], rows: Rows[V], *, json: bool, watch: bool, above: Callable[[], list[str]] = list) -> None:
    """Print `rows`, once or until Ctrl-C (exit code 130); to stderr what stands `above` them."""
    if watch:
        follow(listing, rows.followed(), json=json, above=above)
        return
    views = rows.once()
    for each in above():
        note(each)
    if json:
        say_json(views)
    else:
        for line in listing.lines(views):
            say(line)


def follow(
    listing: Listing[V], seen: Iterator[Sequence[V]], *, json: bool, above: Callable[[], list[str]] = list
) -> None:
    """Show each of `seen` as it comes, until Ctrl-C (exit code 130).

    What stands `above` is drawn again with each on a terminal, and told once to stderr elsewhere.
    """
    try:
        if sys.stdout.isatty() and not json:
            _redraw(listing, seen, above)
        else:
            _tell(listing, seen, json, above)
    except KeyboardInterrupt:
        note("left the list; what it shows goes on")
        raise typer.Exit(INTERRUPTED) from None


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


def _tell(listing: Listing[V], seen: Iterator[Sequence[V]], json: bool, above: Callable[[], list[str]]) -> None:
    for each in above():
        note(each)
    for sign, view in changes(listing, seen):
        if json:
            say(msgspec.json.encode({"change": sign, "row": view}).decode())
        else:
            say("  ".join([sign, *listing.row(view)]))


def _redraw(listing: Listing[V], seen: Iterator[Sequence[V]], above: Callable[[], list[str]]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        for views in seen:
            text = "\n".join([*above(), *listing.lines(views)])
            live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)
