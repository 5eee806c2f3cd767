"""The one sequencer: gives durable history entries their places in the Merkle trees and signs the new heads.

Decides: the order of leaves (that of entry numbers, tree by tree), and when a head is signed (once per changed tree and
transaction). Never: what is recorded. Runs on the writer thread; only `heads` may be called from others.
Limits: starting reads every leaf once. A population's tree is not repeated in the plane tree: heads stand beside each
other in the database, in the heads file, in manifests and in session replies.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from podium.core.journal.tree import Tree
from podium.ports import Clock
from podium.ports.plane import Entry, SignedHead, Store
from podium.server.journal.heads import append_heads
from podium.wire.canonical import canonical, decode_canonical
from podium.wire.messages import Head
from podium.wire.problems import OperatorFault

BATCH = 4096
"""Entries placed in one transaction."""

SignHead = Callable[[bytes], SignedHead]
"""Signs the canonical bytes of a `Head` with the online key, purpose `journal-head`."""


class Sequencer:
    """Holds the frontier of every tree in memory; `load` first, then `place` as often as wanted."""

    def __init__(self, store: Store, clock: Clock, sign_head: SignHead, heads_file: Path) -> None:
        self._store = store
        self._clock = clock
        self._sign_head = sign_head
        self._heads_file = heads_file
        self._trees: dict[str, Tree] = {}
        self._lock = threading.Lock()
        self._heads: dict[str, SignedHead] = {}

    def heads(self) -> dict[str, SignedHead]:
        """The newest signed head of each tree; from any thread."""
        with self._lock:
            return dict(self._heads)

    def load(self) -> None:
        """Rebuild the frontiers from the store; also after a failure, when it is not known what was placed.

        `OperatorFault(journal-broken)` if a tree does not have the root that its newest head signed; `StoreFault`.
        """
        trees: dict[str, Tree] = {}
        heads: dict[str, SignedHead] = {}
        for name in self._store.trees():
            signed = self._store.head(name)
            tree = trees[name] = Tree(self._store.leaves(name))
            if signed is None:
                continue
            heads[name] = signed
            head = decode_canonical(signed.payload, Head)
            if (head.size, head.root) != (tree.size, tree.root().hex()):
                raise OperatorFault(
                    "journal-broken",
                    what=f"tree {name} has {tree.size} entries and root {tree.root().hex()}",
                    why=f"its newest signed head says {head.size} and {head.root}",
                    next="podium audit verify names the first entry that does not fit",
                )
        self._trees = trees
        with self._lock:
            self._heads = heads

    def place(self) -> None:
        """Give every unplaced entry its place and sign the heads, in transactions of `BATCH`; `StoreFault`.

        After a `StoreFault`, `load` before placing again.
        """
        while entries := self._store.unplaced(BATCH):
            self._place(entries)
            if len(entries) < BATCH:
                break

    def _place(self, entries: list[Entry]) -> None:
        places: list[tuple[int, int]] = []
        changed: dict[str, Tree] = {}
        for entry in entries:
            tree = changed[entry.tree] = self._trees.setdefault(entry.tree, Tree())
            places.append((entry.number, tree.append(entry.leaf)))
        heads = {name: self._signed(name, tree) for name, tree in sorted(changed.items())}
        self._store.place(places, list(heads.values()))
        # after the commit: a head in the file that the database lacks would be a false alarm
        append_heads(self._heads_file, heads.values())
        with self._lock:
            self._heads.update(heads)

    def _signed(self, name: str, tree: Tree) -> SignedHead:
        head = Head(tree=name, size=tree.size, root=tree.root().hex(), at_ms=self._clock.now_ms())
        return self._sign_head(canonical(head))
