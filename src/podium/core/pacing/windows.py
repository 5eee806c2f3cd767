"""When each device should come back: two windows a reply, one if this goes well and one if it does not.

Decides: return windows in ms. A small population is brought together (rendezvous) so that rounds form at once: all are
told the same moments. A large one is spread so that check-ins come at one rate all day although the devices awake vary
fourfold, no more of them than tasks need, and at most `checkins_per_s_max`. The population that counts is who is awake,
not who ever enrolled. Never: who gets a lease. Source: pace steering, Bonawitz et al. 2019, "Towards federated learning
at scale", section 2.3; rate = waiting / window is Little's law (1961). Jitter is a keyed draw per device and moment, so
that a crowd never returns at once.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.wire.limits import Limits

CANDIDATES_PER_SEAT = 3
PATIENCE = 16
"""Who waits with a round that has been short for so long comes back after a sixteenth of that time: the round loses at
most that share when its last device arrives, and a long wait costs each device few requests."""


SPAN_EDGE = 0.95
"""Of what the floor and the ceiling allow, this much is planned for: tomorrow is not exactly as today."""
GATHER_JITTER = 0.02
"""Who gathers comes within a fiftieth of the time between two moments after each."""
QUEUE_EASY = 0.25
QUEUE_PUSH = 4.0
"""From a quarter full on a queue pushes windows out, up to fourfold when it is full."""


class PaceView(msgspec.Struct, frozen=True, kw_only=True):
    """What windows depend on besides the device and the moment.

    Made anew at a timer and held in between: were it made once a batch, cutting batches would change windows.
    `awake`: devices that wait. `low`, `high`, `learned`: the fewest and most of a day, as `Arrivals.band` tells.
    `seats`: what open rounds want; 0 is idle. `since_ms`: since when a round waits for devices, -1: none does.
    `queue`: the most requests that were undecided of late. `rate_per_s`: check-ins a second of late. `apart_ms`: who
    takes part is not wanted sooner.
    """

    awake: float
    low: float
    high: float
    learned: bool
    seats: int = 0
    since_ms: int = -1
    queue: int = 0
    rate_per_s: float = 0.0
    apart_ms: int = 0


class Kept(msgspec.Struct, frozen=True):
    """For which start each device of a batch is kept: int64 (n,), both 0 for one that is not.

    `starts_ms`: before when its round hardly starts, as far as is known; `every_ms`: how far apart it asks from then on
    (rounds/wants.py).
    """

    starts_ms: NDArray[np.int64]
    every_ms: NDArray[np.int64]


def windows(
    limits: Limits, view: PaceView, devices: NDArray[np.int64], at_ms: NDArray[np.int64], kept: Kept | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both return windows of each device: (if this goes well, if it does not), int64 ms >= 1, shape (n,).

    `kept`: who is kept for a round that forms returns when that can start, and then often enough to be there when it
    does; never later than everybody. All arrays have one shape.
    """
    push = pressure(limits, view)
    share = uniform(0, "return-window", devices * 1_000_003 + at_ms)
    if view.awake <= limits.rendezvous_devices_max:
        every = gather_ms(limits, view, at_ms) * math.ceil(push)
        spread = every - at_ms % every + (share * (every * GATHER_JITTER)).astype(np.int64)
    else:
        mean = spread_ms(limits, view) * push
        span = limits.window_large_jitter * mean
        spread = (mean - span + share * (2.0 * span)).astype(np.int64)
    if kept is not None and len(rows := kept.every_ms.nonzero()[0]):
        told = _kept_ms(limits, Kept(kept.starts_ms[rows], kept.every_ms[rows]), at_ms[rows], share[rows])
        spread[rows] = np.minimum(spread[rows], told)
    otherwise = np.minimum(np.maximum(spread, 1), limits.window_max_ms)
    return np.maximum(otherwise, min(view.apart_ms, limits.window_max_ms)), otherwise


def _kept_ms(limits: Limits, kept: Kept, at_ms: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.int64]:
    """The windows of kept devices, for a draw `share` each: who is sent to a start comes spread over a pause."""
    until, jitter = kept.starts_ms - at_ms, limits.window_jitter
    after = np.where(until > 0, (1.0 + jitter) * share, 1.0 + jitter * (2.0 * share - 1.0))
    told: NDArray[np.int64] = np.maximum(until, 0) + (kept.every_ms * after).astype(np.int64)
    return told


