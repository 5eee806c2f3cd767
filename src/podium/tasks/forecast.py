"""What a task will ask of a fleet before it has run: devices, bytes and time, from its terms alone.

Decides: the bounds that its own terms set. Never: whether a fleet can serve it (core/selection), nor how long devices
really take. Limits: over-selection is bounded as this release's default limits bound it; a replaced lease fetches the
model again, which is not counted.
"""

import math

import msgspec

from podium.tasks.task import Task
from podium.wire.limits import Limits


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Devices asked at once, bytes and ms. `*_bytes` of a whole round are the most; -1 where the model is not known."""

    rounds: int
    goal: int
    minimum: int
    devices_least: int
    devices_most: int
    device_down_bytes: int
    device_up_bytes: int
    round_down_bytes: int
    round_up_bytes: int
    round_ms: int
    run_ms: int


def forecast(task: Task, model_bytes: int = -1, update_bytes: int = -1) -> Forecast:
    """The forecast of a checked `task` whose base version has `model_bytes` and whose updates have `update_bytes`.

    Both in bytes, -1 if not known. A round lasts at most its two deadlines, a run as many rounds or its own deadline.
    """
    limits, terms = Limits(), task.round
    over = task.select.over
    least, most = (limits.over_min, limits.over_max) if over == "auto" else (over, over)
    room = terms.concurrency or limits.leases_live_max
    asked = [
        min(room, math.ceil(terms.goal * min(max(factor, limits.over_min), limits.over_max)))
        for factor in (least, most)
    ]
    up = 0 if task.task.kind == "evaluate" else update_bytes
    round_ms = int(terms.form_deadline + terms.report_deadline)
    return Forecast(
        rounds=task.run.rounds,
        goal=terms.goal,
        minimum=terms.minimum or terms.goal,
        devices_least=asked[0],
        devices_most=asked[1],
        device_down_bytes=model_bytes,
        device_up_bytes=up,
        round_down_bytes=-1 if model_bytes < 0 else model_bytes * asked[1],
        round_up_bytes=-1 if up < 0 else up * asked[1],
        round_ms=round_ms,
        run_ms=min(int(task.run.deadline), round_ms * task.run.rounds),
    )
