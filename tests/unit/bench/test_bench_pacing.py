"""The bench of pacing: every row is there, over small fleets, and its limit is what a fleet does that nobody paces."""

import numpy as np
import pytest

from bench import _paced_day, pacing
from podium.sim.traces import AlwaysThere


@pytest.mark.long
def test_small_fleets_have_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "FLEETS", (("peak-300", 300),))
    monkeypatch.setattr(pacing, "SMALL_SEEDS", (1,))
    monkeypatch.setattr(pacing, "WASTE_SEEDS", (7,))
    rows = list(pacing.measure())
    assert [row["name"] for row in rows] == ["peak-300", "first-window", "waste"]
    assert rows[1]["met"] and rows[2]["met"], rows
    assert rows[1]["value"] == 1.0


def test_whoever_is_always_there_comes_at_one_rate() -> None:
    day = _paced_day.came(AlwaysThere(), 200, 450_000)
    assert day.tolist() == [400] * 96, "each twice in a quarter hour"
    assert np.isclose(_paced_day.came(AlwaysThere(), 7, 900_000).sum(), 7 * 96)
