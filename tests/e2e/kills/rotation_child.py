"""A plane that dies within its first rotation: `python rotation_child.py DATA POINT`; SIGKILL at that point of it.

Points are numbered from 1: before and after each thing that a rotation makes durable, in their order. Beyond the last
one the rotation is done and the plane serves on.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from podium.adapters.keys import FileKeys
from podium.adapters.sqlite.store import SqliteStore
from podium.core.effects import Step
from podium.server.identity import Identity
from podium.server.main import PlaneServer, serve
from podium.server.operators.keys import KeyRoom
from podium.wire.asks import RotateAsk
from podium.wire.operator import KeyView
from tests.support.plane_cases import FAST

P = ParamSpec("P")
T = TypeVar("T")


class Points:
    """Counts down to the point to die at, once armed."""

    def __init__(self, left: int) -> None:
        self.armed = False
        self._left = left

    def pass_one(self) -> None:
        """One point of the rotation."""
        self._left -= self.armed
        if self.armed and self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[P, T], *args: P.args, **given: P.kwargs) -> T:
        """`call`, with a point before and after it."""
        self.pass_one()
        result = call(*args, **given)
        self.pass_one()
        return result

    def counted(self, call: Callable[P, T]) -> Callable[P, T]:
        """`call`, with a point before and after each time."""

        def counted(*args: P.args, **given: P.kwargs) -> T:
            return self.around(call, *args, **given)

        return counted


def instrument(points: Points) -> None:
    """Put the points around all that a rotation makes durable, and arm them when one begins."""
    for owner, name in ((FileKeys, "put"), (FileKeys, "erase"), (SqliteStore, "set_meta"), (Identity, "keep")):
        setattr(owner, name, points.counted(getattr(owner, name)))
    commit, rotate = SqliteStore.commit, KeyRoom.rotate

    def committed(self: SqliteStore, name: str, steps: Sequence[Step], salts: Sequence[bytes]) -> None:
        told = any(record.kind == "key-rotated" for step in steps for record in step.records)
        write = partial(commit, self, name, steps, salts)
        points.around(write) if told else write()

    async def rotated(self: KeyRoom, actor: str, ask: RotateAsk) -> KeyView:
        points.armed = True
        made = await rotate(self, actor, ask)
        points.armed = False
        return made

    changed: tuple[tuple[type, str, Callable[..., object]], ...] = (
        (SqliteStore, "commit", committed),
        (KeyRoom, "rotate", rotated),
    )
    for changing, name, call in changed:
        setattr(changing, name, call)


def main() -> None:
    """Serve until killed or told to end."""
    data, point = sys.argv[1:]
    instrument(Points(int(point)))
    serve(PlaneServer(Path(data), limits=FAST), say_url, Path(data + ".log"))


def say_url(server: PlaneServer) -> None:
    """Tell the test where the plane answers."""
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
