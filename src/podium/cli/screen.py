"""The watch screen: a run as a few lines of text.

Decides: what stands on each line, and which changes are worth a line of their own where nothing can be redrawn.
Never: asks a plane. Layout: docs/reference/cli.md ("watch").
"""

from collections import defaultdict
from collections.abc import Sequence

from podium.cli.output import count_of_bytes, decimals
from podium.wire.durations import format_duration
from podium.wire.operator import RUN_OPEN, RoundView, RunView, Wait

_BAR = 36
_HISTORY = 6
_WHY = {
    "kind": "without the plan",
    "dataset": "without the datasets or enough examples",
    "separation": "that took part too recently",
    "round-done": "that took part in this round already",
    "site": "of another population",
    "epoch": "that need a new session",
    "spent": "that took part as often as they may",
    "budget": "that spent what they may on this task",
    "backoff": "left alone after losing lease after lease",
    "region": "in none of the task's regions",
    "privacy": "of a run whose privacy budget is spent",
}
"""Reason codes of core/selection/reasons.py that a count of devices reads badly with."""


def screen(view: RunView, stands: Sequence[str] = ()) -> list[str]:
    """The lines of the redrawn screen; `stands`: why it stands still (standing.py), below the head."""
    lines = [_head(view), *(f" {each}" for each in stands)]
    if view.round is not None:
        lines += _round(view.round)
    if view.waiting is not None and view.waiting.since_ms >= SHORT_MS:
        lines.append(f" waits    {wait_text(view.waiting)}")
    lines += [*_measured(view), f" bytes    down {count_of_bytes(view.bytes_down)}  up {count_of_bytes(view.bytes_up)}"]
    return [line for line in lines if line]


def _head(view: RunView) -> str:
    base = f"v{view.version_number}"
    moving = f" -> v{view.version_number + 1}" if view.state in RUN_OPEN and view.kind == "train" else ""
    eta = ""
    if view.state in RUN_OPEN and view.rounds_sealed:
        left = view.elapsed_ms * (view.rounds - view.rounds_sealed) // view.rounds_sealed
        eta = f"  eta {format_duration(left)}"
    reason = f" ({view.reason})" if view.reason else ""
    return (
        f"{view.task}  run {view.id}  {view.state}{reason}  round {round_now(view)}/{view.rounds}"
        f"  {base}{moving}   elapsed {format_duration(view.elapsed_ms)}{eta}"
    )


def round_now(view: RunView) -> int:
    """The round at work, counted in sealed rounds: an abandoned one is tried again under the same number."""
    return min(view.rounds, view.rounds_sealed + 1) if view.state in RUN_OPEN else view.rounds_sealed


def _round(now: RoundView) -> list[str]:
    reported = now.leases.get("reported", 0)
    done = min(_BAR, _BAR * reported // max(1, now.goal))
    until = f", deadline {format_duration(now.left_ms)}" if now.left_ms >= 0 else ""
    leases = "  ".join(f"{stage} {count:,}" for stage, count in now.leases.items())
    return [
        f" reported [{'#' * done}{'-' * (_BAR - done)}]  {reported:,}/{now.goal:,}   {now.state.lower()}, "
        f"goal {now.goal:,}, minimum {now.minimum:,}{until}",
        f" leases   {leases}{asked_text(now)}",
        f" lost     {lost_text(now.lost)}" if now.lost else "",
    ]


def asked_text(now: RoundView) -> str:
    """Why a round asks more devices than it needs; "" if it does not."""
    if now.asked <= now.goal:
        return ""
    why = f": {now.loss_rate:.1%} of such leases are lost" if now.loss_rate >= 0 else ""
    return f"  (asks {now.asked:,} for {now.goal:,}{why})"


def lost_text(lost: dict[str, int]) -> str:
    """ "DECLINED:battery" -> 44 and so on, as "declined 61 (battery 44, metered 17)  lapsed 38"."""
    reasons: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, count in lost.items():
        state, _, reason = name.partition(":")
        reasons[state.lower()][reason] = count
    parts = []
    for state, by_reason in reasons.items():
        named = ", ".join(f"{reason} {count}" for reason, count in by_reason.items() if reason)
        parts.append(f"{state} {sum(by_reason.values())}" + (f" ({named})" if named else ""))
    return "  ".join(parts)


def wait_text(wait: Wait) -> str:
    """What is waited for, have of need, why it is short, since when and until when."""
    why = ", ".join(f"{count} {_WHY.get(reason, reason)}" for reason, count in wait.why.items() if count)
    until = f", gives up in {format_duration(wait.left_ms)}" if wait.left_ms >= 0 else ""
    reasons = f" ({why})" if why else ""
    return f"{wait.what}: {wait.have} of {wait.need}{reasons}, for {format_duration(wait.since_ms)}{until}"


def _measured(view: RunView) -> list[str]:
    """A line for each metric, so that none runs off a terminal's edge."""
    series = [
        f" {name:8} {' '.join(decimals(value) for value in values[-_HISTORY:])}"
        for name, values in sorted(view.history.items())
        if values
    ]
    if series:
        series[-1] += f" ({_of(view)})"
    return series


def _of(view: RunView) -> str:
    """Which version was measured last: a round measures the one that it begins with."""
    return f"measured on v{view.measured_number}"


def line(view: RunView) -> str:
    """The run as one line, for a pipe."""
    parts = [
        f"{format_duration(view.elapsed_ms)} {view.task} run {view.id} {view.state}",
        f"round {round_now(view)}/{view.rounds}",
        f"sealed {view.rounds_sealed}",
        f"v{view.version_number}",
    ]
    if view.state in RUN_OPEN and view.round is not None:
        parts.append(f"reported {view.round.leases.get('reported', 0)}/{view.round.goal}")
    last = [f"{name} {decimals(values[-1])}" for name, values in sorted(view.history.items()) if values]
    parts += [*last, f"({_of(view)})"] if last else []
    if view.round is not None and view.round.lost:
        parts.append(f"lost: {lost_text(view.round.lost)}")
    if (wait := short_of(view)) is not None:
        parts.append(f"waits: {wait_text(wait)}")
    if view.frozen and view.state in RUN_OPEN:
        parts.append("FROZEN")
    if view.reason:
        parts.append(f"({view.reason})")
    return "  ".join(parts)


SHORT_MS = 2_000
"""A round that lacks devices for this long is said to be short of them."""


def short_of(view: RunView) -> Wait | None:
    """What the run has waited for long enough, having less than it needs, to be worth saying; None if nothing."""
    wait = view.waiting
    return wait if wait is not None and wait.have < wait.need and wait.since_ms >= SHORT_MS else None


def line_mark(view: RunView) -> str:
    """What must change for another line: the run's state, a freeze, its sealed rounds, what it is short of."""
    wait = short_of(view)
    shortfall = (wait.what, wait.have, wait.need) if wait is not None else ()
    return repr((view.state, view.frozen, view.rounds_sealed, shortfall))
