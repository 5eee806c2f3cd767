"""Why a run stands still by somebody's word: the plane is frozen, or the run is paused; since when, by whom and why.

Decides: how that is said on the watch screen, in the status and above the fleet. Never: freezes or pauses.
Limits: the plane is asked who it was once for each change, not at every look.
"""

import time
from typing import TYPE_CHECKING

import msgspec

from podium.cli.advice import advised
from podium.cli.output import printable
from podium.wire.durations import format_duration
from podium.wire.operator import PAUSES, EntryView, FreezeView, RunView, StatusView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

PLANE = "plane"


def frozen_text(freeze: FreezeView) -> str:
    """The line for a frozen plane; "" if it is not."""
    if not freeze.frozen:
        return ""
    why = f": {printable(freeze.why)}" if freeze.why else ""
    since = format_duration(freeze.age_ms)
    return f"FROZEN   for {since} by {freeze.actor}{why}; no lease is granted until {advised('podium unfreeze')}"


def paused_text(view: RunView, entry: EntryView | None = None) -> str:
    """The line for a paused run, or one about to be; "" for any other. `entry`: the journal's of it, if it is known."""
    if view.state not in PAUSES:
        return ""
    by = f" by {entry.actor}" if entry is not None else ""
    if entry is not None and entry.why.get("reason"):
        by += f": {printable(entry.why['reason'])}"
    if view.state == "PAUSING":
        return f"PAUSING  after its present round{by}"
    since = f" for {format_duration(view.paused_ms)}" if view.paused_ms >= 0 else ""
    return f"PAUSED  {since}{by}; its deadlines stand still until {advised(f'podium resume {view.id}')}"


def plane_lines(seen: StatusView) -> list[str]:
    """What is said above any list of the plane: that it is frozen, and which of its runs are paused."""
    told = [f"run {view.id} ({view.task}) {paused}" for view in seen.runs if (paused := paused_text(view))]
    frozen = frozen_text(seen.freeze)
    return [frozen, *told] if frozen else told


class Standing:
    """What stands still on one plane, remembered between two looks."""

    def __init__(self, link: "OperatorLink") -> None:
        self._link = link
        self._freeze: FreezeView | None = None
        self._asked_s = 0.0
        self._pauses: dict[str, tuple[str, EntryView | None]] = {}

    def lines(self, view: RunView) -> list[str]:
        """What is to be said above `view`: nothing, one line or two. Asks the plane when that changes."""
        told = [self._frozen(view), self._paused(view)]
        return [line for line in told if line]

    def _frozen(self, view: RunView) -> str:
        if not view.frozen:
            self._freeze = None
            return ""
        if self._freeze is None:
            self._freeze, self._asked_s = _freeze_of(self._link), time.monotonic()
        age_ms = self._freeze.age_ms + round((time.monotonic() - self._asked_s) * 1000)
        return frozen_text(msgspec.structs.replace(self._freeze, age_ms=age_ms))

    def _paused(self, view: RunView) -> str:
        if view.state not in PAUSES:
            self._pauses.pop(view.id, None)
            return ""
        if self._pauses.get(view.id, ("", None))[0] != view.state:
            self._pauses[view.id] = (view.state, _pause_of(self._link, view))
        return paused_text(view, self._pauses[view.id][1])


def _freeze_of(link: "OperatorLink") -> FreezeView:
    """Who froze the plane and when; nobody, just now, if the plane does not say: a watch does not end of that."""
    try:
        return link.status().freeze
    except OperatorFault as error:
        return FreezeView(frozen=True, why=f"{error.code} when asked", actor="somebody", age_ms=0)


def _pause_of(link: "OperatorLink", view: RunView) -> EntryView | None:
    """Who let the run of `view` rest, as the journal has it; None if it, or this credential, does not say."""
    try:
        for kind in PAUSES[view.state]:
            newest = link.first_of("audit/entries", EntryView, 1, subject=view.id, kind=kind)
            if newest and newest[0].actor != PLANE:
                return newest[0]
    except OperatorFault:
        return None
    return None
