"""Ports that only the plane needs: Store, Engine, Metrics. Protocols only."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.effects import Step
from podium.core.events import Verdict
from podium.core.rows import AliasMoveRow, AnyRow, FactsChunk, LeaseRow
from podium.tasks.task import Task

Arrays = dict[str, NDArray[np.generic]]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the append-only history.

    `number`: 1-based, global. `step`: the step that wrote it. `place`: 0-based leaf index in `tree`, -1 while pending.
    `salt` (16 bytes) and `record` (canonical bytes) are b"" once erased; `leaf` stays.
    leaf = SHA-256(0x00 || salt || record), RFC 6962 section 2.1's leaf hash of salt || record.
    """

    number: int
    step: int
    tree: str
    place: int
    salt: bytes
    record: bytes
    leaf: bytes


class SignedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A signed head: canonical bytes of wire `Head`, the key id and the signature."""

    payload: bytes
    key_id: str
    signature: bytes


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a plane starts from. `rows` are read as they are asked for, a page at a time, each time anew: nothing may be
    committed meanwhile."""

    rows: Iterable[AnyRow]
    step: int  # last durable step number, 0 if none
    at_ms: int  # at_ms of that step, 0 if none


class Store(Protocol):
    """Current-state tables and the append-only history, in one place and one transaction.

    Called from one writer thread, except `load`, `last_ms`, `entries` and `heads`, which may be called from any.
    """

    def load(self) -> Loaded:
        """Every current row by table, in the order in which they came, and where the last durable step stood.

        Of leases whose round is over at least the newest `LEASES_REMEMBERED_MAX` (core/state.py).
        """
        ...

    def last_ms(self) -> int:
        """`at_ms` of the last durable step, 0 if none, without reading the rows."""
        ...

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        """Write whole steps, in order, in one transaction called `name`; `salts`: one per record, in order.

        Each record's rows replace the rows of the same key; its canonical bytes become a history entry with
        `place` -1. A lease row whose device already has another live lease is refused by the table itself.
        `StoreFault` (store-full, store-failed: nothing was written; store-unknown: it may have been).
        """
        ...

    def unplaced(self, limit: int) -> list[Entry]:
        """Up to `limit` entries without a place, by number."""
        ...

    def leaves(self, tree: str) -> list[bytes]:
        """The leaf hashes of `tree` in place order."""
        ...

    def place(self, entries: Sequence[tuple[int, int]], heads: Sequence[SignedHead]) -> None:
        """Give entries (number, place) their places and keep the new signed heads, in one transaction."""
        ...

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` history entries with number > `after`."""
        ...

    def trees(self) -> list[str]:
        """The trees that have a signed head, sorted."""
        ...

    def head(self, tree: str) -> SignedHead | None:
        """The newest signed head of `tree`."""
        ...

    def heads(self) -> list[SignedHead]:
        """Every signed head, oldest first."""
        ...

    def keep_facts(self, chunks: Sequence[FactsChunk]) -> None:
        """Keep `chunks` in place of those of their numbers; from any thread. `StoreFault`: none is."""
        ...

    def facts(self) -> Iterator[FactsChunk]:
        """The chunks kept, by number, one at a time; whoever takes them judges them. `StoreFault`."""
        ...

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value of the plane itself under `name`, in place of the one before; from any thread."""
        ...

    def close(self) -> None:
        """Release files; the store is then unusable."""
        ...


class RoundWork(msgspec.Struct, frozen=True, kw_only=True):
    """What the aggregation role needs to know of an open round, or to judge an update for it.

    `base` is a blob digest, `key_id` a Keys name: an update's are those of its lease, which an older round granted if
    the task is buffered.
    """

    run: str
    round: int
    base: str
    task: Task
    key_id: str


class Engine(Protocol):
    """The aggregation role: opens, checks and adds stored updates; holds one sum per open round.

    All calls come from one thread. Everything is idempotent by lease, and exact: the order of adds changes no bit.
    It reads base versions from Blobs and upload keys from Keys, both given to the adapter when it is made.
    """

    def judge(self, work: RoundWork, lease: LeaseRow, sealed: Iterator[bytes]) -> Verdict:
        """Open `sealed` (chunks in order; empty for an evaluation), check schema, finiteness and bounds, add it.

        The verdict's `code` is "" or a problem code (unseal-failed, schema-mismatch, not-finite, value-bound,
        norm-bound, weight-bound, digest-mismatch, size-mismatch, metric-invalid); never raises for what a device sent.
        `StoreFault(key-erased)` if the upload key is gone. Judging a lease again answers the same and adds nothing.
        """
        ...

    def finish(self, work: RoundWork, leases: Sequence[str]) -> Arrays:
        """The next version's tensors from the sum over exactly `leases` (`Bug` if the sum holds others).

        `OperatorFault(not-available)` never here: rules are checked when the task is read. Weight zero: ValueError.
        A result that is not finite: OverflowError.
        """
        ...

    def drop(self, run: str, round: int) -> None:
        """Forget a round's sum."""
        ...

    def added(self, run: str, round: int) -> frozenset[str]:
        """The leases that the round's sum holds."""
        ...


class Metrics(Protocol):
    """Counters and histograms with stable names; label values from closed sets, never per device. Any thread."""

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram."""
        ...


class DevicesWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed devices must be; "" and () ask for nothing. `labels`: "name=value" each, all must hold."""

    state: str = ""
    site: str = ""
    name: str = ""  # the beginning of it
    labels: tuple[str, ...] = ()


class EntriesWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the listed entries must be; "" asks for nothing."""

    kind: str = ""
    subject: str = ""
    actor: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of a page in its order, and the number after which the next page begins: -1 at the end of the list.

    A page may be short before the end: one call looks at a bounded number of rows.
    """

    numbers: list[int]
    next: int


class Pages(Protocol):
    """Pages of the durable tables, each as quick at the end of a list as at its beginning. From any thread."""

    def devices(self, wanted: DevicesWanted, after: int, limit: int) -> Found:
        """Numbers of devices, in order of enrolment, or by name where a name is wanted, beyond device `after` (-1)."""
        ...

    def devices_called(self, text: str, limit: int) -> tuple[list[int], list[int]]:
        """Numbers of devices of that very name, and of those whose id begins with `text`; at most `limit` each."""
        ...

    def devices_among(self, numbers: Sequence[int], wanted: DevicesWanted) -> list[int]:
        """Those of `numbers` whose devices are as wanted, in their order."""
        ...

    def device_leases(self, device: str, before: int, limit: int) -> list[tuple[int, LeaseRow]]:
        """The leases of a device with their place in the table, newest first, below place `before` (0: all)."""
        ...

    def round_leases(self, run: str, round: int, after: int, limit: int) -> list[tuple[int, LeaseRow]]:
        """The leases of a round with their place in the table, oldest first, above place `after`."""
        ...

    def moves(self, alias: str, before: int, limit: int) -> list[AliasMoveRow]:
        """The moves of an alias, newest first, with a counter below `before` (0: all)."""
        ...

    def journal(self, wanted: EntriesWanted, before: int, limit: int) -> Found:
        """Numbers of history entries, newest first, below `before` (0: all)."""
        ...

    def numbered(self, numbers: Sequence[int]) -> list[Entry]:
        """The history entries of these numbers, in this order."""
        ...

    def pending(self) -> int:
        """How many history entries wait for their place."""
        ...
