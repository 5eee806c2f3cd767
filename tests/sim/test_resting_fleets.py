"""Small fleets whose devices have spent what they may, or are kept apart: nobody asks in vain again and again."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from podium.core.effects import AnySend, CheckinAnswers
from podium.core.selection.reasons import CODE, REASONS
from podium.sim.beginning import Setting
from podium.sim.world import World
from podium.tasks.task import Task
from tests.support.core_made import task

HOURS = 8
DEVICES = 60


class Told(World):
    """A world that counts what check-ins hear, by reason and by device."""

    def __init__(self, of: Task, setting: Setting) -> None:
        super().__init__(of, setting)
        self.heard = {name: np.zeros(setting.devices, np.int64) for name in REASONS}

    def _send(self, send: AnySend) -> None:
        super()._send(send)
        if isinstance(send, CheckinAnswers):
            for name in REASONS:
                np.add.at(self.heard[name], send.ticket[send.reason == CODE[name]], 1)


@pytest.mark.parametrize(
    ("reason", "terms"),
    [("budget", {"budgets": {"trainings_per_day": 2}}), ("separation", {"separation": 12 * 3_600_000})],
)
def test_who_may_not_train_for_hours_asks_a_few_times(reason: str, terms: Mapping[str, object]) -> None:
    """Everybody has trained within minutes and may not again for half a day: before, each asked 1,000 times an hour."""
    run = {"goal": 10, "minimum": 8, "rounds": 999, "abandoned_max": 999, "form_deadline": 3_600_000}
    setting = Setting(devices=DEVICES, seed=3, until_ms=HOURS * 3_600_000)
    world = Told(task(**run, **terms, deadline=10 * 86_400_000), setting)
    world.run()
    took = Counter(lease.device for lease in world.core.state.leases.values())
    assert len(took) >= 0.9 * DEVICES and world.core.state.runs["sim"].rounds_sealed >= 5
    asked = world.heard[reason]
    # once in 4 hours
    assert np.median(asked) >= 1
    assert asked.max() <= 4, f"{reason}: {sorted(asked.tolist())}"
