"""The funnel of a round: from every enrolled device to those whose update counts, each device once.

Decides: the furthest stage that each device reached, and what keeps it from the next; so stages never grow, and what
is left at one plus the next is the stage itself. Never: which cause binds (explain.py). Reads only.
Limits: columns over the fleet, and a look at each lease of the round.
"""

import numpy as np

from podium.core.rows import LeaseRow
from podium.core.selection.eligible import CLAUSE
from podium.core.views import holdups
from podium.core.views.causes import CAUSES, sentence
from podium.core.views.evidence import Found, code_of
from podium.core.views.holdups import HoldUps, Look
from podium.wire.explained import Left, Stage

STAGES: dict[str, str] = {
    "registered": "enrolled",
    "eligible": "neither barred nor resting, and as far as is known it has the plan, the data and what is required",
    "connected": "heard within the return window, or at work",
    "checked in": "asked in this round",
    "leased": "given a lease of this round",
    "training": "accepted the lease",
    "reported": "its update was stored",
    "accepted": "its update counts",
}
"""Stage -> what a device must have done, besides all before; by number."""
NUMBER = {name: number for number, name in enumerate(STAGES)}
_STAYS = {"not-connected": "eligible", "not-checked-in": "connected", "at-work-elsewhere": "connected"}
"""A hold-up's code -> the last stage of the devices it holds; one not named here holds `registered` ones."""
_ASKED = ("returning", "tries-spent")
_WAITS = {"OFFERED": "is offered", "HELD": "at work", "REPORTED": "being checked"}
_SERVED = ("reserved", "a seat is kept for it")


def funnel(look: Look, held: HoldUps, found: list[Found]) -> list[Stage]:
    """The stages of `look`'s round and devices; `found`: the causes of `held`, with what fills their steps."""
    codes = {number: code_of(look, number) for number in held.counts()}
    stays = {-1: NUMBER["checked in"]} | {number: _stage(code) for number, code in codes.items()}
    leases = _leases(look)
    free = np.ones(look.size, np.bool_)
    free[list(leases)] = False
    counts = np.zeros(len(STAGES), np.int64)
    left: list[list[Left]] = [[] for _ in STAGES]
    steps = {int(str(each.facts["number"])): each for each in found if "number" in each.facts}
    for number, stage in stays.items():
        count = int(np.count_nonzero(free & (held.first == number)))
        if count:
            counts[stage] += count
            left[stage].append(_held(look, number, codes.get(number, ""), count, steps.get(number)))
    for (stage, state, reason), count in _ends(leases).items():
        counts[stage] += count
        if state != "ACCEPTED":
            left[stage].append(_lost(state, reason, count))
    reached = np.cumsum(counts[::-1])[::-1].tolist()
    return [
        Stage(name=name, means=STAGES[name], devices=reached[place], left=sorted(left[place], key=lambda e: -e.devices))
        for place, name in enumerate(STAGES)
    ]


def _stage(code: str) -> int:
    if code.startswith("when") or code in _ASKED:
        return NUMBER["checked in"]
    return NUMBER[_STAYS.get(code, "registered")]


def _leases(look: Look) -> dict[int, LeaseRow]:
    """Place in `look` -> the lease of that device which got furthest; the last of several."""
    start, stop, _ = look.pick.indices(look.state.fleet.size)
    every: dict[int, LeaseRow] = {}
    for lease in look.work.leases.values():
        number = look.state.device_number(lease.device)
        if start <= number < stop:
            before = every.get(number - start)
            if before is None or _depth(lease) >= _depth(before):
                every[number - start] = lease
    return every


def _depth(lease: LeaseRow) -> int:
    if lease.state == "ACCEPTED":
        return NUMBER["accepted"]
    if lease.reported_ms >= 0:
        return NUMBER["reported"]
    return NUMBER["training" if lease.held_ms >= 0 else "leased"]


def _ends(leases: dict[int, LeaseRow]) -> dict[tuple[int, str, str], int]:
    ends: dict[tuple[int, str, str], int] = {}
    for lease in leases.values():
        key = (_depth(lease), lease.state, lease.reason)
        ends[key] = ends.get(key, 0) + 1
    return ends


def _held(look: Look, number: int, code: str, count: int, found: Found | None) -> Left:
    """What a hold-up leaves; a device that counts already waits for the round's start."""
    if not code:
        return Left(code=_SERVED[0], what=_SERVED[1], devices=count, change="")
    what = holdups.clause_of(look, number) if number >= CLAUSE else CAUSES[code].title
    steps = [sentence(step, found.facts) for step in CAUSES[code].next] if found else []
    return Left(code=code, what=what, devices=count, change=next((step for step in steps if step), ""))


def _lost(state: str, reason: str, count: int) -> Left:
    word = _WAITS.get(state, "")
    return Left(code=state.lower(), what=word or reason, devices=count, change="" if word else _CHANGES.get(state, ""))


_CHANGES = {
    "LAPSED": "a longer round.stall, if its devices are slow rather than gone",
    "FAILED": "podium device list    # its last failure; then podium device logs DEVICE",
    "REFUSED": "podium device logs DEVICE    # what was refused, and the bounds of [aggregate]",
    "DECLINED": "it is the device's own word: wait, or ask less of it with select.when",
    "INCOMPATIBLE": "bring the agent and the plan on it up to date",
}
