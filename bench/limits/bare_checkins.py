"""The least that a check-in of a simulated day can cost with numpy: `python bare_checkins.py DEVICES CHECKINS`.

No plane and no rule: batches of devices at random, whose ten columns of facts are read and written, four of them
compared, and whose next moments are drawn, packed and sorted. Prints the seconds that so many check-ins took.
"""

import sys
import time

import numpy as np

BATCH = 4_000
COLUMNS = 10


def main() -> None:
    """Run the batches and print the seconds."""
    devices, checkins = int(sys.argv[1]), int(sys.argv[2])
    choices = np.random.default_rng(1)
    columns = [np.zeros(devices, np.float32) for _ in range(COLUMNS)]
    seen = np.zeros(devices, np.int64)
    told = choices.random((COLUMNS, BATCH), np.float32)
    batches = [choices.integers(0, devices, BATCH) for _ in range(64)]
    fit = 0
    started = time.perf_counter()
    for number in range(max(1, checkins // BATCH)):
        rows = batches[number % len(batches)]
        held = [column[rows] for column in columns]
        fit += int(np.count_nonzero((held[0] >= 0.3) & (held[1] > 0.5) & (held[2] < 0.5) & (held[3] > 0.1)))
        for column, news in zip(columns, told, strict=True):
            column[rows] = news
        seen[rows] = number
        packed = (rows * 2_654_435_761 % 3_600_000 + number) << 24 | rows
        packed.sort()
    ended = time.perf_counter()
    sys.stdout.write(f"{ended - started:.6f} {fit}\n")


if __name__ == "__main__":
    main()
