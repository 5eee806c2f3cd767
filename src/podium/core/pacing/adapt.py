"""Rounds that adapt: how many leases for one goal, how long to wait, what to replace, how to grow, when to give up.

Decides: numbers from what was learned (fleet/reliability.py). Never: a transition; the round machine asks and acts.
Limits: `over_min` and `over_max` bound the leases; the task's `report_deadline` and `stall` are promises that nothing
here moves. A shorter wait never takes back a lease: what is late may still report until the task's own deadline;
it only stops counting as a hope, so that a seat is filled anew while that helps. A round closes before its deadline
when its goal is met, or when no lease and no replacement can still meet it.
Source: the sum of unlike chances is Poisson-binomial, near a normal (Le Cam 1960; half a report for continuity); grow
rate and abort criteria after the rollout configuration of AWS IoT Jobs.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podium.tasks.task import Abort, Ramp
from podium.wire.limits import Limits

Levels = NDArray[np.float32]
Outlook = Literal["met", "open", "short", "hopeless"]

SURE = 0.8416212335729143
"""The standard normal's 0.8 quantile: as many leases as meet the goal four times in five without a replacement."""
SLACK = 1.5
"""Who takes longer than this many times its class's p95 is not waited for."""


def leases_for(limits: Limits, goal: int, loss_rates: Levels) -> int:
    """The fewest leases of which `goal` (>= 1) report with a chance of 0.8, bounded by the limits.

    `loss_rates`: float32 (n,), n >= 1, in [0, 1), of the devices in the order in which they would be chosen; beyond
    them their mean.
    """
    least, most = int(np.ceil(goal * limits.over_min)), int(goal * limits.over_max)
    known, mean = loss_rates[:most].astype(np.float64), float(loss_rates.mean(dtype=np.float64))
    reports, variance = (1.0 - known).cumsum(), (known * (1.0 - known)).cumsum()

    def enough(leases: int) -> bool:
        place = min(leases, len(known)) - 1
        more = leases - 1 - place
        expected = float(reports[place]) + more * (1.0 - mean)
        return expected - goal + 0.5 >= SURE * math.sqrt(float(variance[place]) + more * mean * (1.0 - mean))

    if first := next((leases for leases in range(goal, len(known)) if enough(leases)), 0):
        return max(least, first)
    # from here on each lease adds the same: once there are enough there always are, and a goal may be a million
    tail = range(max(goal, len(known)), most + 1)
    return max(least, tail[0] + bisect.bisect_left(tail, True, key=enough)) if enough(most) else most


def hope_ms(report_deadline_ms: int, slowest_ms: Levels) -> int:
    """How long after its grant a lease still counts as one that will report; at most the task's `report_deadline_ms`.

    `slowest_ms`: the p95 of the duration of each chosen class, NaN unknown: then it is waited for to the end.
    """
    if len(slowest_ms) == 0 or np.isnan(slowest_ms).any():
        return report_deadline_ms
    return min(report_deadline_ms, int(SLACK * float(slowest_ms.max())))


def replacement_pays(remaining_ms: int | NDArray[np.int64], duration_ms: Levels) -> NDArray[np.bool_]:
    """Whether a device that usually takes `duration_ms` (float32, NaN unknown) can report within `remaining_ms`.

    An unknown duration is tried: nothing is learned otherwise.
    """
    late: NDArray[np.bool_] = duration_ms > remaining_ms
    return ~late & (np.asarray(remaining_ms) > 0)


def outlook(goal: int, minimum: int, stored: int, hopeful: int) -> Outlook:
    """What a round can come to with `stored` updates and `hopeful` more (leases in hope, seats whose filling pays).

    "met": the goal is there, close. "open": it can be, go on. "short": it cannot, but the minimum is there, close.
    "hopeless": not even the minimum can be; give up now rather than at the deadline. Between the two, "open".
    """
    if stored >= goal:
        return "met"
    if stored + hopeful >= goal:
        return "open"
    if stored + hopeful < minimum:
        return "hopeless"
    return "short" if stored >= minimum and hopeful == 0 else "open"


def cohort_now(ramp: Ramp, goal: int, successes: int) -> int:
    """The devices of the next round after `successes` sealed ones: `base`, times `factor` each `after`, to `goal`."""
    steps, cohort = successes // ramp.after, float(min(ramp.base, goal))
    # by steps, so that a run of a million rounds overflows nothing
    while steps > 0 and cohort < goal and ramp.factor > 1.0:
        cohort, steps = min(cohort * ramp.factor, float(goal)), steps - 1
    return min(goal, int(cohort))


def should_abort(criteria: Sequence[Abort], outcomes: Mapping[str, int]) -> str:
    """The kind of the first of `criteria` that `outcomes` meet, or "".

    `outcomes`: kind -> leases that ended so, "accepted" ones too; "superseded" and "revoked" were the plane's doing and
    are not to be among them.
    """
    ended = sum(outcomes.values())
    for each in criteria:
        lost = outcomes.get(each.kind, 0)
        if ended >= each.min and lost > 0 and lost / ended >= each.share:
            return each.kind
    return ""
