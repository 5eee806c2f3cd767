"""The fleet and one device: who is there, in what state, what they do, and what may be done about one of them.

Decides: how the heat map is laid out, and what each mark is said to do. Never: acts. Limits: pages of `PAGE_ROWS`
devices, `PLATFORMS_SHOWN` rows in the heat map.
"""

import shlex

import msgspec

from podium.core.views.census import STATES
from podium.core.views.explain import TROUBLES
from podium.ports.plane import DevicesWanted
from podium.server.console.door import Look
from podium.server.console.paging import PAGE_ROWS, decoded, links
from podium.server.console.rendering import Screen
from podium.server.console.screens.standstill import standstill
from podium.server.console.screens.swim import lanes_figure
from podium.server.operators.explains import Explains
from podium.server.operators.fleet_reads import FleetReads
from podium.server.operators.reads import Moment, Reads
from podium.wire.operator import DeviceDetail, DeviceView, FleetView
from podium.wire.problems import OperatorFault

PLATFORMS_SHOWN = 12
HEATS = 5
CRUMBS = (("/", "Overview"), ("/fleet", "Fleet"))
MARKS: dict[str, tuple[str, str, str]] = {
    "active": ("Uncordon", "It may get leases again.", ""),
    "cordoned": ("Cordon", "It gets no new lease; what it works on goes on.", ""),
    "drained": ("Drain", "It gets no new lease, and the one it holds is revoked.", ""),
    "banned": ("Ban", "Its next request is refused, and the lease it holds is revoked.", "grave"),
}
"""Mark -> its button, what it means, the button's look."""
OFFERED: dict[str, tuple[str, ...]] = {
    "active": ("cordoned", "drained", "banned"),
    "cordoned": ("active", "drained", "banned"),
    "banned": ("active",),
}
"""State -> the marks that change it."""
CHOICES = (
    ("state", "State", (("", "any"), ("active", "active"), ("cordoned", "cordoned"), ("banned", "banned"))),
    ("online", "Online", (("", "any"), ("true", "online"), ("false", "offline"))),
    ("lease", "Lease", (("", "any"), ("any", "at work"), ("none", "none"))),
)
"""Filters with their options: name, label, (value, what it says)."""
VERBS = {"active": "uncordon", "cordoned": "cordon", "drained": "drain", "banned": "ban"}


class Cell(msgspec.Struct, frozen=True):
    """One cell of the heat map: how many devices, and how dark it is (0: nobody, 5: most)."""

    devices: int
    heat: int


class Row(msgspec.Struct, frozen=True):
    """One platform of the heat map."""

    name: str
    cells: list[Cell]
    all: int


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """The heat map: platforms down, states across."""

    title: str
    text: str
    axis: str
    columns: tuple[str, ...]
    rows: list[Row]


