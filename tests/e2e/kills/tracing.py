"""What the processes of the kill test write down while they live, and the fuses by which they kill themselves.

A trace is a file of lines "<monotonic ns> <word> <detail>", each one write(2): SIGKILL loses none of them. The clock is
the same for all processes of a machine, so what was under way when another process died is read off afterwards.
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One line of a trace."""

    at_ns: int
    word: str
    detail: str


class Trace:
    """Appends to a trace."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._mine = threading.Lock()

    def say(self, word: str, detail: str = "", *, durable: bool = False) -> None:
        """One line; `durable`: it survives the machine too. A full disk loses the line and breaks nothing else."""
        with self._mine, contextlib.suppress(OSError):
            os.write(self._file, f"{time.monotonic_ns()} {word} {detail}\n".encode())
            if durable:
                os.fsync(self._file)

    def die(self, detail: str) -> None:
        """The last line, and SIGKILL: no other thread says anything between the two."""
        with self._mine:
            with contextlib.suppress(OSError):
                os.write(self._file, f"{time.monotonic_ns()} fuse {detail}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def read_trace(path: Path) -> list[Line]:
    """The lines of a trace; none if nobody wrote it yet."""
    if not path.exists():
        return []
    parts = [line.split(" ", 2) for line in path.read_text().splitlines()]
    return [Line(int(at), word, detail) for at, word, detail in parts]


class Fuse:
    """Kills the process before or after the n-th thing of its life: "before:n", "after:n", or "none".

    `kind` says which things it counts: "before:n" counts those without a kind, "before-request:n" those of "-request".
    """

    def __init__(self, text: str, trace: Trace, kind: str = "") -> None:
        side, _, number = text.partition(":")
        self._side = side.removesuffix(kind) if side.endswith(kind) else ""
        self._kind = kind
        self._left = int(number or 0)
        self._trace = trace

    def before(self, what: str) -> None:
        """One more thing begins."""
        self._left -= 1
        if self._side == "before":
            self._burn(what)

    def after(self, what: str) -> None:
        """That thing is done."""
        if self._side == "after":
            self._burn(what)

    def _burn(self, what: str) -> None:
        if self._left == 0:
            self._trace.die(f"{self._side}{self._kind} {what}")
