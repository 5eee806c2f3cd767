"""The device agent and SDK: enrols, trains what it verifies, sends what it made. Never imports core or server.

The names below are loaded when they are first used: who wants the link alone does not load the agent.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.device.agent import Device as Device
    from podium.device.agent import Outcome as Outcome
    from podium.device.data_facts import Described as Described
    from podium.device.data_facts import Quality as Quality
    from podium.device.probes import Facts as Facts
    from podium.device.probes import GivenProbes as GivenProbes
    from podium.device.probes import Machine as Machine
    from podium.device.probes import OwnLimits as OwnLimits
    from podium.device.probes import Probes as Probes
    from podium.device.probes import SystemProbes as SystemProbes

_HOMES = {"Device": "podium.device.agent", "Outcome": "podium.device.agent"}
_HOMES |= {"Described": "podium.device.data_facts", "Quality": "podium.device.data_facts"}
_PROBES = ("Facts", "GivenProbes", "Machine", "OwnLimits", "Probes", "SystemProbes")
_HOMES |= dict.fromkeys(_PROBES, "podium.device.probes")

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
