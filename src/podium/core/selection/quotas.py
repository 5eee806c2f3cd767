"""Quotas: a round's open seats, leased in slices to the gateways at which devices check in; the grant is the arbiter.

Decides: how seats are divided (the coordinator), whom a gateway nominates from its slice (the gateway), and which
nominations become leases (the grant). Slices are leased for `quota_ms`: what was not used then comes back with the next
generation, which is the moment at which it was leased, so that it grows whatever restarts. A gateway promises nothing:
one whose slice is of an older generation, or that saw a device as it was before, can only lose at the grant, and its
device hears `full`. So no number of gateways lets more in than there are seats, and none waits for the coordinator.
A forming round's seats are kept by key and not divided, because the smallest keys may come to any gateway; its slice is
a cut-off, the greatest key that still finds a seat: who is beyond it need not be told to the coordinator.
Never: how many seats a round has (rounds/adapting.py), nor when slices are leased (slices.py). With one gateway, that
of the embedded plane, nothing is leased: it holds the whole demand.
Source: escrowed shares of a bounded counter (O'Neil 1986, "The escrow transactional method"); systematic sampling for
the rounding (Madow and Madow 1944).
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.wire.limits import Limits

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEWEST = -1
"""The generation of a row whose gateway holds what was leased last."""


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """At which gateway each row of a batch landed (int64, from 0), and by slices of which `generation` (int64)."""

    gateway: Numbers
    generation: Numbers


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """One round's `seats` as they are leased to gateways until `until_ms`; `left`: int64 (gateways,), not yet used."""

    generation: int
    until_ms: int
    seats: int
    left: Numbers


class Nominations(msgspec.Struct, frozen=True, kw_only=True):
    """What gateways ask the grant for, in order. `own`: the device has a reserved seat; all of one shape.

    `barred`: as the store knows it now, the device holds a lease, took part too lately, or has reached a cap or budget.
    """

    device: Numbers
    generation: Numbers
    own: Mask
    barred: Mask


def divide(seats: int, arrivals: Floats, draw: float) -> Numbers:
    """`seats` (>= 0) by `arrivals` (float64 (gateways,), >= 0; evenly if all are 0): int64, same shape, sum `seats`.

    Each gateway gets the whole number below or above its share, and over `draw` (uniform in [0, 1)) its share on the
    mean: one at which few arrive has a seat now and then, however few there are.
    """
    shares = (arrivals if arrivals.any() else np.ones(len(arrivals))).cumsum()
    marks = np.minimum(np.floor(shares / shares[-1] * seats + draw), seats)
    whole: Numbers = np.diff(marks, prepend=0.0).astype(np.int64)
    return whole


def within(slices: Slices, at_ms: Numbers, gateway: Numbers, asks: Mask) -> Mask:
    """The gateways' part: which rows that ask get a seat of the slice where they landed (bool, same shape), in order.

    `at_ms` and `gateway` int64: when and where each row landed; there is nothing left from `until_ms` on.
    """
    asks, nominated = asks & (at_ms < slices.until_ms), np.zeros(len(asks), np.bool_)
    for number in np.flatnonzero(slices.left):
        nominated[np.flatnonzero(asks & (gateway == number))[: slices.left[number]]] = True
    return nominated


def present(generation: Numbers, now: int) -> Mask:
    """Which nominations are by slices of the generation `now` (bool, same shape)."""
    same: Mask = (generation == NEWEST) | (generation == now)
    return same


def used(slices: Slices, gateway: Numbers) -> Slices:
    """`slices` after a seat was taken from that of each of `gateway` (int64)."""
    left = slices.left - np.bincount(gateway, minlength=len(slices.left))
    return msgspec.structs.replace(slices, left=left)


def arbitrate(asked: Nominations, seats: int, reserved: int, generation: int) -> Mask:
    """The grant: which nominations become leases of a round with `seats` (bool, same shape), in order.

    A device that is not barred gets one, once: in its `own` seat, or by a slice of the present `generation` out of the
    seats that are not `reserved`; and nobody once all seats are taken.
    """
    stands = np.flatnonzero(~asked.barred & (asked.own | present(asked.generation, generation)))
    once = np.zeros(len(asked.device), np.bool_)
    once[stands[np.unique(asked.device[stands], return_index=True)[1]]] = True
    free = once & ~asked.own
    granted: Mask = once & (asked.own | (np.cumsum(free) <= seats - reserved))
    granted &= np.cumsum(granted) <= seats
    return granted


class Quotas:
    """What the coordinator knows of gateways: where devices came of late, and what it leased last. Volatile by design.

    Limits: `gateways_max` gateways, `quota_ms`; an arrival counts half as much after each generation.
    """

    def __init__(self, limits: Limits) -> None:
        self.several = limits.gateways_max > 1
        self.generation = NEWEST
        self.next_ms = 0
        self._quota_ms = limits.quota_ms
        self._came: Numbers = np.zeros(limits.gateways_max, np.int64)  # since the last generation
        self._lately: Floats = np.zeros(limits.gateways_max)

    def observe(self, gateway: Numbers) -> None:
        """Check-ins landed at `gateway` (int64)."""
        self._came += np.bincount(gateway, minlength=len(self._came))

    def turn(self, at_ms: int) -> None:
        """A new generation begins at `at_ms`."""
        self.generation, self.next_ms = at_ms, at_ms + self._quota_ms
        self._lately = 0.5 * self._lately + self._came
        self._came = np.zeros_like(self._came)

    def lease(self, seats: int, draw: float) -> Slices:
        """`seats` of a round, leased by where devices came of late, until the next generation."""
        left = divide(seats, self._lately, draw)
        return Slices(generation=self.generation, until_ms=self.next_ms, seats=seats, left=left)
