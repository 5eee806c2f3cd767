"""Strategies of the users' own: Python entry points of group `podium.strategies`, found by a plane and by a simulation.

Decides: which installed packages give a strategy, and whether it answers what a strategy is asked. Never: how a task
names or configures one (core/selection/strategies/registry.py). Limit: the code of an installed package is trusted like
this package's own; a strategy must be pure, or a replay and the simulator tell another story than the plane.
"""

from importlib.metadata import entry_points

from podium.core.selection.strategies.strategy import Maker
from podium.tasks.selecting import is_own
from podium.wire.problems import OperatorFault

GROUP = "podium.strategies"
_HAS = ("name", "groups", "nominate", "choose")


def load_strategies() -> dict[str, Maker]:
    """Name -> what makes the strategy from its options; empty if no package gives one.

    `OperatorFault(usage)` with the entry point's name: its name has no dot or is there twice, it cannot be imported,
    or it is no class with what a `Strategy` has.
    """
    makers: dict[str, Maker] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        if not is_own(point.name):
            raise _fault(point.name, 'a strategy of your own is named with a dot, such as "acme.nightly"')
        if point.name in makers:
            raise _fault(point.name, f"two packages give one of that name, {point.value} too")
        try:
            maker = point.load()
        except (ImportError, AttributeError) as error:
            raise _fault(point.name, f"{point.value} cannot be imported: {error}") from error
        lacks = [name for name in _HAS if not hasattr(maker, name)]
        if not isinstance(maker, type) or lacks:
            raise _fault(point.name, f"{point.value} is no class with {', '.join(lacks or _HAS)}")
        makers[point.name] = maker
    return makers


def _fault(name: str, why: str) -> OperatorFault:
    return OperatorFault("usage", what=f"the entry point {name} of {GROUP} gives no strategy", why=why)
