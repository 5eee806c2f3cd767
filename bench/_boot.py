"""A boot as a process of its own, so that its memory is its own: `python -m bench._boot DATA`.

Prints the seconds that it takes to open the store and to make the core of what it holds, what devices told included;
the most memory that the process ever had, in MB; the devices; the bytes a device in columns of facts and of what was
learned, and what one element of each of these columns takes.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from bench._load import peak_bytes
from podium.adapters.sqlite.store import SqliteStore
from podium.core.state import State
from podium.server.loop.loop import load_core
from podium.wire.limits import Limits


def main() -> None:
    """Boot once; print both figures."""
    began = time.perf_counter()
    store = SqliteStore(Path(sys.argv[1]))
    core, _ = load_core(store, Limits(), store.last_ms())
    seconds = time.perf_counter() - began
    devices = len(core.state.devices)
    held, least = column_bytes(core.state)
    sys.stdout.write(f"{seconds} {peak_bytes(os.getpid()) / 1e6} {devices} {held / devices} {least}\n")
    store.close()


def column_bytes(state: State) -> tuple[int, int]:
    """Bytes of all columns by device number, room to grow included; and of one element of each."""
    fleet, learned = state.fleet, state.learned.reliability()
    columns = [getattr(fleet, name) for name in fleet.FILLS]
    columns += [fleet._told, fleet._data]
    columns += [each for each in vars(learned).values() if isinstance(each, np.ndarray)]
    return sum(each.nbytes for each in columns), sum(each.itemsize for each in columns)


if __name__ == "__main__":
    main()
