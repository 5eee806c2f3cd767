"""The device agent and SDK: enrols, trains what it verifies, sends what it made. Never imports core or server."""

from podium.device.agent import Device, Outcome
from podium.device.probes import Facts, GivenProbes, Machine, OwnLimits, Probes, SystemProbes

__all__ = ["Device", "Facts", "GivenProbes", "Machine", "Outcome", "OwnLimits", "Probes", "SystemProbes"]
