"""How fast bytes of a lease passed the door, each way: the plane's own measure of a device's line.

Decides: what is timed. A download runs from the request until the device tells progress that covers its bytes while no
step is done: bytes in the buffers on the way have not arrived. An upload is the time its chunks' bodies took to come.
Never: what follows (core/fleet/claims.py). What passed another gateway, or before this process began, was not timed.
Limits: the newest `LEASES_KEPT` leases.
"""

from collections import OrderedDict
from collections.abc import Callable

from podium.core.said import Transfer

LEASES_KEPT = 65_536


class _Timed:
    __slots__ = ("began_ms", "bytes", "download", "upload")

    def __init__(self) -> None:
        self.began_ms = -1
        self.bytes = 0
        self.download = Transfer()
        self.upload = Transfer()


class Transfers:
    """Transfers by lease. All times are the plane's own."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._leases: OrderedDict[str, _Timed] = OrderedDict()

    def sent(self, lease: str, count: int, began_ms: int) -> None:
        """`count` bytes that were asked for at `began_ms` were handed to the network, the last of them just now."""
        timed = self._of(lease)
        timed.began_ms, timed.bytes, timed.download = began_ms, count, Transfer()

    def told(self, lease: str, done: int, moved_bytes: int) -> None:
        """The device says how far it is: it has what was sent once it counts as many bytes."""
        timed = self._leases.get(lease)
        if timed is None or timed.began_ms < 0 or done > 0 or moved_bytes < timed.bytes:
            return
        timed.download = Transfer(bytes=timed.bytes, ms=self._now_ms() - timed.began_ms)
        timed.began_ms = -1

    def came(self, lease: str, count: int, began_ms: int) -> None:
        """`count` bytes came since `began_ms`."""
        timed = self._of(lease)
        before, took_ms = timed.upload, self._now_ms() - began_ms
        timed.upload = Transfer(bytes=before.bytes + count, ms=before.ms + took_ms)

    def of(self, lease: str) -> tuple[Transfer, Transfer]:
        """What was timed of the lease: down, up."""
        timed = self._leases.get(lease) or _Timed()
        return timed.download, timed.upload

    def _of(self, lease: str) -> _Timed:
        timed = self._leases.get(lease)
        if timed is None:
            timed = self._leases[lease] = _Timed()
            if len(self._leases) > LEASES_KEPT:
                self._leases.popitem(last=False)
        return timed
