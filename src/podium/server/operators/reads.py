"""What people and services may see of a running plane: one method per reading verb, giving structs of wire/operator.

Decides: which run, version or device a text names, how long a page is, and where the next one begins: after a key, so
that the last page of a million costs what the first does. Never: who may see it, nor how it is sent: nothing here knows
a request. What is volatile (online, at work) comes from the core's columns, for the rows of the page alone.
Limits: pages of `history_page_max`, `LEASES_SHOWN` leases with a device.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.models.lines import Place, part_of, place_of
from podium.core.rows import RunRow
from podium.core.state import State
from podium.core.views.fleet import device_detail, device_view, lease_view, online, online_devices
from podium.core.views.models import alias_view, move_view, version_view
from podium.core.views.plane import alerts, freeze_view, service_view
from podium.core.views.runs import round_view, run_view
from podium.ports.plane import DevicesWanted, Found, Pages
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.operators.naming import Devices, find_alias, find_run, find_version, versions_before
from podium.server.plane_data import Parts
from podium.server.release import VERSION
from podium.tasks.digest import task_bytes
from podium.wire.canonical import decode_canonical, unb64
from podium.wire.messages import Head, Signed
from podium.wire.operator import (
    RUN_OPEN,
    DeviceDetail,
    Page,
    RoundView,
    RunView,
    StatusView,
    VersionView,
    View,
    Wait,
    WhoAmI,
)
from podium.wire.problems import OperatorFault

LEASES_SHOWN = 20
AMONG = 2_000
"""Devices of a volatile state that are looked up at once for what they must be besides."""
Numbers = NDArray[np.intp]
"""Device numbers, rising."""
AT_WORK = ("any", "none", "OFFERED", "HELD")


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What listed devices must be just now: `online` "true" or "false", `lease` one of `AT_WORK`; "" asks nothing."""

    online: str = ""
    lease: str = ""


ANY, EVER = DevicesWanted(), Moment()


