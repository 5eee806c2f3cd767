"""A plane that is killed while it makes its directory, and again while it stops: the next start goes on from there."""

import logging
import random
import time
from pathlib import Path

import pytest

from podium.server.journal.audit import verify_data
from tests.e2e.kills.killing import Trial

log = logging.getLogger("kills")

SEED = 7


@pytest.mark.parametrize("directories", [3, pytest.param(24, marks=pytest.mark.long)])
def test_a_first_start_may_die_at_any_moment(tmp_path: Path, directories: int) -> None:
    log.warning("seed %d", SEED)
    draw = random.Random(SEED)
    startup_s = _start(Trial(tmp_path / "measured", "measured", 1))
    for number in range(directories):
        trial = Trial(tmp_path / str(number), f"first/{number}", 1)
        for _ in range(2):
            # the first half of a start only loads code
            trial.plane.start()
            time.sleep(draw.uniform(0.5, 1.2) * startup_s)
            trial.plane.bury()
        _start(trial, dies_s=draw.uniform(0, 0.05))
        _start(trial)
        assert verify_data(trial.data).pending == 0


def _start(trial: Trial, dies_s: float = -1) -> float:
    """One life to its end, or killed `dies_s` after it was told to end; how long it took to start, in s."""
    began = time.monotonic()
    try:
        trial.plane.start()
        trial.until(trial.plane.ready, 60, trial.plane)
        took_s = time.monotonic() - began
        trial.plane.end(dies_s)
    finally:
        trial.bury()
    return took_s
