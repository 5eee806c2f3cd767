"""What devices tell becomes columns here: the gateway appends check-ins, the loop takes the batch.

Decides: how what a device did not tell is written in a column (NaN, -1). Never: when a batch is taken.
Limit: the loop keeps at most `batch_rows_max` rows in one batch.
"""

import numpy as np

from podium.core.events import CheckedIn, SessionsOpened
from podium.core.fleet.telemetry import LEVELS, QUALITIES, SWITCHES, DataFacts, Telemetry
from podium.wire.canonical import parse_decimal
from podium.wire.messages import Capabilities, CheckIn

_NAN = float("nan")


def _flag(value: bool | None) -> int:
    return -1 if value is None else int(value)


def _level(value: float | None) -> float:
    return _NAN if value is None else value


def _signed(text: str | None) -> float:
    return _NAN if text is None else parse_decimal(text)


class CheckinBatch:
    """Rows of check-ins in order of arrival, as plain lists until they are taken."""

    def __init__(self) -> None:
        self.tickets: list[int] = []
        self._device: list[int] = []
        self._epoch: list[int] = []
        self._flags: list[tuple[int, int]] = []
        self._floats: list[list[float]] = []

    def __len__(self) -> int:
        return len(self.tickets)

    def add(self, ticket: int, device: int, epoch: int, told: CheckIn) -> None:
        """Append one row: the waiting request's `ticket`, the device's number and session epoch, what it told."""
        self.tickets.append(ticket)
        self._device.append(device)
        self._epoch.append(epoch)
        self._flags.append((_flag(told.charging), _flag(told.metered)))
        self._floats.append([_level(getattr(told, name)) for name in LEVELS])

    def event(self, at_ms: int, queue: int) -> CheckedIn:
        """All rows as one event at `at_ms` (every row carries that time: the batch is decided at one moment).

        `queue`: how many requests wait for an answer.
        """
        count = len(self.tickets)
        flags = np.array(self._flags, dtype=np.int8).reshape(count, len(SWITCHES))
        floats = np.array(self._floats, dtype=np.float32).reshape(count, len(LEVELS))
        return CheckedIn(
            at_ms=at_ms,
            at=np.full(count, at_ms, dtype=np.int64),
            device=np.array(self._device, dtype=np.int64),
            epoch=np.array(self._epoch, dtype=np.int64),
            ticket=np.array(self.tickets, dtype=np.int64),
            queue=queue,
            telemetry=Telemetry(
                **dict(zip(LEVELS, np.ascontiguousarray(floats.T), strict=True)),
                **dict(zip(SWITCHES, np.ascontiguousarray(flags.T), strict=True)),
            ),
        )


def session_opened(at_ms: int, ticket: int, device: int, epoch: int, told: Capabilities) -> SessionsOpened:
    """One device's session as a batch of one; what it tells of its data goes into columns of its own."""
    data = DataFacts(
        examples={name: np.array([count], np.int32) for name, count in told.datasets.items()},
        **{name: np.array([_signed(getattr(told, name))], np.float32) for name in QUALITIES},
    )
    return SessionsOpened(
        at_ms=at_ms,
        at=np.array([at_ms]),
        device=np.array([device]),
        epoch=np.array([epoch]),
        ticket=np.array([ticket]),
        kind=np.zeros(1, np.int32),
        capabilities=(told,),
        data=data,
    )
