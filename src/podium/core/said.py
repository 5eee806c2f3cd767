"""What a device tells about its lease, in the past tense: the rows of `LeasesTold` (events.py).

Decides: what the core is told. Never: what follows (rounds/leases.py). Each carries its own `at_ms`, and the `ticket`
of the request that waits for its answer.
"""

import msgspec

MetricSums = dict[str, tuple[float, float]]
"""Metric name -> (numerator, denominator), so that metrics add up like updates."""


class LeaseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a device tells about its lease."""

    at_ms: int
    ticket: int
    device: int
    epoch: int
    lease: str


class LeaseAccepted(LeaseMessage, frozen=True, kw_only=True):
    """The device takes the offer."""


class LeaseDeclined(LeaseMessage, frozen=True, kw_only=True):
    """The device does not; `reason` is battery, metered, thermal, schedule, busy or private; or, with
    `incompatible`, why it cannot run the plan or the variant."""

    reason: str
    incompatible: bool = False


class LeaseProgressed(LeaseMessage, frozen=True, kw_only=True):
    """The work moved: `done` of `total` steps, `moved` bytes either way. Both only grow."""

    done: int
    total: int
    moved_bytes: int


class LeaseFailed(LeaseMessage, frozen=True, kw_only=True):
    """The plan raised on the device; `detail` is its bounded traceback."""

    code: str
    detail: str


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one lease that the door saw move one way, and in how many ms; 0 ms: it was not timed."""

    bytes: int = 0
    ms: int = 0


class LeaseReported(LeaseMessage, frozen=True, kw_only=True):
    """An authentic report; the gateway has checked signature, digest, base, task and sizes against the row."""

    report: str  # base64url canonical bytes
    signature: str
    upload_bytes: int
    weight: float
    metrics: MetricSums
    downloaded: Transfer = Transfer()
    uploaded: Transfer = Transfer()
