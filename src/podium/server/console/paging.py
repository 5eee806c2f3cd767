"""Lists in pages: what a page of the operator API holds, and where the next one is.

Decides: how many rows a screen shows. Never: which rows there are (the reading verbs). Cursor and filters are in
the URL, so every page can be linked to.
"""

from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from podium.server.console.door import Look
from podium.wire.operator import Page, View

PAGE_ROWS = 50
SHORT_ROWS = 20
"""Of a list that is not what its screen is about."""
V = TypeVar("V", bound=View)


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where a list goes on; "" where it does not."""

    first: str
    next: str


def decoded(page: Page, kind: type[V]) -> list[V]:
    """The views of a page."""
    return [msgspec.json.decode(item, type=kind) for item in page.items]


def links(look: Look, page: Page) -> Links:
    """The first and the following page under the same filters."""
    kept = {name: value for name, value in look.query.items() if name != "after" and value}
    first = f"{look.path}?{urlencode(kept)}" if kept else look.path
    return Links(
        first=first if look.query.get("after") else "",
        next=f"{look.path}?{urlencode({**kept, 'after': page.next})}" if page.next else "",
    )
