"""Podium: a federated learning orchestration plane. Decides who trains, when, and on which version.

The names below are loaded when they are first used, so that a device does not load what only a plane needs.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.device import Device as Device
    from podium.device.plan import PlanConfig as PlanConfig
    from podium.device.plan import Progress as Progress
    from podium.device.plan import Result as Result
    from podium.plane import Plane as Plane
    from podium.plane import RoundSealed as RoundSealed
    from podium.plane import Run as Run
    from podium.plane import RunEnded as RunEnded
    from podium.plane import RunMoved as RunMoved
    from podium.plane.simulation import simulate as simulate
    from podium.plane.terms import Abort as Abort
    from podium.plane.terms import Budgets as Budgets
    from podium.plane.terms import Fairness as Fairness
    from podium.plane.terms import FedAvg as FedAvg
    from podium.plane.terms import Model as Model
    from podium.plane.terms import Ramp as Ramp
    from podium.plane.terms import Round as Round
    from podium.plane.terms import Select as Select
    from podium.plane.terms import Task as Task

    __version__: str

_HOMES = {
    "Device": "podium.device",
    "PlanConfig": "podium.device.plan",
    "Progress": "podium.device.plan",
    "Result": "podium.device.plan",
    "Plane": "podium.plane",
    "RoundSealed": "podium.plane",
    "Run": "podium.plane",
    "RunEnded": "podium.plane",
    "RunMoved": "podium.plane",
    "simulate": "podium.plane.simulation",
    "Abort": "podium.plane.terms",
    "Budgets": "podium.plane.terms",
    "Fairness": "podium.plane.terms",
    "FedAvg": "podium.plane.terms",
    "Model": "podium.plane.terms",
    "Ramp": "podium.plane.terms",
    "Round": "podium.plane.terms",
    "Select": "podium.plane.terms",
    "Task": "podium.plane.terms",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("podium")
    except PackageNotFoundError:
        return "dev"
