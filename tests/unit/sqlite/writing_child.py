"""A process that writes steps as fast as it can and says which are durable: run by the kill test, killed by it.

`python -m tests.unit.sqlite.writing_child DATA` goes on after the last stored step; it prints each durable number as a
line. Step n writes one record of kind "wrote", with the row of device n % 50 at number n and a lease of its own.
"""

import sys
import threading
from pathlib import Path

from podium.adapters.sqlite.store import SqliteStore
from podium.server.journal.heads import heads_path
from podium.server.journal.sequencer import Sequencer
from podium.server.loop.writer import Writer
from podium.wire.limits import Limits
from tests.contract.plane_made import CountingEntropy, StillClock, root_text, sign_head
from tests.contract.rows_made import device, lease, record, step

AHEAD = 40


def main(data: Path) -> None:
    """Write until killed."""
    store = SqliteStore(data)
    store.set_meta("root", root_text())
    clock = StillClock()
    limits = Limits(commit_steps_max=16, journal_merge_ms=1)
    writer = Writer(store, CountingEntropy(), clock, Sequencer(store, clock, sign_head, heads_path(data)), limits)
    room = threading.Semaphore(AHEAD)
    last = first = store.load().step

    def durable(number: int) -> None:
        nonlocal last
        clock.at_ms += 1
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        room.release(number - last)
        last = number

    writer.start(durable, lambda fault: sys.exit(str(fault)))
    number = first
    while True:
        room.acquire()
        number += 1
        rows = (device(f"d{number % 50}", failure=str(number)), lease(f"r.1.{number}", f"x{number}"))
        writer.put(step(number, record(*rows, kind="wrote")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
