"""Who is enrolled, by number: a device's durable row packed into bytes, and found again by its id or its public key.

Decides: nothing; a row is made anew for whoever asks and equals the one that was put. What selection reads of a row
(`participated_ms`, place, banned, cordoned) is in the fleet's columns and kept there alone. Never: forgets.
Limits: some 150 bytes a device: its texts, 22 bytes, and 12 in each of two indexes. An index is a sorted column of
64-bit hashes with a small dict of the newest in front; what it finds is compared with the text itself, so it is exact.
Failures are kept only of those that failed. A text has up to 65,535 bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import Fleet
from podium.core.rows import DeviceRow
from podium.wire.problems import Bug

UNKNOWN = -1
TEXT_BYTES_MAX = 65_535
NEWEST_MIN = 1_024
NEWEST_PARTS = 32
"""An index takes in its newest once they are more than one in so many of all: each append is moved so often."""

_KEPT = np.dtype(
    [
        ("start", np.int64),  # of its texts in the block: id, public key, name
        ("id", np.uint16),  # bytes of each
        ("key", np.uint16),
        ("name", np.uint16),
        ("enrolled_ms", np.int64),
    ]
)
_ID, _KEY = 0, 1


class Roster:
    """Device rows by number, dense from 0; iterates in order of enrolment."""

    def __init__(self, fleet: Fleet) -> None:
        """`fleet` takes and gives back what of a row is in its columns."""
        self._fleet = fleet
        self._size = 0
        self._kept = np.zeros(16, _KEPT)
        self._texts = bytearray()
        self._failures: dict[int, tuple[str, str]] = {}
        self._indexes = (_Index(), _Index())  # by id, by public key

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[DeviceRow]:
        return self.rows(0, self._size)

    def __getitem__(self, number: int) -> DeviceRow:
        """The row of device `number`; `IndexError` if there is none."""
        if not 0 <= number < self._size:
            raise IndexError(f"device {number} of {self._size}")
        start, of_id, of_key, of_name, enrolled_ms = self._kept[number].item()
        key, name, end = start + of_id, start + of_id + of_key, start + of_id + of_key + of_name
        failure, detail = self._failures.get(number, ("", ""))
        fleet = self._fleet
        population, site, labels = fleet.places[fleet.place[number]]
        return DeviceRow(
            id=self._texts[start:key].decode(),
            number=int(number),  # a column's element, perhaps
            name=self._texts[name:end].decode(),
            population=population,
            site=site,
            labels=labels,
            public_key=self._texts[key:name].decode(),
            enrolled_ms=enrolled_ms,
            participated_ms=int(fleet.participated_ms[number]),
            state="banned" if fleet.banned[number] else "cordoned" if fleet.cordoned[number] else "active",
            failure=failure,
            failure_detail=detail,
        )

    def rows(self, start: int, stop: int) -> Iterator[DeviceRow]:
        """The rows of the devices from `start` to before `stop`, as far as there are any."""
        return (self[number] for number in range(start, min(stop, self._size)))

    def id(self, number: int) -> str:
        """The id of device `number`, without the rest of its row."""
        return self._text(number, _ID).decode()

    def number(self, device_id: str) -> int:
        """The number of the device of that id, UNKNOWN if there is none."""
        return self._find(_ID, device_id)

    def by_key(self, public_key: str) -> int:
        """The number of the device of that public key (the last one's that has it), UNKNOWN if there is none."""
        return self._find(_KEY, public_key)

    def put(self, row: DeviceRow) -> None:
        """Append `row`, or let it replace that of its number; `Bug` if it leaves a gap or is another device's."""
        if row.number == self._size:
            self.extend((row,))
        elif 0 <= row.number < self._size:
            self._replace(row)
        else:
            raise Bug(f"device {row.id} has number {row.number} of {self._size}")

    def extend(self, rows: Sequence[DeviceRow]) -> None:
        """Append `rows`, numbered on from what there is; `Bug` if they are not, or if an id is taken."""
        first, end = self._size, self._size + len(rows)
        if [row.number for row in rows] != list(range(first, end)):
            raise Bug(f"devices of other numbers than {first} to {end - 1} follow {first}")
        if end > len(self._kept):
            self._kept = np.concatenate([self._kept, np.zeros(max(end - len(self._kept), len(self._kept) // 4), _KEPT)])
        ids, keys = [row.id.encode() for row in rows], [row.public_key.encode() for row in rows]
        taken = [row.id for row in rows if self.number(row.id) != UNKNOWN] if len(rows) == 1 else []
        if taken or len(set(ids)) < len(ids):
            raise Bug(f"of the devices {first} to {end - 1} one has an id that is taken: {taken}")
        if not rows:
            return
        self._append(rows, [ids, keys, [row.name.encode() for row in rows]])
        self._size = end
        self._indexes[_ID].add(ids, first)
        self._indexes[_KEY].add(keys, first)

    def _append(self, rows: Sequence[DeviceRow], texts: Sequence[Sequence[bytes]]) -> None:
        """Write `rows`, which are new, into the columns, each column at once; `texts`: their ids, keys and names."""
        first, count = self._size, len(rows)
        lengths = np.array([list(map(len, each)) for each in texts], np.int64)
        _check_lengths(first, lengths)
        sizes = lengths.sum(axis=0)
        kept = self._kept[first : first + count]
        kept["start"] = len(self._texts) + np.cumsum(sizes) - sizes
        kept["id"], kept["key"], kept["name"] = lengths
        kept["enrolled_ms"] = [row.enrolled_ms for row in rows]
        self._texts += b"".join(chain.from_iterable(zip(*texts, strict=True)))
        self._failures.update(
            (row.number, (row.failure, row.failure_detail)) for row in rows if row.failure or row.failure_detail
        )
        self._fleet.take(rows)

    def _replace(self, row: DeviceRow) -> None:
        """Let `row` stand for that of its number: a name may change and leaves the old texts behind; an id and a key
        never do, `Bug`."""
        texts = (row.id.encode(), row.public_key.encode(), row.name.encode())
        sizes, (start, *known, enrolled_ms) = [len(each) for each in texts], self._kept[row.number].item()
        if sizes[:2] != known[:2] or not self._texts.startswith(texts[0] + texts[1], start):
            raise Bug(f"device {row.id} has number {row.number}, which is another's")
        block = b"".join(texts)
        if sizes != known or not self._texts.startswith(block, start):
            _check_lengths(row.number, np.array(sizes, np.int64)[:, None])
            start = len(self._texts)
            self._texts += block
        if (start, sizes, enrolled_ms) != (int(self._kept["start"][row.number]), known, row.enrolled_ms):
            self._kept[row.number] = (start, *sizes, row.enrolled_ms)
        if row.failure or row.failure_detail:
            self._failures[row.number] = (row.failure, row.failure_detail)
        else:
            self._failures.pop(row.number, None)
        self._fleet.take((row,))

    def _text(self, number: int, which: int) -> bytes:
        start, of_id, of_key, *_ = self._kept[number].item()
        key = start + of_id
        return bytes(self._texts[start:key] if which == _ID else self._texts[key : key + of_key])

    def _find(self, which: int, text: str) -> int:
        wanted = text.encode()
        return next(
            (each for each in self._indexes[which].likely(wanted) if self._text(each, which) == wanted), UNKNOWN
        )


def _check_lengths(first: int, lengths: NDArray[np.int64]) -> None:
    """`Bug` if a text of the devices from `first` is too long; `lengths`: bytes, shape (texts, devices)."""
    long = (lengths > TEXT_BYTES_MAX).any(axis=0)
    if long.any():
        raise Bug(f"device {first + int(np.argmax(long))} has a text of more than {TEXT_BYTES_MAX} bytes")


def _hashes(texts: Iterable[bytes]) -> NDArray[np.int64]:
    """The first 8 bytes of their SHA-256: the same in every process, and nobody can aim many keys at one place."""
    return np.frombuffer(b"".join([sha256(text).digest() for text in texts]), np.int64)[::4]


class _Index:
    """Numbers by text: those whose text has the same hash, so that the caller compares the few."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._hashes: NDArray[np.int64] = np.zeros(0, np.int64)  # sorted
        self._numbers: NDArray[np.int32] = np.zeros(0, np.int32)
        self._runs: list[tuple[NDArray[np.int64], NDArray[np.int32]]] = []  # many at once, older than the newest

    def add(self, texts: Sequence[bytes], first: int) -> None:
        """Let `texts` be those of `first` and on. Many at once are sorted in when somebody looks."""
        if len(texts) >= NEWEST_MIN:
            self._end_newest()
            self._runs.append((_hashes(texts), np.arange(first, first + len(texts), dtype=np.int32)))
            return
        self._newest.update(zip(texts, range(first, first + len(texts)), strict=True))
        if len(self._newest) > max(NEWEST_MIN, len(self._hashes) // NEWEST_PARTS):
            self._end_newest()

    def _end_newest(self) -> None:
        if self._newest:
            self._runs.append((_hashes(self._newest), np.array(list(self._newest.values()), np.int32)))
            self._newest = {}

    def _sort_in(self) -> None:
        hashes, numbers = (np.concatenate(each) for each in zip(*self._runs, strict=True))
        order = np.argsort(hashes, kind="stable")
        places = self._hashes.searchsorted(hashes[order], side="right")
        self._hashes = np.insert(self._hashes, places, hashes[order])
        self._numbers = np.insert(self._numbers, places, numbers[order])
        self._runs = []

    def likely(self, text: bytes) -> Iterator[int]:
        """The numbers that may have `text`, the last one put first."""
        newest = self._newest.get(text)
        if newest is not None:
            yield newest
        if self._runs:
            self._sort_in()
        (wanted,) = _hashes((text,))
        end = int(self._hashes.searchsorted(wanted, side="right"))
        while end and self._hashes[end - 1] == wanted:
            end -= 1
            yield int(self._numbers[end])
