"""The kill test: the plane, and separately each device, dies by SIGKILL at drawn moments of real runs over HTTP.

Every run ends with all its rounds, nothing that a device heard to be stored is lost or counted twice, the journal
verifies, and nothing is left running or lying about.
"""

import logging
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.kills.killing import Trial
from tests.e2e.kills.ledger import check
from tests.e2e.kills.phases import Hits, hits_of, missing, table

log = logging.getLogger("kills")

SEED = 20_250_101


def _trial(folder: Path, seed: str, rounds: int, tight: bool = False) -> tuple[Hits, Counter[str], int]:
    trial = Trial(folder, seed, rounds, tight=tight)
    began = time.monotonic()
    trial.execute()
    ends = check(trial)
    plane = len(trial.plane.deaths)
    took_s = time.monotonic() - began
    log.warning("seed %s: %d kills, %d of the plane, %.0f s, %s", seed, len(trial.deaths), plane, took_s, dict(ends))
    return hits_of(trial), ends, len(trial.deaths)


def test_a_run_survives_its_kills(tmp_path: Path) -> None:
    kills, number = 0, 0
    while kills < 8:
        kills += _trial(tmp_path / str(number), f"{SEED}/short/{number}", rounds=3)[2]
        number += 1


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_kills_in_every_phase(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = time.monotonic() + 400
    hits: Hits = Counter()
    kills, number = 0, 0
    while (kills < 100 or missing(hits)) and time.monotonic() < end:
        more, _, count = _trial(tmp_path / str(number), f"{SEED}/long/{number}", rounds=8, tight=number % 2 == 1)
        hits += more
        kills += count
        number += 1
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}: {kills} kills in {number} runs\n{table(hits)}\n")
    assert kills >= 100
    assert missing(hits) == []
