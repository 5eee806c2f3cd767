"""Following a journal entry by entry: does each fit its leaf, its place, its tree, and every signed head?

Decides: whether a journal holds, and which entry is the first that does not fit. Never: where entries and heads come
from (audit.py). One pass; it remembers the frontiers, the heads, and per current row one hash.
Every fault is `OperatorFault(journal-broken)`: `what` names the entry or the head.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from podium.core.journal.tree import HASH_BYTES, SALT_BYTES, Tree, leaf_hash
from podium.core.records import Kept, read_record
from podium.core.rows import table_of
from podium.crypto.root import role_key
from podium.crypto.sign import open_signed
from podium.ports.plane import Entry, SignedHead
from podium.server.journal.heads import PURPOSE, to_signed
from podium.wire.messages import Head, RootDocument
from podium.wire.problems import DeviceFault, OperatorFault, PodiumError

_TYPES = (int, int, str, int, bytes, bytes, bytes)


class TreeResult(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as replayed: placed entries, hex root, entries still without a place."""

    size: int
    root: str
    pending: int


class AuditResult(msgspec.Struct, frozen=True, kw_only=True):
    """What held. `heads`: signed heads compared, kept ones included. `rows`: current rows compared (data only).

    `unproven`: current rows that only an erased entry could have proven.
    """

    plane_id: str
    entries: int
    pending: int
    erased: int
    heads: int
    rows: int
    unproven: int
    trees: dict[str, TreeResult]


def broken(what: str, why: str) -> OperatorFault:
    """The fault of everything that does not fit."""
    return OperatorFault("journal-broken", what=what, why=why)


def describe(entry: Entry) -> str:
    """An entry by number, tree, place, and kind and subject if they can be read."""
    place = "pending" if entry.place == -1 else f"place {entry.place}"
    try:
        kept = read_record(entry.record)
    except PodiumError:
        return f"entry {entry.number} ({entry.tree}, {place})"
    return f"entry {entry.number} ({entry.tree}, {place}: {kept.kind} {kept.subject})"


