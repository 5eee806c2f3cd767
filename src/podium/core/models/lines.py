"""Which versions a run and a task have, and which rounds measured a version: indexes over the core's rows.

Decides: the order of versions (when they were made), and that a version belongs to every run and task whose rounds
began with it or made it, whoever made its bytes first. Never: what a metric is (core/views/models.py). Whatever the
order in which rows come, the indexes are the same.
Limits: of the rounds that measured a version the newest `MEASURED_MAX` are remembered.
"""

from bisect import bisect_left, bisect_right
from typing import TypeVar

from podium.core.rows import RoundRow, VersionRow

MEASURED_MAX = 16
Place = tuple[int, int, str]
"""A version among others: when it was made in ms, its number, its digest."""
Measured = tuple[int, str, int]
"""A round among those that measured a version: when it ended in ms, its run, its number."""
T = TypeVar("T", Place, Measured)


class Lines:
    """The versions of the plane, of each run and of each task (by its name), and who measured each version."""

    def __init__(self) -> None:
        self._every: list[Place] = []
        self._of_run: dict[str, list[Place]] = {}
        self._of_task: dict[str, list[Place]] = {}
        self._measured: dict[str, list[Measured]] = {}

    def take_version(self, row: VersionRow, task: str) -> None:
        """A version is there, made by its run of the task of that name; "" is one that somebody brought in."""
        _keep(self._every, place_of(row))
        if row.run:
            self.take_named(row, row.run, task)

    def take_named(self, row: VersionRow, run: str, task: str) -> None:
        """A round of `run` began with the version, or made it."""
        _keep(self._of_run.setdefault(run, []), place_of(row))
        _keep(self._of_task.setdefault(task, []), place_of(row))

    def take_measured(self, row: RoundRow) -> None:
        """A sealed round measured its base version."""
        found = self._measured.setdefault(row.base, [])
        _keep(found, (row.ended_ms, row.run, row.number))
        del found[:-MEASURED_MAX]

    def measured(self, version: str) -> list[tuple[str, int]]:
        """(run, number) of the rounds that measured a version, the newest last."""
        return [(run, number) for _, run, number in self._measured.get(version, ())]

    def versions(self, run: str = "", task: str = "") -> list[Place]:
        """The versions of the plane; of that run or of the task of that name only. Oldest first; not to be changed."""
        if run:
            return self._of_run.get(run, [])
        return self._of_task.get(task, []) if task else self._every


def place_of(row: VersionRow) -> Place:
    """Where a version stands among others."""
    return (row.made_ms, row.number, row.id)


def part_of(places: list[Place], after: Place | None, newest: bool, count: int) -> list[Place]:
    """`count` of `places` beyond `after` (None: from the beginning), oldest or `newest` first."""
    if newest:
        end = len(places) if after is None else bisect_left(places, after)
        return places[max(0, end - count) : end][::-1]
    start = 0 if after is None else bisect_right(places, after)
    return places[start : start + count]


def _keep(those: list[T], one: T) -> None:
    """Put `one` in its place, once."""
    at = bisect_left(those, one)
    if those[at : at + 1] != [one]:
        those.insert(at, one)
