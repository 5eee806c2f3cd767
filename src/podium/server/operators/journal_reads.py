"""The journal as people and services see it: pages of entries, whether it holds, and all of it to take away.

Decides: when the journal is verified again: once its heads or its entries moved since. Never: what is verified
(server/journal). Limits: pages of `history_page_max`; one verification at a time, in a thread: whoever asks meanwhile
shares it.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from podium.core.records import read_record
from podium.ports.plane import EntriesWanted, Entry, Pages
from podium.server.devices.uploads import BlobRoom
from podium.server.journal.audit import export_data, verify_data
from podium.server.loop.loop import Loop
from podium.server.plane_data import Parts
from podium.wire.messages import Signed, SignedRoot
from podium.wire.operator import EntryView, Page, VerifyView
from podium.wire.problems import OperatorFault

EVERY = EntriesWanted()
ERASED = "erased"
"""The kind shown of an entry whose record was erased."""
Mark = tuple[tuple[str, ...], int]
"""What the journal stood at: the signatures of its newest heads, and how many entries wait for their place."""


class JournalReads:
    """The reading verbs of the journal."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, pages: Pages, data: Path) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._pages = pages
        self._data = data
        self._found: tuple[Mark, int, VerifyView] | None = None  # with the time it was found at
        self._verifying: asyncio.Task[VerifyView] | None = None
        self.heads: Callable[[], dict[str, Signed]] = dict

    async def entries(self, wanted: EntriesWanted = EVERY, after: str = "", limit: int = 0) -> Page:
        """A page of the journal's entries, newest first."""
        if not ((after or "0").isascii() and (after or "0").isdecimal() and len(after) <= 16):
            raise OperatorFault("usage", what=f"the query's after is {after[:32]!r}", why="it is a page's next")
        longest = self._parts.limits.history_page_max
        count = min(limit or longest, longest)
        found = await self._room.run(self._pages.journal, wanted, int(after or "0"), count)
        entries = await self._room.run(self._pages.numbered, found.numbers)
        now = self._loop.now_ms()
        items = [msgspec.Raw(msgspec.json.encode(entry_view(entry, now))) for entry in entries]
        return Page(items=items, next=str(found.next) if found.next > 0 else "")

    async def verify(self) -> VerifyView:
        """Whether every entry, head and current row fits; found again only once the journal moved."""
        mark = await self._mark()
        if self._found is not None and self._found[0] == mark:
            return self.verified() or self._found[2]
        if self._verifying is None:
            self._verifying = asyncio.get_running_loop().create_task(self._verified(mark))
            self._verifying.add_done_callback(self._done)
        return await asyncio.shield(self._verifying)

    def verified(self) -> VerifyView | None:
        """What the last verification found, however the journal stands now; None if there was none."""
        if self._found is None:
            return None
        _, at_ms, view = self._found
        return msgspec.structs.replace(view, age_ms=self._loop.now_ms() - at_ms)

    async def export(self) -> IO[bytes]:
        """The journal as JSON Lines in an unnamed file, at its beginning; `podium audit verify` reads it offline."""
        return await self._room.run(exported, self._data, self._parts.identity.root)

    def _done(self, task: asyncio.Task[VerifyView]) -> None:
        self._verifying = None

    async def _mark(self) -> Mark:
        pending = await self._room.run(self._pages.pending)
        return tuple(sorted(head.signature for head in self.heads().values())), pending

    async def _verified(self, mark: Mark) -> VerifyView:
        try:
            result = await asyncio.to_thread(verify_data, self._data)
            view = VerifyView(ok=True, entries=result.entries, pending=result.pending, first_bad="", age_ms=0)
        except OperatorFault as fault:
            if fault.code != "journal-broken":
                raise
            first = f"{fault.what}: {fault.why}"
            view = VerifyView(ok=False, entries=0, pending=0, first_bad=first, age_ms=0)
        self._found = (mark, self._loop.now_ms(), view)
        return view


def entry_view(entry: Entry, now_ms: int) -> EntryView:
    """An entry as lists show it; of an erased one only its place is left."""
    if not entry.record:
        number, tree, place = entry.number, entry.tree, entry.place
        return EntryView(number=number, tree=tree, place=place, age_ms=-1, kind=ERASED, subject="", actor="", why={})
    kept = read_record(entry.record)
    return EntryView(
        number=entry.number,
        tree=entry.tree,
        place=entry.place,
        age_ms=now_ms - kept.at_ms,
        kind=kept.kind,
        subject=kept.subject,
        actor=kept.actor,
        why={name: str(value) for name, value in kept.why.items()},
    )


def exported(data: Path, root: SignedRoot) -> IO[bytes]:
    """One committed state of the journal in an unnamed file, at its beginning. Blocking; `StoreFault`.

    A file, because a page of it takes as long as the reader's network, and a snapshot belongs to one thread.
    """
    with contextlib.ExitStack() as unless_whole:
        file = unless_whole.enter_context(tempfile.TemporaryFile())
        file.writelines(export_data(data, root))
        file.seek(0)
        unless_whole.pop_all()
    return file
