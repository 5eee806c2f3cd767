"""Faults by name, and when each strikes: drawn from the seed, never chosen.

Decides: which faults a simulation has and how often each strikes. Rates are shares per opportunity, high enough that
every run of a few rounds meets each fault several times.
"""

import random

from podium.wire.problems import OperatorFault

RATES: dict[str, float] = {
    "lapse": 0.08,  # a device falls silent in the middle of its lease
    "decline": 0.04,  # it declines
    "fail": 0.02,  # its plan raises
    "duplicate": 0.10,  # a message arrives twice
    "reorder": 0.10,  # a message is overtaken by later ones
    "late": 0.05,  # a report comes after everybody else's
    "corrupt": 0.04,  # an update does not pass its content checks
    "clock-jump": 0.50,  # per crash: the clock jumps while the plane is down
    "crash": 0.004,  # per commit: the plane dies before it, or between it and its sends
    "pause": 0.004,  # per window: a person pauses the run, after its round or at once, and resumes it later
    "freeze": 0.004,  # per window: a person freezes the plane, with or without its leases, and unfreezes it later
    "cordon": 0.010,  # per window: a person cordons some devices, with or without their leases, for a while
    "gateway-dies": 0.010,  # per window, of several: a gateway is gone, its devices come to another one
    "gateway-deaf": 0.010,  # per window, of several: a gateway hears no more of the coordinator for a while
    "lost-ack": 0.004,  # per commit: the store applies it but its acknowledgement is lost, or it fails
}
ALL: frozenset[str] = frozenset(RATES)


def parse_faults(text: str) -> frozenset[str]:
    """ "all", "none" or a comma-separated list of names; `OperatorFault(usage)` names an unknown one."""
    if text in ("all", "none"):
        return ALL if text == "all" else frozenset()
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(names - ALL):
        raise OperatorFault("usage", what=f"fault {unknown[0]!r}", why=f"the faults are {', '.join(sorted(ALL))}")
    return names


class Faults:
    """Draws whether a fault strikes; one stream a simulation, so a seed gives the same faults again."""

    def __init__(self, names: frozenset[str], chance: random.Random) -> None:
        self.any = bool(names)
        self._names = names
        self._chance = chance
        self.struck: dict[str, int] = dict.fromkeys(sorted(names), 0)

    def strikes(self, name: str) -> bool:
        """Whether fault `name` strikes now; counted."""
        if name not in self._names or self._chance.random() >= RATES[name]:
            return False
        self.struck[name] += 1
        return True
