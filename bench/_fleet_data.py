"""A data directory of a million devices and ten thousand rounds: real rows, a real journal with signed heads.

Decides: what it holds. It is written past the store, row for row what the store would write, because a million steps
would take minutes; the plane that opens it checks the heads, and `podium audit verify` the rest.
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from podium.adapters.sqlite.reader import meta_digest
from podium.adapters.sqlite.schema import upsert, values
from podium.core.effects import Record
from podium.core.journal.tree import Tree, leaf_hash
from podium.core.records import encode_record, encode_row
from podium.core.rows import AnyRow, DeviceRow, LeaseRow, RoundRow, RunRow, TaskRow, VersionRow, table_of
from podium.crypto.sign import sign
from podium.server.journal.heads import PURPOSE, append_heads, from_signed, heads_path
from podium.server.main import PlaneServer
from podium.server.plane import open_parts
from podium.tasks.digest import task_digest
from podium.tasks.task import Head, ModelSource, Round, RunRules, Task
from podium.wire.canonical import canonical
from podium.wire.durations import Duration
from podium.wire.limits import Limits
from podium.wire.messages import Head as TreeHead
from podium.wire.tensors import write_arrays

DEVICES, ROUNDS, LEASES, VERSIONS, SITES = 1_000_000, 10_000, 100_000, 300, 200
RUN = "longrun1"
HOUR = 3_600_000
BASE = write_arrays({"w": np.zeros(16, np.float32)})
"""The newest version's bytes: the open round is prepared from them."""


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
    every = itertools.chain(_devices(at_ms), _run(at_ms))
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


def device_id(number: int) -> str:
    """The id of a device."""
    return "d" + hashlib.sha256(b"%d" % number).hexdigest()[:16]


def _devices(at_ms: int) -> Iterator[tuple[str, AnyRow]]:
    for number in range(DEVICES):
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
                enrolled_ms=at_ms - HOUR,
                participated_ms=-1,
                state="cordoned" if number % 5_000 == 0 else "active",
            ),
        )


def _run(at_ms: int) -> Iterator[tuple[str, AnyRow]]:
    task = Task(
        task=Head(name="long", plan="bench._noop:train", purpose="a bench"),
        model=ModelSource(init="bench:init"),
        round=Round(goal=1_000, minimum=1_000, form_deadline=Duration(100 * HOUR)),
        run=RunRules(rounds=20_000, deadline=Duration(1_000 * HOUR)),
    )
    digest = task_digest(task)
    yield "task-kept", TaskRow(id=digest, task=task)
    sums = {"accuracy": (0.5, 1.0), "loss": (1.5, 1.0)}
    for number in range(VERSIONS):
        yield (
            "version-made",
            VersionRow(
                id=_version(number),
                number=number,
                parent=_version(number - 1) if number else "",
                run=RUN,
                round=number,
                task=digest,
                made_ms=at_ms - HOUR + number,
                size_bytes=1_000,
                statement="",
                contributors=1_000,
                metrics=sums,
            ),
        )
    yield (
        "run-submitted",
        RunRow(
            id=RUN,
            task=digest,
            state="RUNNING",
            reason="",
            actor="person:administrator",
            started_ms=at_ms - HOUR,
            deadline_ms=at_ms + 1_000 * HOUR,
            ended_ms=-1,
            base=_version(VERSIONS - 1),
            first=_version(0),
            rounds_sealed=ROUNDS - 1,
            rounds_opened=ROUNDS,
            abandoned_in_row=0,
            loss_rate=0.1,
            metrics=sums,
        ),
    )
    for number in range(1, ROUNDS + 1):
        yield "round-sealed", _round(number, at_ms, sums)
    for number in range(LEASES):
        yield "lease-accepted", _lease(number, at_ms)


def _version(number: int) -> str:
    return "sha256:" + hashlib.sha256(BASE if number == VERSIONS - 1 else b"v%d" % number).hexdigest()


def _round(number: int, at_ms: int, sums: dict[str, tuple[float, float]]) -> RoundRow:
    is_open = number == ROUNDS
    return RoundRow(
        run=RUN,
        number=number,
        state="FORMING" if is_open else "SEALED",
        reason="",
        base=_version(VERSIONS - 1),
        manifest="",
        key_id="",
        opened_ms=at_ms - HOUR,
        form_deadline_ms=at_ms + 100 * HOUR if is_open else at_ms,
        reporting_ms=-1 if is_open else at_ms - HOUR,
        report_deadline_ms=-1,
        ended_ms=-1 if is_open else at_ms - HOUR // 2,
        leases_made=0 if is_open else 1_000,
        outcomes={} if is_open else {"ACCEPTED": 1_000, "LAPSED:stall": 30},
        version="" if is_open else _version(number % VERSIONS),
        metrics={} if is_open else {name: (over + number / ROUNDS, under) for name, (over, under) in sums.items()},
        site_metrics={} if is_open else {f"site-{site:03d}": sums for site in range(4)},
    )


def _lease(number: int, at_ms: int) -> LeaseRow:
    """The last hundred sealed rounds have a thousand each."""
    round_number = ROUNDS - 100 + number // 1_000
    return LeaseRow(
        id=f"{RUN}.{round_number}.{number % 1_000}",
        run=RUN,
        round=round_number,
        device=device_id(int(np.uint32(number * 7_919) % DEVICES)),
        site=f"site-{number % SITES:03d}",
        base=_version(VERSIONS - 1),
        state="ACCEPTED",
        reason="",
        generation=4,
        epoch=1,
        granted_ms=at_ms - HOUR,
        deadline_ms=at_ms,
        ended_ms=at_ms - HOUR // 2,
        report="",
        report_signature="",
        upload_bytes=1_000,
        weight=1.0,
        metrics={"accuracy": (0.5, 1.0)},
    )
