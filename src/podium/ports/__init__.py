"""Ports that both sides of the wire need: Clock, Entropy, Keys, Blobs. Protocols only; adapters live in `adapters/`."""

from collections.abc import Iterator
from typing import Protocol


class Clock(Protocol):
    """Time as the shell sees it."""

    def now_ms(self) -> int:
        """Milliseconds, never falling within one process, anchored at wall time when it started."""
        ...


class Entropy(Protocol):
    """The operating system's generator: keys, nonces, tokens. Never for fairness, jitter or simulation."""

    def token(self, count: int) -> bytes:
        """`count` secret random bytes."""
        ...


class Keys(Protocol):
    """An erasable place for private keys, outside the database, the blobs and every backup."""

    def put(self, name: str, secret: bytes) -> None:
        """Keep `secret` durably under `name`; a name holds one secret for ever (`Bug` on another)."""
        ...

    def get(self, name: str) -> bytes:
        """The secret, or `StoreFault(key-erased)`."""
        ...

    def erase(self, name: str) -> None:
        """Make the secret unreadable for good; erasing what is not there is no error."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The names that start with `prefix`, sorted."""
        ...


class Blobs(Protocol):
    """Immutable bytes by content, and uploads as lists of chunk objects. What a call acknowledged survives a crash."""

    def put(self, data: bytes) -> str:
        """Keep `data` durably; its digest "sha256:<hex>". Putting it again changes nothing."""
        ...

    def get(self, digest: str) -> bytes:
        """All bytes; `StoreFault(store-corrupt)` if they do not match, `DeviceFault(not-found)` if absent."""
        ...

    def read(self, digest: str, start: int, end: int) -> bytes:
        """Bytes [start, end); unchecked, for ranges. `DeviceFault(not-found | range-invalid)`."""
        ...

    def size(self, digest: str) -> int:
        """Length in bytes; `DeviceFault(not-found)` if absent."""
        ...

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every blob as (digest, age in ms)."""
        ...

    def delete(self, digest: str) -> None:
        """Remove a blob; removing what is not there is no error."""
        ...

    def append(self, upload: str, offset: int, chunk: bytes) -> int:
        """Keep `chunk` at `offset` of `upload` durably; the new durable length.

        Repeating a kept chunk changes nothing; `DeviceFault(offset-wrong)` when `offset` is neither the durable
        length nor that of a kept chunk, `DeviceFault(conflicting-repeat)` on other bytes at a kept offset.
        """
        ...

    def length(self, upload: str) -> int:
        """Durable length of an upload, derived from its chunk list; 0 if there is none."""
        ...

    def chunks(self, upload: str) -> Iterator[bytes]:
        """The chunks of an upload in order."""
        ...

    def discard(self, upload: str) -> None:
        """Drop an upload; dropping what is not there is no error."""
        ...

    def uploads(self) -> list[str]:
        """The names of all uploads, sorted."""
        ...