def kept_every_ms(limits: Limits, waited_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far apart kept devices ask when their round has waited so long: a share of that, so late it may begin."""
    every: NDArray[np.int64] = np.maximum(limits.window_reserved_ms, waited_ms // PATIENCE)
    return every


def longest_ms(limits: Limits, view: PaceView, at_ms: int) -> int:
    """The longest window in ms that a device is told at `at_ms`; no separation of a run counted in."""
    push = pressure(limits, view)
    if view.awake <= limits.rendezvous_devices_max:
        every = int(gather_ms(limits, view, np.array([at_ms]))[0]) * math.ceil(push)
        return min(int(every * (1.0 + GATHER_JITTER)), limits.window_max_ms)
    return min(int(spread_ms(limits, view) * push * (1.0 + limits.window_large_jitter)), limits.window_max_ms)


def longest_usual_ms(limits: Limits, devices: int) -> int:
    """The longest window in ms that so many devices are told unless the plane is overloaded."""
    if devices <= limits.rendezvous_devices_max:
        return int(max(limits.window_rendezvous_ms, limits.window_idle_ms) * (1.0 + GATHER_JITTER))
    return min(int(reach_ms(limits, devices)[1] * (1.0 + limits.window_large_jitter)), limits.window_max_ms)


def gather_ms(limits: Limits, view: PaceView, at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """The time between two moments at which a small population meets, in ms: int64, as seen at each of `at_ms`.

    Longer the longer a round has waited, by doubling: whoever was told a longer one comes to a moment of the shorter.
    """
    first, longest = limits.window_rendezvous_ms, max(limits.window_rendezvous_ms, limits.window_idle_ms)
    waited = at_ms - view.since_ms if view.since_ms >= 0 else np.zeros_like(at_ms)
    wanted = np.minimum(np.maximum(waited // PATIENCE, first), longest) if view.seats else np.full_like(at_ms, longest)
    # a float's exponent is the bit length of its whole part
    doublings = np.frexp((wanted // first).astype(np.float64))[1] - 1
    every: NDArray[np.int64] = np.left_shift(np.int64(first), doublings.astype(np.int64))
    return every


def spread_ms(limits: Limits, view: PaceView) -> float:
    """The mean window of a large population in ms: `awake` devices come at `target_per_s`."""
    floor, ceiling = reach_ms(limits, view.high)
    at_most = view.awake * 1000.0 / limits.checkins_per_s_max
    if view.seats == 0:
        return max(ceiling, at_most)
    return max(min(max(view.awake * 1000.0 / target_per_s(limits, view), floor), ceiling), at_most)


def target_per_s(limits: Limits, view: PaceView) -> float:
    """Check-ins a second to aim at all day: what the seats need, if fewest and most devices can come at that rate."""
    floor, ceiling = reach_ms(limits, view.high)
    least, most = view.high / (ceiling * SPAN_EDGE), max(view.low, 1.0) * SPAN_EDGE / floor
    needed = view.seats * CANDIDATES_PER_SEAT / limits.window_candidates_ms
    # where the day swings by more than the windows do, or may, the middle errs least on either side
    return 1000.0 * (math.sqrt(least * most) if least > most else min(max(needed, least), most))


def reach_ms(limits: Limits, high: float) -> tuple[float, float]:
    """The least and the longest mean window in ms of a large population of at most `high` devices awake.

    Those of the limits where they come to `checkins_easy_per_s_max`; a smaller one may return sooner, in proportion.
    """
    floor = min(
        limits.window_floor_ms, max(high * 1000.0 / limits.checkins_easy_per_s_max, limits.window_rendezvous_ms)
    )
    return floor, floor * limits.window_ceiling_ms / limits.window_floor_ms


def pressure(limits: Limits, view: PaceView) -> float:
    """By how much windows are pushed out, >= 1: check-ins above what the plane takes, or a queue that fills."""
    full = min(1.0, view.queue / limits.requests_waiting_max)
    queued = 1.0 + (QUEUE_PUSH - 1.0) * max(0.0, full - QUEUE_EASY) / (1.0 - QUEUE_EASY)
    return max(1.0, view.rate_per_s / limits.checkins_per_s_max, queued)
