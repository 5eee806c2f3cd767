"""A store in memory: the `Store` port for the simulator and for tests, with failures on request.

Decides: the same as the embedded store, and held to it by one contract suite. Never: survives its process. Records are
encoded only when someone reads the history, so a simulation pays nothing for it.
"""

import threading
from collections.abc import Iterator, Sequence

import msgspec

from podium.core.effects import Record, Step
from podium.core.journal.tree import leaf_hash
from podium.core.records import encode_record
from podium.core.rows import TABLES, AnyRow, FactsChunk, LeaseRow, table_of
from podium.ports.plane import Entry, Loaded, SignedHead
from podium.wire.canonical import decode_canonical
from podium.wire.messages import Head
from podium.wire.problems import Bug, StoreFault

_LIVE = ("OFFERED", "HELD")
_ORDER = {table: index for index, table in enumerate(TABLES)}

Rows = dict[tuple[str, str], AnyRow]


class _Written(msgspec.Struct):
    """One history entry before it is encoded."""

    step: int
    record: Record
    salt: bytes
    place: int = -1


class MemoryStore:
    """The `Store` port in memory. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: Rows = {}
        self._live: dict[str, str] = {}  # device -> its live lease
        self._history: list[_Written] = []
        self._placed: dict[str, list[int]] = {}  # tree -> entry numbers in place order
        self._first_unplaced = 1
        self._heads: list[tuple[str, SignedHead]] = []
        self._meta: dict[str, str] = {}
        self._facts: dict[int, FactsChunk] = {}
        self._step = 0
        self._at_ms = 0
        self._failures: list[tuple[str, bool]] = []

    def fail_next(self, code: str, applied: bool) -> None:
        """Make the next `commit` raise `StoreFault(code)`, after applying it or without; calls queue up."""
        self._failures.append((code, applied))

    def load(self) -> Loaded:
        """Every current row by table, in the order in which they came, and where the last durable step stood."""
        with self._lock:
            rows = sorted(self._rows.items(), key=lambda item: _ORDER[item[0][0]])
            return Loaded(rows=tuple(row for _, row in rows), step=self._step, at_ms=self._at_ms)

    def last_ms(self) -> int:
        """`at_ms` of the last durable step, 0 if none."""
        with self._lock:
            return self._at_ms

    def commit(self, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        """Write whole `steps` at once; refuses as the embedded store does, and fails as `fail_next` was told."""
        if not steps:
            return
        with self._lock:
            code, applied = self._failures.pop(0) if self._failures else ("", True)
            if applied:
                self._apply(steps, salts)
        if code:
            raise StoreFault(code, what=f"transaction {name!r} failed on request", retryable=True)

    def _apply(self, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        before = self._step
        for step in steps:
            if step.number <= before:
                raise Bug(f"step {step.number} comes after step {before}")
            before = step.number
        made = [(step.number, record) for step in steps for record in step.records]
        if len(made) != len(salts):
            raise Bug(f"there are {len(salts)} salts for {len(made)} records")
        rows = [row for _, record in made for row in record.rows]
        live = dict[str, str]()
        for row in rows:
            if isinstance(row, LeaseRow):
                self._arbitrate(row, live)
        self._rows.update({(table_of(row), row.key()): row for row in rows})
        self._live.update(live)
        self._history += [_Written(number, record, salt) for (number, record), salt in zip(made, salts, strict=True)]
        self._step, self._at_ms = steps[-1].number, steps[-1].at_ms

    def _arbitrate(self, row: LeaseRow, live: dict[str, str]) -> None:
        """Note in `live` what `row` changes; `Bug` if its device already has another live lease ("" is none)."""
        holds = live.get(row.device, self._live.get(row.device, ""))
        if row.state in _LIVE:
            if holds not in ("", row.id):
                raise Bug(f"device {row.device} holds lease {holds} already; {row.id} breaks a rule of table leases")
            live[row.device] = row.id
        elif holds == row.id:
            live[row.device] = ""

    def unplaced(self, limit: int) -> list[Entry]:
        """Up to `limit` entries without a place, by number."""
        with self._lock:
            while self._first_unplaced <= len(self._history) and self._history[self._first_unplaced - 1].place >= 0:
                self._first_unplaced += 1
            found: list[Entry] = []
            for number in range(self._first_unplaced, len(self._history) + 1):
                if len(found) == limit:
                    break
                if self._history[number - 1].place < 0:
                    found.append(self._entry(number))
            return found

    def leaves(self, tree: str) -> list[bytes]:
        """The leaf hashes of `tree` in place order."""
        with self._lock:
            return [self._entry(number).leaf for number in self._placed.get(tree, [])]

    def place(self, entries: Sequence[tuple[int, int]], heads: Sequence[SignedHead]) -> None:
        """Give entries (number, place) their places and keep `heads`; `Bug` if one has a place."""
        with self._lock:
            for number, _ in entries:
                if not 1 <= number <= len(self._history) or self._history[number - 1].place >= 0:
                    raise Bug(f"entry {number} has a place already or does not exist")
            for number, place in entries:
                self._history[number - 1].place = place
                self._placed.setdefault(self._history[number - 1].record.tree, []).append(number)
            self._heads += [(decode_canonical(signed.payload, Head).tree, signed) for signed in heads]

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` history entries with number > `after`."""
        with self._lock:
            return [self._entry(number) for number in range(after + 1, min(after + limit, len(self._history)) + 1)]

    def _entry(self, number: int) -> Entry:
        kept = self._history[number - 1]
        data = encode_record(kept.record, kept.step)
        return Entry(
            number=number,
            step=kept.step,
            tree=kept.record.tree,
            place=kept.place,
            salt=kept.salt,
            record=data,
            leaf=leaf_hash(kept.salt, data),
        )

    def trees(self) -> list[str]:
        """The trees that have a signed head, sorted."""
        with self._lock:
            return sorted({tree for tree, _ in self._heads})

    def head(self, tree: str) -> SignedHead | None:
        """The newest signed head of `tree`."""
        with self._lock:
            return next((signed for name, signed in reversed(self._heads) if name == tree), None)

    def heads(self) -> list[SignedHead]:
        """Every signed head, oldest first."""
        with self._lock:
            return [signed for _, signed in self._heads]

    def keep_facts(self, chunks: Sequence[FactsChunk]) -> None:
        """Keep `chunks` in place of those of their numbers."""
        with self._lock:
            self._facts.update((chunk.number, chunk) for chunk in chunks)

    def facts(self) -> Iterator[FactsChunk]:
        """The chunks kept, by number."""
        with self._lock:
            yield from [self._facts[number] for number in sorted(self._facts)]

    def set_meta(self, name: str, value: str) -> None:
        """Keep `value` under `name`."""
        with self._lock:
            self._meta[name] = value

    def get_meta(self, name: str) -> str:
        """The value kept under `name`, "" if none."""
        with self._lock:
            return self._meta.get(name, "")

    def close(self) -> None:
        """Nothing to release."""
