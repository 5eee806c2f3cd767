"""A boot as a process of its own, so that its memory is its own: `python -m bench._boot DATA`.

Prints the seconds that it takes to open the store and to make the core of what it holds, and the most memory that the
process ever had, in MB.
"""

import os
import sys
import time
from pathlib import Path

from bench._load import peak_bytes
from podium.adapters.sqlite.store import SqliteStore
from podium.core.step import Core
from podium.wire.limits import Limits


def main() -> None:
    """Boot once; print both figures."""
    began = time.perf_counter()
    store = SqliteStore(Path(sys.argv[1]))
    loaded = store.load()
    core = Core(loaded.rows, step=loaded.step, at_ms=loaded.at_ms, limits=Limits())
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{seconds} {peak_bytes(os.getpid()) / 1e6} {len(core.state.devices)}\n")
    store.close()


if __name__ == "__main__":
    main()