class Replay:
    """Give it every head first, then every entry in order, then `finish`."""

    def __init__(self, root: RootDocument) -> None:
        self._root = root
        self._trees: dict[str, Tree] = {}
        self._pending: dict[str, int] = {}
        self._roots: dict[str, dict[int, Head]] = {}  # tree -> size -> signed head
        self._stored: dict[str, int] = {}  # tree -> size of its newest head within the journal
        self._suspect: dict[str, str] = {}  # tree -> its first entry since a head that fits
        self._numbers = 0
        self._step = 0
        self._erased = 0
        self._heads = 0
        self._fold: dict[
            tuple[str, str], tuple[int, bytes]
        ] = {}  # row -> entry that wrote it last, SHA-256 of its body
        self._unproven = 0
        self._rows = 0

    # -- heads -----------------------------------------------------------------------------------------------

    def stored_head(self, signed: SignedHead) -> Head:
        """A head of the journal itself, oldest first; each tree's only grow."""
        head = self._head(signed, "in the journal")
        if head.size <= self._stored.get(head.tree, 0):
            raise broken(f"the head of tree {head.tree} at size {head.size}", "an older one has that size or more")
        self._stored[head.tree] = head.size
        return head

    def kept_heads(self, heads: Iterable[SignedHead]) -> None:
        """Heads that somebody kept outside: the journal must contain what they signed."""
        for signed in heads:
            self._head(signed, "kept outside")

    def _head(self, signed: SignedHead, where: str) -> Head:
        self._heads += 1
        try:
            public = role_key(self._root, "online", signed.key_id)
            head = open_signed(public, PURPOSE, to_signed(signed), Head)
        except DeviceFault as error:
            what = f"signed head {self._heads} ({where}: {signed.payload[:200].decode('ascii', 'replace')})"
            raise broken(what, error.why or error.what) from error
        known = self._roots.setdefault(head.tree, {}).setdefault(head.size, head)
        if known.root != head.root:
            what = f"tree {head.tree} at size {head.size}"
            raise broken(what, f"two signed heads contradict each other: {known.root} and {head.root}")
        return head

    # -- entries ---------------------------------------------------------------------------------------------

    def entry(self, entry: Entry) -> None:
        """The next entry of the history."""
        if tuple(type(getattr(entry, name)) for name in entry.__struct_fields__) != _TYPES:
            raise broken(f"entry {self._numbers + 1}", "a field has another type than was written")
        if entry.number != self._numbers + 1:
            why = f"the history goes on with {describe(entry)}"
            raise broken(f"entry {self._numbers + 1} is missing", why)
        self._numbers = entry.number
        if entry.step < self._step:
            raise broken(describe(entry), f"its step {entry.step} comes after step {self._step}")
        self._step = entry.step
        if entry.salt == entry.record == b"":
            self._erased += 1
        else:
            self._record(entry)
        self._place(entry)

    def _record(self, entry: Entry) -> None:
        leaf = leaf_hash(entry.salt, entry.record)
        if len(entry.salt) != SALT_BYTES or leaf != entry.leaf:
            raise broken(describe(entry), "its leaf is not the hash of its salt and record")
        try:
            kept = read_record(entry.record)
            self._folded(entry.number, kept)
        except PodiumError as error:
            raise broken(describe(entry), error.why or error.what) from error
        if (kept.tree, kept.step) != (entry.tree, entry.step):
            raise broken(describe(entry), f"its record says tree {kept.tree} and step {kept.step}")

    def _folded(self, number: int, kept: Kept) -> None:
        for row, body in zip(kept.record().rows, kept.rows, strict=True):
            self._fold[table_of(row), row.key()] = (number, hashlib.sha256(body).digest())

    def _place(self, entry: Entry) -> None:
        tree = self._trees.setdefault(entry.tree, Tree())
        if entry.place == -1:
            self._pending[entry.tree] = self._pending.get(entry.tree, 0) + 1
            if tree.size < max(self._roots.get(entry.tree, {0: None})):
                raise broken(
                    describe(entry), f"it has no place, but a signed head counts more than {tree.size} entries"
                )
            return
        if len(entry.leaf) != HASH_BYTES:
            raise broken(describe(entry), "its leaf is no hash")
        if self._pending.get(entry.tree) or entry.place != tree.size:
            raise broken(describe(entry), f"the next place of tree {entry.tree} is {tree.size}")
        tree.append(entry.leaf)
        first = self._suspect.setdefault(entry.tree, describe(entry))
        head = self._roots.get(entry.tree, {}).get(tree.size)
        if head is None:
            return
        if head.root != tree.root().hex():
            until = "" if first == describe(entry) else f", or one up to {describe(entry)}"
            raise broken(first + until, f"the root at size {tree.size} is not the one that was signed")
        del self._suspect[entry.tree]

    # -- the end ---------------------------------------------------------------------------------------------

    def current(self, table: str, id: str, body: bytes) -> None:
        """A row of the current-state tables: it must be what the history wrote last."""
        self._rows += 1
        number, digest = self._fold.pop((table, id), (0, b""))
        if hashlib.sha256(body).digest() == digest:
            return
        if self._erased:
            self._unproven += 1
            return
        wrote = f"entry {number} wrote it last" if number else "no entry wrote it"
        raise broken(f"row {id} of table {table}", f"it is not what the history says: {wrote}")

    def end_of_tables(self, result: AuditResult, step: int) -> AuditResult:
        """After `finish` and the last current row: none may be missing; `step`: the number of the last durable step.

        `result` with what the tables add to it.
        """
        for (table, id), (number, _) in self._fold.items():
            raise broken(f"row {id} of table {table} is missing", f"entry {number} wrote it last")
        if step < self._step:
            raise broken(
                f"the last durable step is said to be {step}", f"entry {self._numbers} is of step {self._step}"
            )
        return msgspec.structs.replace(result, rows=self._rows, unproven=self._unproven)

    def finish(self) -> AuditResult:
        """After the last entry: no signed head may count more than there is, nothing placed may be unsigned."""
        for name, heads in sorted(self._roots.items()):
            size = self._trees[name].size if name in self._trees else 0
            if (newest := max(heads)) > size:
                what = f"the entry at place {size} of tree {name} is missing"
                raise broken(what, f"a signed head counts {newest} entries, the journal has {size}")
        for name, tree in sorted(self._trees.items()):
            if tree.size > self._stored.get(name, 0):
                raise broken(self._suspect.get(name, f"tree {name}"), "it has a place, but no signed head covers it")
        trees = {
            name: TreeResult(size=tree.size, root=tree.root().hex(), pending=self._pending.get(name, 0))
            for name, tree in sorted(self._trees.items())
        }
        return AuditResult(
            plane_id=self._root.plane_id,
            entries=self._numbers,
            pending=sum(self._pending.values()),
            erased=self._erased,
            heads=self._heads,
            rows=0,
            unproven=0,
            trees=trees,
        )