class Reads:
    """Every reading verb but those of the journal (journal_reads.py)."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, pages: Pages, devices: Devices) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._pages = pages
        self._devices = devices
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
        pending = await self._room.run(self._pages.pending)
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

    async def runs(self, after: str = "", limit: int = 0, state: str = "", task: str = "") -> Page:
        """A page of runs, newest first; only those in `state`, or of the task of that name."""
        core, now = self._loop.state, self._loop.now_ms()
        rows = [
            run
            for run in _newest(core.runs.values())
            if (not state or run.state == state) and (not task or core.tasks[run.task].task.task.name == task)
        ]
        if after:
            started, _, id = after.partition(".")
            start = (-_key(started), id)
            rows = [run for run in rows if (-run.started_ms, run.id) > start]
        count = self._length(limit)
        end = f"{rows[count - 1].started_ms}.{rows[count - 1].id}" if len(rows) > count else ""
        return _page([run_view(core, run, now) for run in rows[:count]], end)

    async def run(self, name: str) -> RunView:
        """One run: by id, unique prefix, task name, or @last. `OperatorFault(run-unknown | id-ambiguous)`."""
        return run_view(self._loop.state, find_run(self._loop.state, name), self._loop.now_ms())

    async def task(self, name: str) -> bytes:
        """The canonical bytes of a run's task, whose SHA-256 is its digest; run-unknown, id-ambiguous."""
        return task_bytes(self._loop.state.task_of(find_run(self._loop.state, name).id).task)

    async def rounds(self, run: str, after: str = "", limit: int = 0) -> Page:
        """A page of a run's rounds, newest first. run-unknown, id-ambiguous."""
        state, now = self._loop.state, self._loop.now_ms()
        row = find_run(state, run)
        first = min(_key(after) - 1, row.rounds_opened) if after else row.rounds_opened
        numbers = range(first, max(0, first - self._length(limit)), -1)
        rows = [state.rounds[row.id, number] for number in numbers if (row.id, number) in state.rounds]
        end = str(numbers[-1]) if numbers and numbers[-1] > 1 else ""
        return _page([round_view(state, each, now) for each in rows], end)

    async def round(self, run: str, number: int) -> RoundView:
        """One round of a run. run-unknown, id-ambiguous, not-found."""
        state = self._loop.state
        row = state.rounds.get((find_run(state, run).id, number))
        if row is None:
            raise OperatorFault("not-found", what=f"run {run[:128]} has no round {number}")
        return round_view(state, row, self._loop.now_ms())

    async def round_leases(self, run: str, number: int, after: str = "", limit: int = 0) -> Page:
        """A page of a round's leases, in the order in which they were granted. run-unknown, id-ambiguous, not-found."""
        shown, now, count = await self.round(run, number), self._loop.now_ms(), self._length(limit)
        rows = await self._room.run(self._pages.round_leases, shown.run, number, _key(after), count + 1)
        end = str(rows[count - 1][0]) if len(rows) > count else ""
        return _page([lease_view(row, now) for _, row in rows[:count]], end)

    async def devices(
        self, wanted: DevicesWanted = ANY, moment: Moment = EVER, after: str = "", limit: int = 0
    ) -> Page:
        """A page of devices in order of enrolment; by name where the beginning of one is wanted."""
        start, count = _key(after) if after else -1, self._length(limit)
        if moment == EVER:
            found = await self._room.run(self._pages.devices, wanted, start, count)
        else:
            found = await self._among(wanted, _at_moment(self._loop.state, moment, self._loop.now_ms()), start, count)
        state, now = self._loop.state, self._loop.now_ms()
        items = [device_view(state, state.devices[number], now) for number in found.numbers]
        return _page(items, str(found.next) if found.next >= 0 else "")

    async def _among(self, wanted: DevicesWanted, numbers: Numbers, after: int, count: int) -> Found:
        """The page of those of `numbers`, rising, beyond `after` that are as wanted; it looks at a bounded number."""
        start = int(np.searchsorted(numbers, after, side="right"))
        kept: list[int] = []
        for place in range(start, min(len(numbers), start + 5 * AMONG), AMONG):
            some = [int(number) for number in numbers[place : place + AMONG]]
            kept += await self._room.run(self._pages.devices_among, some, wanted)
            if len(kept) > count:
                return Found(numbers=kept[:count], next=kept[count - 1])
        seen = start + 5 * AMONG
        return Found(numbers=kept, next=int(numbers[seen - 1]) if seen < len(numbers) else -1)

    async def device(self, name: str) -> DeviceDetail:
        """One device with its facts and last leases: by id, unique prefix of it, or name. not-found, id-ambiguous."""
        id = (await self._devices.find(name)).id
        leases = await self._room.run(self._pages.device_leases, id, 0, LEASES_SHOWN)
        state = self._loop.state
        row = state.devices[state.device_number(id)]
        return device_detail(state, row, [lease for _, lease in leases], self._loop.now_ms())

    async def device_leases(self, name: str, after: str = "", limit: int = 0) -> Page:
        """A page of a device's leases, newest first. not-found, id-ambiguous."""
        id, now, count = (await self._devices.find(name)).id, self._loop.now_ms(), self._length(limit)
        rows = await self._room.run(self._pages.device_leases, id, _key(after), count + 1)
        end = str(rows[count - 1][0]) if len(rows) > count else ""
        return _page([lease_view(row, now) for _, row in rows[:count]], end)

    async def versions(
        self, run: str = "", task: str = "", after: str = "", limit: int = 0, newest: bool = False
    ) -> Page:
        """A page of versions, oldest first unless `newest`; `after` is the digest of the last one of the page before.

        Only those that the rounds of `run`, or of all runs of the task of that name, began with or made, whoever made
        the very same bytes first. run-unknown, id-ambiguous.
        """
        state, now, count = self._loop.state, self._loop.now_ms(), self._length(limit)
        if after and after not in state.versions:
            raise OperatorFault("usage", what=f"the query's after is {after[:128]!r}", why="it is a page's next")
        beyond = place_of(state.versions[after]) if after else None
        ids = [id for *_, id in part_of(_line(state, run, task), beyond, newest, count + 1)]
        items = [version_view(state, state.versions[id], now) for id in ids[:count]]
        return _page(items, ids[count - 1] if len(ids) > count else "")

    async def models(self) -> list[str]:
        """The names of the tasks whose runs train, that of the newest run first."""
        state = self._loop.state
        tasks = [state.tasks[run.task].task.task for run in _newest(state.runs.values())]
        return list(dict.fromkeys(task.name for task in tasks if task.kind == "train"))

    async def aliases(self, after: str = "", limit: int = 0) -> Page:
        """A page of the aliases and where they point, by name; `after` is the last name of the page before."""
        state, now, count = self._loop.state, self._loop.now_ms(), self._length(limit)
        names = sorted(name for name in state.aliases if name > after)
        end = names[count - 1] if len(names) > count else ""
        return _page([alias_view(state, state.aliases[name], now) for name in names[:count]], end)

    async def moves(self, alias: str, after: str = "", limit: int = 0) -> Page:
        """A page of the moves of an alias by somebody, newest first. not-found."""
        found, now, count = find_alias(self._loop.state, alias), self._loop.now_ms(), self._length(limit)
        rows = await self._room.run(self._pages.moves, found.id, _key(after), count + 1)
        end = str(rows[count - 1].counter) if len(rows) > count else ""
        return _page([move_view(row, now) for row in rows[:count]], end)

    async def version_before(self, alias: str) -> VersionView | None:
        """The version that a rollback of an alias goes to, None if there is none. not-found."""
        state = self._loop.state
        before = versions_before(state, find_alias(state, alias))
        return version_view(state, before[-1], self._loop.now_ms()) if before else None

    async def services(self, after: str = "", limit: int = 0) -> Page:
        """A page of services' credentials, by id; `after` is the last id of the page before."""
        now, count = self._loop.now_ms(), self._length(limit)
        rows = sorted((row for row in self._loop.state.services.values() if row.id > after), key=lambda row: row.id)
        end = rows[count - 1].id if len(rows) > count else ""
        return _page([service_view(row, now) for row in rows[:count]], end)

    async def version(self, name: str) -> VersionView:
        """One version: by digest, unique prefix, number, alias or @last. version-unknown, id-ambiguous."""
        return version_view(self._loop.state, find_version(self._loop.state, name), self._loop.now_ms())

    async def version_blob(self, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """How many bytes a version's safetensors have, and they in pieces; `DeviceFault(not-found)` once collected."""
        digest = find_version(self._loop.state, name).id
        return await self._room.size(digest), self._room.pieces(digest)

    async def version_statement(self, name: str) -> bytes:
        """A version's signed provenance, a DSSE envelope."""
        return await self._room.whole(find_version(self._loop.state, name).statement)

    def _length(self, limit: int) -> int:
        longest = self._parts.limits.history_page_max
        return min(limit or longest, longest)


def _at_moment(state: State, moment: Moment, now_ms: int) -> Numbers:
    """The numbers of the devices that are as `moment` says, rising. `OperatorFault(usage)`."""
    size = state.fleet.size
    mask = np.ones(size, np.bool_)
    if moment.online not in ("", "true", "false"):
        raise OperatorFault("usage", what=f"online is {moment.online[:32]!r}", why="it is true or false")
    if moment.lease not in ("", *AT_WORK):
        raise OperatorFault("usage", what=f"lease is {moment.lease[:32]!r}", why=f"it is {', '.join(AT_WORK)}")
    if moment.online:
        mask &= online_devices(state, now_ms) == (moment.online == "true")
    if moment.lease:
        mask &= state.fleet.live[:size] == (moment.lease != "none")
    numbers = np.flatnonzero(mask)
    if moment.lease in ("OFFERED", "HELD"):
        same = [state.leases[state.live_lease[int(number)]].state == moment.lease for number in numbers]
        return numbers[np.array(same, np.bool_)]
    return numbers


def _line(state: State, run: str, task: str) -> list[Place]:
    """The versions of `run` (which is of `task`, if both are named), of `task`, or of the plane; run-unknown."""
    if not run:
        return state.lines.versions(task=task)
    row = find_run(state, run)
    return state.lines.versions(run=row.id) if task in ("", state.tasks[row.task].task.task.name) else []


def _page(views: Sequence[View], end: str) -> Page:
    return Page(items=[msgspec.Raw(msgspec.json.encode(view)) for view in views], next=end)


def _key(after: str) -> int:
    """The number that a cursor is, 0 for the first page. `OperatorFault(usage)`."""
    if not ((after or "0").isascii() and (after or "0").isdecimal() and len(after) <= 16):
        raise OperatorFault("usage", what=f"the query's after is {after[:32]!r}", why="it is a page's next")
    return int(after or "0")


def _newest(runs: Iterable[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: (-run.started_ms, run.id))


def _size(head: Signed) -> int:
    return decode_canonical(unb64(head.payload), Head).size
