"""Check-ins become columns here: the gateway appends, the loop takes the batch.

Decides: how telemetry that a device did not tell is written in a column (NaN, -1). Never: when a batch is taken.
Limit: the loop keeps at most `batch_rows_max` rows in one batch.
"""

import numpy as np

from podium.core.events import CheckedIn, Telemetry
from podium.wire.messages import CheckIn

_NAN = float("nan")


def _flag(value: bool | None) -> int:
    return -1 if value is None else int(value)


class CheckinBatch:
    """Rows of check-ins in order of arrival, as plain lists until they are taken."""

    def __init__(self) -> None:
        self.tickets: list[int] = []
        self._device: list[int] = []
        self._epoch: list[int] = []
        self._flags: list[tuple[int, int]] = []
        self._floats: list[tuple[float, float, float, float]] = []

    def __len__(self) -> int:
        return len(self.tickets)

    def add(self, ticket: int, device: int, epoch: int, told: CheckIn) -> None:
        """Append one row: the waiting request's `ticket`, the device's number and session epoch, what it told."""
        self.tickets.append(ticket)
        self._device.append(device)
        self._epoch.append(epoch)
        self._flags.append((_flag(told.charging), _flag(told.metered)))
        self._floats.append(
            (
                _NAN if told.battery is None else told.battery,
                _NAN if told.ram_free_mb is None else told.ram_free_mb,
                _NAN if told.disk_free_mb is None else told.disk_free_mb,
                _NAN if told.thermal_c is None else told.thermal_c,
            )
        )

    def event(self, at_ms: int) -> CheckedIn:
        """All rows as one event at `at_ms` (every row carries that time: the batch is decided at one moment)."""
        count = len(self.tickets)
        flags = np.array(self._flags, dtype=np.int8).reshape(count, 2)
        floats = np.array(self._floats, dtype=np.float32).reshape(count, 4)
        return CheckedIn(
            at_ms=at_ms,
            at=np.full(count, at_ms, dtype=np.int64),
            device=np.array(self._device, dtype=np.int64),
            epoch=np.array(self._epoch, dtype=np.int64),
            ticket=np.array(self.tickets, dtype=np.int64),
            telemetry=Telemetry(
                battery=np.ascontiguousarray(floats[:, 0]),
                charging=np.ascontiguousarray(flags[:, 0]),
                metered=np.ascontiguousarray(flags[:, 1]),
                ram_free_mb=np.ascontiguousarray(floats[:, 1]),
                disk_free_mb=np.ascontiguousarray(floats[:, 2]),
                thermal_c=np.ascontiguousarray(floats[:, 3]),
            ),
        )
