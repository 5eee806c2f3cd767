"""The conditions of a device: what holds of it now, what does not, why, and since when.

Decides: which conditions there are and their reasons. Never: what follows from one (explain.py), nor whether a device
is selected. Reads only. A condition whose beginning the plane did not see says so: -1.
"""

from collections.abc import Iterator

import numpy as np

from podium.core.fleet.claims import CLAIMS
from podium.core.fleet.columns import NEVER
from podium.core.rows import DeviceRow
from podium.core.selection.eligible import CLAUSE
from podium.core.selection.reasons import CODE, REASONS
from podium.core.state import State
from podium.core.views.evidence import Facts, Found
from podium.core.views.runs import ONLINE_MS
from podium.wire.durations import format_duration
from podium.wire.operator import Condition

_FITS = ("offered", "reserved", "full")


def conditions_of(state: State, row: DeviceRow, now_ms: int) -> list[Condition]:
    """Every condition of a device, those of the device as a whole first, then its eligibility by open round."""
    return [
        _enabled(row, now_ms),
        *_connected(state, row.number, now_ms),
        _at_work(state, row.number, now_ms),
        _claims_hold(state, row.number, now_ms),
        *_eligible(state, row.number, now_ms),
    ]


def besides(state: State, row: DeviceRow, now_ms: int, facts: Facts) -> list[Found]:
    """Causes that by themselves hold it from nothing: its last failure, claims that the plane measured otherwise."""
    found = [Found("failed-last", 0, facts)] if row.failure else []
    claims = _claims_hold(state, row.number, now_ms)
    if not claims.holds:
        age = format_duration(claims.since_age_ms)
        found.append(Found("claims-contradicted", 1, {**facts, "age": age, "held": claims.about}))
    return found


def _enabled(row: DeviceRow, now_ms: int) -> Condition:
    """Whether a person lets it have leases."""
    holds = row.state == "active"
    since = _age(row.marked_ms if row.marked_ms >= 0 else row.enrolled_ms, now_ms)
    return Condition(name="enabled", holds=holds, reason=row.state, since_age_ms=since, about=row.marked_why)


def _connected(state: State, device: int, now_ms: int) -> Iterator[Condition]:
    """Whether it has a session here, and whether it was heard of late."""
    fleet = state.fleet
    begun, seen = int(fleet.session_ms[device]), int(fleet.seen_ms[device])
    held = int(fleet.facts_id[device]) != NEVER
    about = f"epoch {int(fleet.epoch[device])}" if held else ""
    since = _age(begun, now_ms) if held else NEVER
    yield Condition(name="session", holds=held, reason="open" if held else "none", since_age_ms=since, about=about)
    online = seen != NEVER and seen >= now_ms - ONLINE_MS
    reason = "heard" if online else "silent" if seen != NEVER else "never-heard"
    yield Condition(name="online", holds=online, reason=reason, since_age_ms=since if online else _age(seen, now_ms))


def _at_work(state: State, device: int, now_ms: int) -> Condition:
    lease = state.leases.get(state.live_lease.get(device, ""))
    if lease is None:
        return Condition(name="at-work", holds=False, reason="no-lease")
    since = lease.held_ms if lease.state == "HELD" else lease.granted_ms
    return Condition(
        name="at-work", holds=True, reason=lease.state.lower(), since_age_ms=_age(since, now_ms), about=lease.id
    )


def _claims_hold(state: State, device: int, now_ms: int) -> Condition:
    """Whether what it last told of its line fits what was measured, and what it counts as if not."""
    names, since = state.claims.doubt(device)
    if not names:
        return Condition(name="claims-hold", holds=True, reason="not-contradicted")
    told, measured = state.fleet.telemetry, dict(zip(CLAIMS, state.claims.of(device), strict=True))
    about = ", ".join(
        f"{name} counts as {float(getattr(told, name)[device]):.4g} ({_word(name)} {measured[name]:.4g})"
        for name in names
    )
    return Condition(
        name="claims-hold", holds=False, reason="claim-contradicted", since_age_ms=_age(since, now_ms), about=about
    )


def _word(name: str) -> str:
    return "answered after, in ms," if name == "latency_ms" else "measured"


def _eligible(state: State, device: int, now_ms: int) -> Iterator[Condition]:
    """What each open round said of it at its last check-in, if it was looked at since the round opened."""
    since = _age(int(state.fleet.seen_ms[device]), now_ms)
    for (run, number), work in sorted(state.open.items()):
        code = int(work.reason[device]) if device < len(work.reason) else -1
        if code < 0:
            continue
        reason, about = _reason(state, run, code)
        yield Condition(
            name="eligible",
            holds=reason in _FITS,
            reason=reason,
            since_age_ms=since,
            about=f"round {run}.{number}{': ' if about else ''}{about}",
        )


def _reason(state: State, run: str, code: int) -> tuple[str, str]:
    """The closed reason of a round's `code`, and the clause that it names."""
    if code < CLAUSE:
        return REASONS[code], ""
    rules = state.eligibility_of(state.task_of(run))
    clause, unknown = divmod(code - CLAUSE, 2)
    text = [*rules.requires.clauses, *rules.when.clauses][clause]
    hard = clause < len(rules.requires.clauses)
    return REASONS[CODE["unknown-fact" if unknown else "requires" if hard else "when"]], text


def _age(at_ms: int | np.integer, now_ms: int) -> int:
    return now_ms - int(at_ms) if at_ms >= 0 else -1
