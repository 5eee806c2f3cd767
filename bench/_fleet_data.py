"""A data directory of a million devices and twelve thousand rounds: real rows, a real journal with signed heads.

Decides: what it holds. It is written past the store, row for row what the store would write, because a million steps
would take minutes; the plane that opens it checks the heads, and `podium audit verify` the rest.
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench._fleet_runs import BASE, Kept, device_id, runs
from podium.adapters.sqlite.reader import meta_digest
from podium.adapters.sqlite.schema import upsert, values
from podium.core.effects import Record
from podium.core.journal.tree import Tree, leaf_hash
from podium.core.records import encode_record, encode_row
from podium.core.rows import AnyRow, DeviceRow, ServiceRow, table_of
from podium.crypto.sign import sign
from podium.server.journal.heads import PURPOSE, append_heads, from_signed, heads_path
from podium.server.main import PlaneServer
from podium.server.plane import open_parts
from podium.wire.canonical import canonical
from podium.wire.limits import Limits
from podium.wire.messages import Head as TreeHead

DEVICES, SITES, SERVICES = 1_000_000, 200, 60
FAILED = 50
"""One device of so many has failed once, with a traceback."""
TRACEBACK = "Traceback (most recent call last):\n" + '  File "plan.py", line 40, in train\n    step(batch)\n' * 24
DAY = 86_400_000


def fill(data: Path) -> None:
    """Make the directory by starting a plane once, then write everything; a minute or so."""
    with PlaneServer(data):
        pass
    parts = open_parts(data, Limits())
    step, at_ms = parts.store.load().step, parts.clock.now_ms()
    leaves, number = parts.store.leaves("default"), sum(len(parts.store.leaves(t)) for t in parts.store.trees())
    seed, tree = parts.online_seed(), Tree(leaves)
    parts.blobs.put(BASE)
    parts.store.close()
    db = sqlite3.connect(data / "podium.db", isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN IMMEDIATE")
    every = itertools.chain(_devices(at_ms), _services(at_ms), runs(at_ms, DEVICES, SITES))
    for chunk in _chunks(every, 10_000):
        _write(db, chunk, number, step, tree, at_ms)
        number, step = number + len(chunk), step + len(chunk)
    head = TreeHead(tree="default", size=tree.size, root=tree.root().hex(), at_ms=at_ms)
    signed = from_signed(sign(seed, PURPOSE, canonical(head)))
    db.execute(
        "INSERT INTO heads (number, tree, size, payload, key_id, signature) VALUES "
        "((SELECT coalesce(max(number), 0) + 1 FROM heads), ?, ?, ?, ?, ?)",
        ("default", tree.size, signed.payload, signed.key_id, signed.signature),
    )
    last = f"{step} {at_ms}"
    db.execute("UPDATE meta SET value = ?, digest = ? WHERE name = 'step'", (last, meta_digest("step", last)))
    db.execute("COMMIT")
    db.close()
    append_heads(heads_path(data), [signed])
    (data / "podium.db.sha256").unlink(missing_ok=True)


def _chunks(rows: Iterable[tuple[str, AnyRow]], count: int) -> Iterator[list[tuple[str, AnyRow]]]:
    every = iter(rows)
    while chunk := list(itertools.islice(every, count)):
        yield chunk


def _write(
    db: sqlite3.Connection, chunk: list[tuple[str, AnyRow]], number: int, step: int, tree: Tree, at: int
) -> None:
    """`chunk` as steps of one record of one row each."""
    rows: dict[str, list[tuple[str | int | bytes, ...]]] = {}
    entries = []
    for place, (kind, row) in enumerate(chunk, start=1):
        body, table = encode_row(row), table_of(row)
        rows.setdefault(table, []).append(values(table, row, body))
        record = Record(at_ms=at, tree="default", kind=kind, subject=row.key(), actor="plane")
        data = encode_record(record, step + place, [body])
        salt = hashlib.sha256(b"%d" % (number + place)).digest()[:16]
        leaf = leaf_hash(salt, data)
        entries.append((number + place, step + place, "default", tree.append(leaf), salt, data, leaf))
    for table, cells in rows.items():
        db.executemany(upsert(table), cells)
    db.executemany(
        "INSERT INTO history (number, step, tree, place, salt, record, leaf) VALUES (?, ?, ?, ?, ?, ?, ?)", entries
    )


def _devices(at_ms: int) -> Kept:
    for number in range(DEVICES):
        failed = number % FAILED == 7
        yield (
            "device-enrolled",
            DeviceRow(
                id=device_id(number),
                number=number,
                name=f"device-{number:07d}",
                population="default",
                site=f"site-{number % SITES:03d}",
                labels={"region": f"r{number % 20}", "tier": str(number % 3)},
                public_key=f"{number:043d}",
                enrolled_ms=at_ms - 30 * DAY + number,
                participated_ms=at_ms - DAY if number % 7 == 0 else -1,
                state="cordoned" if number % 5_000 == 0 else "banned" if number % 5_000 == 1 else "active",
                failure="plan-raised" if failed else "",
                failure_detail=TRACEBACK if failed else "",
            ),
        )


def _services(at_ms: int) -> Kept:
    for number in range(SERVICES):
        yield (
            "service-issued",
            ServiceRow(
                id=hashlib.sha256(b"service %d" % number).hexdigest(),
                name=f"pipeline-{number}",
                verbs=("runs.read", "versions.read"),
                actor="person:administrator",
                made_ms=at_ms - DAY,
                expires_ms=at_ms + 30 * DAY,
                revoked=number % 3 == 0,
            ),
        )
