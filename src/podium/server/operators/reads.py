"""What people and services may see of a running plane: one method per reading verb, giving structs of wire/operator.

Decides: which run, version or device a text names, and how long a page is. Never: who may see it, nor how it is sent:
nothing here knows a request. Limits: pages of `history_page_max`.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec

from podium.core.rows import RunRow
from podium.core.views.fleet import device_view, online
from podium.core.views.models import version_view
from podium.core.views.plane import alerts, freeze_view
from podium.core.views.runs import run_view
from podium.server.devices.uploads import BlobRoom
from podium.server.journal.audit import export_data
from podium.server.loop.loop import Loop
from podium.server.operators.naming import find_run, find_version
from podium.server.plane_data import Parts
from podium.server.release import VERSION
from podium.tasks.digest import task_bytes
from podium.wire.canonical import decode_canonical, unb64
from podium.wire.messages import Head, Signed, SignedRoot
from podium.wire.operator import RUN_OPEN, Page, RunView, StatusView, VersionView, View, Wait, WhoAmI
from podium.wire.problems import OperatorFault


class Reads:
    """Every reading verb."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, data: Path) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._data = data
        self._started_ms = loop.now_ms()
        self.url = ""
        self.heads: Callable[[], dict[str, Signed]] = dict

    async def who_am_i(self, actor: str, verbs: frozenset[str]) -> WhoAmI:
        """Whom the credential proves."""
        kind, _, name = actor.partition(":")
        role = name if kind == "person" else kind
        plane_id = self._parts.identity.plane_id
        return WhoAmI(role=role, plane_id=plane_id, actor=actor, verbs=sorted(verbs))

    async def status(self) -> StatusView:
        """The plane in one look."""
        pending = len(await self._room.run(self._parts.store.unplaced, self._parts.limits.history_page_max))
        placed = sum(_size(head) for head in self.heads().values())
        state, now = self._loop.state, self._loop.now_ms()
        views = [run_view(state, run, now) for run in _newest(state.runs.values()) if run.state in RUN_OPEN]
        waiting: list[Wait] = [view.waiting for view in views if view.waiting is not None]
        return StatusView(
            plane_id=self._parts.identity.plane_id,
            version=VERSION,
            url=self.url,
            up_ms=now - self._started_ms,
            devices=len(state.devices),
            online=online(state, now),
            runs=views,
            waiting=waiting,
            freeze=freeze_view(state, now),
            alerts=alerts(state, views),
            journal_entries=placed + pending,
            journal_pending=pending,
        )

    async def runs(self, after: str, limit: int) -> Page:
        """A page of runs, newest first."""
        state, now = self._loop.state, self._loop.now_ms()
        return self._page(after, limit, _newest(state.runs.values()), lambda run: run_view(state, run, now))

    async def run(self, name: str) -> RunView:
        """One run: by id, unique prefix, task name, or @last. `OperatorFault(run-unknown | id-ambiguous)`."""
        return run_view(self._loop.state, find_run(self._loop.state, name), self._loop.now_ms())

    async def task(self, name: str) -> bytes:
        """The canonical bytes of a run's task, whose SHA-256 is its digest; run-unknown, id-ambiguous."""
        return task_bytes(self._loop.state.task_of(find_run(self._loop.state, name).id).task)

    async def devices(self, after: str, limit: int) -> Page:
        """A page of devices in order of enrolment."""
        state, now = self._loop.state, self._loop.now_ms()
        return self._page(after, limit, state.devices, lambda row: device_view(state, row, now))

    async def versions(self, run: str, after: str, limit: int) -> Page:
        """A page of versions, oldest first; of `run` only, beginning with the version it began with, if named."""
        state, now = self._loop.state, self._loop.now_ms()
        rows = sorted(state.versions.values(), key=lambda row: (row.made_ms, row.number))
        if run:
            wanted = find_run(state, run)
            rows = [row for row in rows if row.run == wanted.id or row.id == wanted.first]
        return self._page(after, limit, rows, lambda row: version_view(state, row, now))

    async def version(self, name: str) -> VersionView:
        """One version: by digest, unique prefix, number, alias or @last. version-unknown, id-ambiguous."""
        return version_view(self._loop.state, find_version(self._loop.state, name), self._loop.now_ms())

    async def version_blob(self, name: str) -> bytes:
        """A version's safetensors bytes; `DeviceFault(not-found)` once they were collected."""
        return await self._room.whole(find_version(self._loop.state, name).id)

    async def version_statement(self, name: str) -> bytes:
        """A version's signed provenance, a DSSE envelope."""
        return await self._room.whole(find_version(self._loop.state, name).statement)

    async def export(self) -> IO[bytes]:
        """The journal as JSON Lines in an unnamed file, at its beginning; `podium audit verify` reads it offline."""
        return await self._room.run(exported, self._data, self._parts.identity.root)

    def _page(self, after: str, limit: int, rows: Iterable[object], view: Callable[..., View]) -> Page:
        """One page: `after` is the cursor that the page before gave as `next`."""
        if not (after or "0").isdecimal() or len(after) > 15:
            raise OperatorFault("usage", what=f"the query's after is {after[:32]!r}", why="it is a page's next")
        start = int(after or "0")
        limit = min(limit or self._parts.limits.history_page_max, self._parts.limits.history_page_max)
        every = list(rows)
        items = [msgspec.Raw(msgspec.json.encode(view(row))) for row in every[start : start + limit]]
        end = start + len(items)
        return Page(items=items, next=str(end) if end < len(every) else "")


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


def _newest(runs: Iterable[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: (-run.started_ms, run.id))


def _size(head: Signed) -> int:
    return decode_canonical(unb64(head.payload), Head).size
