"""Which phase of the round and of the conversation each kill fell into, derived from the traces afterwards."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from tests.e2e.kills.killing import Death, Trial
from tests.e2e.kills.tracing import Line, read_trace

ROUND = ("FORMING", "REPORTING", "AGGREGATING")
TALK = ("enrol", "session", "checkin", "accept", "fetch", "progress", "upload", "report")
HOW = {"plane": ("clock", "before", "after", "before-request", "after-request"), "device": ("clock", "before", "after")}
"""By the clock, or by fuse: before or after the plane's transaction became durable, before or after the plane answered
a request, before or after a device's request was answered."""

Hits = Counter[tuple[str, str]]
"""("plane" or "device", phase) -> kills."""


def hits_of(trial: Trial) -> Hits:
    """The phases that each kill of a trial fell into."""
    rounds = _round_phases(read_trace(trial.plane.trace))
    talks = {device.name: _talks(read_trace(device.trace), device.deaths) for device in trial.devices}
    hits: Hits = Counter()
    for death in trial.deaths:
        kind = "plane" if death.who == "plane" else "device"
        under_way = talks.values() if kind == "plane" else [talks[death.who]]
        phases = {_at(talk, death.at_ns) for talk in under_way}
        phases.add(_at(rounds, death.at_ns))
        hits[kind, death.how.partition(" ")[0]] += 1
        hits.update((kind, phase) for phase in phases if phase)
    return hits


def _at(moments: list[tuple[int, str]], at_ns: int) -> str:
    """What held just before `at_ns`, or from then on if it began at that very moment."""
    place = bisect_right(moments, at_ns, key=lambda moment: moment[0])
    return moments[place - 1][1] if place else ""


def _round_phases(lines: list[Line]) -> list[tuple[int, str]]:
    """(from when, state of the oldest open round); a later one forms meanwhile."""
    states: dict[int, str] = {}
    moments: list[tuple[int, str]] = []
    for line in lines:
        if line.word != "durable":
            continue
        for told in line.detail.split():
            name, _, state = told.partition("=")
            states[int(name.rpartition(".")[2])] = state
        open_rounds = [number for number, state in states.items() if state in ROUND]
        moments.append((line.at_ns, states[min(open_rounds)] if open_rounds else ""))
    return moments


def _talks(lines: list[Line], deaths: Iterable[Death]) -> list[tuple[int, str]]:
    """(from when, the request under way); a death ends what was under way, but belongs to it itself."""
    moments = [(line.at_ns, line.detail) for line in lines if line.word == "begin"]
    moments += [(line.at_ns, "") for line in lines if line.word in ("end", "life")]
    moments += [(death.at_ns + 1, "") for death in deaths]
    return sorted(moments)


def missing(hits: Hits) -> list[tuple[str, str]]:
    """The cells that no kill fell into."""
    return [(kind, name) for kind, how in HOW.items() for name in (*how, *ROUND, *TALK) if not hits[kind, name]]


def table(hits: Hits) -> str:
    """The hits as text."""
    names = (*HOW["plane"], *ROUND, *TALK)
    lines = [f"{'':16}{'plane':>8}{'device':>8}"]
    lines += [f"{name:16}{hits['plane', name]:8}{hits['device', name]:8}" for name in names]
    return "\n".join(lines)
