"""The journal: everything that was decided, searched, paged, and whether it verifies.

Decides: what the search asks. Never: verifies by itself (the operator API's verb does, when a person asks for it).
"""

import shlex

from podium.ports.plane import EntriesWanted
from podium.server.console.door import Look
from podium.server.console.paging import PAGE_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.operators.journal_reads import JournalReads
from podium.wire.operator import EntryView, VerifyView

FIELDS = (
    ("kind", "What", "run-submitted"),
    ("subject", "Subject", "a run, device or alias"),
    ("actor", "By", "person:administrator"),
)


class Journal:
    """The screens of the journal."""

    def __init__(self, journal: JournalReads) -> None:
        self._journal = journal

    async def every(self, look: Look) -> Screen:
        """GET /journal: newest first, filtered by the query; the badge says what the last verification found."""
        return await self._shown(look, self._journal.verified())

    async def verify(self, look: Look) -> Screen:
        """GET /journal/verify: the same after a verification."""
        return await self._shown(look, await self._journal.verify())

    async def _shown(self, look: Look, verified: VerifyView | None) -> Screen:
        asked = {name: look.query.get(name, "").strip() for name, _, _ in FIELDS}
        page = await self._journal.entries(EntriesWanted(**asked), look.query.get("after", ""), PAGE_ROWS)
        words = [f"-l {shlex.quote(f'{name}={value}')}" for name, value in asked.items() if value]
        verifying = look.path.endswith("/verify")
        return Screen(
            template="journal.html",
            title="Journal",
            heading="Journal",
            twin="podium audit verify" if verifying else " ".join(["podium audit list", *words]),
            crumbs=(("/", "Overview"),),
            live=not verifying,
            told={
                "verified": verified,
                "filters": [(name, label, asked[name], hint) for name, label, hint in FIELDS],
                "entries": decoded(page, EntryView),
                "pages": links(look, page),
            },
        )
