"""What devices told, in bytes: chunks of the fleet's volatile columns, so that a plane that starts again knows it.

Decides: what a chunk holds (session epoch, last seen, fact set, telemetry and facts about data of `CHUNK` devices), and
what of it counts after a restart: nothing of a session that a lease has outlived, no device that is not enrolled,
nothing seen after now. Never: durable rows, which the roster gives, nor when a chunk is kept (server/loop/facts.py).
A session goes on by it: its epoch, and the facts that it told once. Limits: some 105 bytes a device before compression.
"""

import zlib
from hashlib import sha256
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import CHUNK, NEVER, Fleet
from podium.core.fleet.facts import Facts
from podium.core.fleet.sets import SLOTS
from podium.core.fleet.telemetry import ABSENT, Telemetry
from podium.core.rows import FactsChunk

FORMAT = 1
LEVEL = 1
"""Of compression."""

Column = NDArray[np.generic]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the devices of one chunk told: columns by name, shape (devices,) or (devices, SLOTS) as bytes; `sets`: the
    fact sets as a JSON list, which column `facts_id` numbers from 0."""

    format: int
    devices: int
    columns: dict[str, bytes]
    sets: bytes


def _columns(fleet: Fleet) -> dict[str, Column]:
    """Everything volatile that is kept, by name."""
    told = {name: getattr(fleet.telemetry, name) for name in Telemetry.__struct_fields__}
    own = {"epoch": fleet.epoch, "seen_ms": fleet.seen_ms, "facts_id": fleet.facts_id, "examples": fleet.examples}
    own["session_ms"] = fleet.session_ms
    return {**own, **told, **fleet.qualities}


def changed(fleet: Fleet) -> list[int]:
    """The chunks in which a device told something since they were taken by `taken`."""
    found: list[int] = np.flatnonzero(fleet.changed).tolist()
    return found


class Taken(NamedTuple):
    """A copy of one chunk: its columns by name, the numbers of the fact sets in it (sorted), and their facts."""

    number: int
    columns: dict[str, Column]
    numbers: NDArray[np.int32]
    sets: list[Facts]


def taken(fleet: Fleet, number: int) -> Taken:
    """A copy of chunk `number` as it stands; it counts as unchanged from now on. Some ms, for who owns the fleet."""
    fleet.changed[number] = False
    rows = slice(number * CHUNK, min((number + 1) * CHUNK, fleet.size))
    numbers = np.unique(fleet.facts_id[rows])
    numbers = numbers[numbers != NEVER]
    columns = {name: column[rows].copy() for name, column in _columns(fleet).items()}
    return Taken(number, columns, numbers, [fleet.facts.of(held) for held in numbers.tolist()])


def packed(chunk: Taken, at_ms: int) -> FactsChunk:
    """`chunk`, taken at `at_ms`, in bytes; some 50 ms, on any thread."""
    held = chunk.columns["facts_id"]
    local = np.where(held == NEVER, NEVER, np.searchsorted(chunk.numbers, held)).astype(np.int32)
    told = Told(
        format=FORMAT,
        devices=len(local),
        columns={name: column.tobytes() for name, column in {**chunk.columns, "facts_id": local}.items()},
        sets=msgspec.json.encode(chunk.sets),
    )
    body = zlib.compress(msgspec.msgpack.encode(told), LEVEL)
    return FactsChunk(number=chunk.number, at_ms=at_ms, digest=sha256(body).digest(), body=body)


def restore(fleet: Fleet, chunk: FactsChunk, now_ms: int) -> int:
    """Let `fleet`, whose rows are loaded and whom nobody told anything yet, know what `chunk` holds; how many devices.

    `ValueError` if it is not what was kept, or of another format than this release's: the fleet is as it was.
    """
    told, sets = _unpacked(chunk)
    first = chunk.number * CHUNK
    count = max(0, min(told.devices, fleet.size - first))
    columns = {name: _column(told, name, column)[:count] for name, column in _columns(fleet).items()}
    held = columns["facts_id"].astype(np.int64)
    if ((held < NEVER) | (held >= len(sets))).any():
        raise ValueError(f"chunk {chunk.number} names fact sets beyond its {len(sets)}")
    rows = slice(first, first + count)
    outlived = fleet.epoch[rows] > columns["epoch"].astype(np.int64)  # a lease of a later session is in the rows
    columns["epoch"] = np.maximum(columns["epoch"], fleet.epoch[rows])
    columns["seen_ms"] = np.minimum(columns["seen_ms"], np.int64(now_ms))
    columns["session_ms"] = np.minimum(columns["session_ms"], np.int64(now_ms))
    columns["session_ms"][outlived] = NEVER
    columns["facts_id"] = _held(fleet, sets, np.where(outlived, NEVER, held))
    columns["examples"][outlived] = ABSENT
    for name in fleet.qualities:
        columns[name][outlived] = np.nan
    for name, column in _columns(fleet).items():
        column[rows] = columns[name]
    return int(np.count_nonzero(columns["seen_ms"] != NEVER))


def _held(fleet: Fleet, sets: list[Facts], local: NDArray[np.int64]) -> NDArray[np.int32]:
    """The fleet's numbers of the chunk's fact sets `local`, each held once more for each device."""
    numbers = np.full(len(sets) + 1, NEVER, np.int32)  # the last one is found by -1
    for number, holders in zip(*np.unique(local[local != NEVER], return_counts=True), strict=True):
        numbers[number] = fleet.facts.hold(sets[number], int(holders))
    return numbers[local]


def _unpacked(chunk: FactsChunk) -> tuple[Told, list[Facts]]:
    """What `chunk` holds, and its fact sets."""
    if sha256(chunk.body).digest() != chunk.digest:
        raise ValueError(f"chunk {chunk.number} is not what was kept")
    try:
        told = msgspec.msgpack.decode(zlib.decompress(chunk.body), type=Told)
        sets = msgspec.json.decode(told.sets, type=list[dict[str, bool | int | float | str | dict[str, int | str]]])
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"chunk {chunk.number} cannot be read: {error}") from error
    if told.format != FORMAT:
        raise ValueError(f"chunk {chunk.number} has format {told.format}, this release knows {FORMAT}")
    return told, cast(list[Facts], sets)


def _column(told: Told, name: str, like: Column) -> Column:
    """Column `name` of `told`, of the type of `like`, to be changed; `ValueError` if it is another length."""
    shape = (told.devices, SLOTS) if like.ndim > 1 else (told.devices,)
    data = told.columns.get(name, b"")
    if len(data) != int(np.prod(shape)) * like.dtype.itemsize:
        raise ValueError(f"column {name} has {len(data)} bytes for {told.devices} devices")
    return np.frombuffer(data, like.dtype).reshape(shape).copy()