class Fleet:
    """The screens about devices."""

    def __init__(self, reads: Reads, fleet: FleetReads, explains: Explains) -> None:
        self._reads = reads
        self._fleet = fleet
        self._explains = explains

    async def every(self, look: Look) -> Screen:
        """GET /fleet: filtered by the query: name, site, label, state, online, at work."""
        asked = {
            name: look.query.get(name, "").strip() for name in ("name", "site", "label", "state", "online", "lease")
        }
        wanted = DevicesWanted(
            name=asked["name"],
            site=asked["site"],
            state=asked["state"],
            labels=(asked["label"],) if asked["label"] else (),
        )
        moment = Moment(online=asked["online"], lease=asked["lease"])
        page = await self._reads.devices(wanted, moment, look.query.get("after", ""), PAGE_ROWS)
        return Screen(
            template="fleet.html",
            title="Fleet",
            heading="Fleet",
            twin=_twin(asked),
            crumbs=CRUMBS[:1],
            live=True,
            told={
                "heat": heat_of(await self._fleet.fleet()),
                "filters": (
                    ("name", "Name begins with", asked["name"], "device-1"),
                    ("site", "Site", asked["site"], "any"),
                    ("label", "Label", asked["label"], "region=eu"),
                ),
                "choices": [(name, label, asked[name], options) for name, label, options in CHOICES],
                "devices": decoded(page, DeviceView),
                "pages": links(look, page),
            },
        )

    async def show(self, look: Look) -> Screen:
        """GET /fleet/ID; of a plane that decides nothing, why."""
        told = await self._explains.device(look.id)
        if told.cause in TROUBLES:
            return standstill(told, CRUMBS)
        detail = await self._reads.device(told.subject)
        device = detail.device
        name = device.name or device.id[:12]
        return Screen(
            template="device.html",
            title=f"Device {name}",
            heading=name,
            twin=f"podium device show {device.id}",
            crumbs=CRUMBS,
            live=True,
            told={
                "detail": detail,
                "device": device,
                "marks": [(mark, MARKS[mark][0], MARKS[mark][2]) for mark in OFFERED[device.state]],
                "lanes": lanes_figure(detail.leases),
                "explained": told,
            },
        )

    async def mark(self, look: Look) -> Screen:
        """GET /fleet/ID/mark?mark=: asks before a device is marked."""
        detail = await self._reads.device(look.id)
        mark = look.query.get("mark", "")
        if mark not in MARKS:
            raise OperatorFault("usage", what=f"mark {mark[:32]!r}", why=f"it is one of {', '.join(MARKS)}")
        return _confirm(detail, mark)


def _twin(asked: dict[str, str]) -> str:
    words = [
        f"-l {shlex.quote(value if name == 'label' else f'{name}={value}')}" for name, value in asked.items() if value
    ]
    return " ".join(["podium device list", *words])


def _confirm(detail: DeviceDetail, mark: str) -> Screen:
    device = detail.device
    name, (label, effect, shade) = device.name or device.id[:12], MARKS[mark]
    lease = f"It works on {device.lease} now." if device.lease else "It holds no lease now."
    return Screen(
        template="confirm.html",
        title=f"{label} {name}",
        heading=f"{label} {name}",
        twin=f"podium device {VERBS[mark]} {device.id}",
        crumbs=(*CRUMBS, (f"/fleet/{device.id}", name)),
        told={
            "effect": f"1 device: {name}. {effect}",
            "lines": [lease],
            "action": f"/fleet/{device.id}/mark",
            "back": f"/fleet/{device.id}",
            "kept": (("mark", mark),),
            "choices": (),
            "shade": "bad" if shade else "warn",
            "label": label,
        },
    )


def heat_of(view: FleetView) -> Heat:
    """The heat map of a fleet: the commonest platforms, those beyond `PLATFORMS_SHOWN` in one row."""
    by_platform: dict[str, dict[str, int]] = {}
    for cell in view.cells:
        name = " · ".join(part for part in (cell.architecture, cell.os) if part) or "not told"
        if name not in by_platform and len(by_platform) >= PLATFORMS_SHOWN:
            name = "others"
        row = by_platform.setdefault(name, {})
        row[cell.state] = row.get(cell.state, 0) + cell.devices
    most = max((count for row in by_platform.values() for count in row.values()), default=0)
    rows = [
        Row(name, [Cell(row.get(state, 0), heat(row.get(state, 0), most)) for state in STATES], sum(row.values()))
        for name, row in by_platform.items()
    ]
    platforms = f"{len(by_platform)} platform{'s' if len(by_platform) != 1 else ''}"
    return Heat(
        title="Architecture and system by state",
        text=f"{view.devices:,} devices on {platforms}",
        axis="Platform",
        columns=STATES,
        rows=rows,
    )


def heat(devices: int, most: int) -> int:
    """How dark a cell is, 0 (nobody) to `HEATS` (as many as anywhere)."""
    return 0 if devices == 0 else max(1, round(HEATS * devices / most))
