"""Seats leased in slices: however gateways interleave, die or go on with old slices, nobody is let in without a seat.

A model of the whole split: gateways that hold what they last heard, nominations under way, and a store whose grant
knows what is true now. Counters show that each way to lose at the grant was met.
"""

import random
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.selection.quotas import NEWEST, Nominations, Quotas, Slices, arbitrate, divide, used, within
from podium.core.selection.seats import Seats
from podium.wire.limits import Limits

DEVICES, APART_MS, TIMES_MAX = 24, 300, 2
QUOTA_MS = 500
NOBODY = np.zeros(DEVICES, np.bool_)


class Split:
    """A round of `seats` that never reports: gateways and a store, `now_ms` apart from nothing."""

    def __init__(self, seats: int, gateways: int, met: Counter[str]) -> None:
        limits = Limits(gateways_max=gateways, quota_ms=QUOTA_MS)
        self.seats, self.met, self.now_ms = seats, met, 0
        self.quotas = Quotas(limits)
        self.live: dict[int, int] = {}  # device -> leases that it holds
        self.took_ms = np.full(DEVICES, -APART_MS)
        self.times = np.zeros(DEVICES, np.int64)
        self.over_budget = NOBODY.copy()
        self.holds: list[Slices] = []
        self.sees: list[list[set[str]]] = [self.bars()] * gateways
        self.cut = [False] * gateways
        self.under_way: list[tuple[int, int, int]] = []  # device, gateway, generation
        self.lease()

    def bars(self) -> list[set[str]]:
        """Why the store lets each device not in now."""
        tests = {
            "holds a lease": np.isin(np.arange(DEVICES), list(self.live)),
            "cap": self.times >= TIMES_MAX,
            "budget": self.over_budget,
            "separation": self.now_ms - self.took_ms < APART_MS,
        }
        return [{name for name, bars in tests.items() if bars[device]} for device in range(DEVICES)]

    def lease(self) -> None:
        """The coordinator begins a generation; those cut off do not hear of it, and none sees devices anew."""
        self.quotas.turn(self.now_ms)
        leased = self.quotas.lease(max(0, self.seats - len(self.live)), 0.5)
        assert leased.left.sum() == leased.seats == self.seats - len(self.live)
        if not self.holds:
            self.holds = [leased] * len(self.cut)
        self.met["leased anew"] += self.now_ms > 0
        for number, cut in enumerate(self.cut):
            if not cut:
                self.holds[number] = leased

    def wait(self, ms: int) -> None:
        """Time passes, and generations with it."""
        until = self.now_ms + ms
        while self.quotas.next_ms <= until:
            self.now_ms = self.quotas.next_ms
            self.lease()
        self.now_ms = until

    def check_in(self, gateway: int, devices: list[int], clock: bool) -> None:
        """`devices` check in at a gateway, whose clock stands still if not `clock`; it nominates by what it knows."""
        mine, rows = self.holds[gateway], np.array(devices)
        at = np.full(len(rows), self.now_ms if clock else mine.generation)
        self.quotas.observe(np.full(len(rows), gateway))
        asks = np.array([not self.sees[gateway][device] for device in devices])
        chosen = within(mine, at, np.full(len(rows), gateway), asks)
        self.met["slice spent"] += bool((asks & ~chosen).any()) and self.now_ms < mine.until_ms
        self.met["slice over"] += clock and self.now_ms >= mine.until_ms and mine.left[gateway] > 0
        assert chosen.sum() <= mine.left[gateway]
        self.holds[gateway] = used(mine, np.full(int(chosen.sum()), gateway))
        self.under_way += [(device, gateway, mine.generation) for device in rows[chosen].tolist()]

    def grant(self) -> None:
        """The store decides about all nominations under way at once."""
        asked, self.under_way = self.under_way, []
        devices = np.array([device for device, _, _ in asked], np.int64)
        generations = np.array([generation for _, _, generation in asked], np.int64)
        why = self.bars()
        barred = np.array([bool(why[device]) for device, _, _ in asked], np.bool_)
        nominations = Nominations(
            device=devices, generation=generations, own=np.zeros(len(asked), np.bool_), barred=barred
        )
        let_in = arbitrate(nominations, self.seats - len(self.live), 0, self.quotas.generation)
        seen: dict[int, int] = {}
        for (device, gateway, generation), granted in zip(asked, let_in.tolist(), strict=True):
            if why[device]:
                self.met.update(why[device])  # it was not so, or the gateway did not know, when it nominated the device
                assert not granted, why[device]
            elif generation != self.quotas.generation:
                self.met["stale"] += 1
                assert not granted, "a stale gateway can only lose"
            elif device in seen:
                self.met["twice in one batch"] += seen[device] != gateway
                assert not granted
            else:
                seen[device] = gateway
                self.met["granted"] += granted
            if granted:
                self.live[device] = self.live.get(device, 0) + 1
                self.took_ms[device], self.times[device] = self.now_ms, self.times[device] + 1

    def holds_true(self) -> None:
        """No more than there are seats: live, under way by present slices, and still in these."""
        current = self.quotas.generation
        under_way = sum(generation == current for _, _, generation in self.under_way)
        left = sum(int(mine.left[n]) for n, mine in enumerate(self.holds) if mine.generation == current)
        assert len(self.live) + under_way + left <= self.seats
        assert max(self.live.values(), default=1) == 1, "one lease a device"
        assert self.times.max() <= TIMES_MAX


OFTEN = {"in": 6, "in, clock stopped": 2, "grant": 3, "end": 4, "wait": 8, "cut": 2, "heal": 1, "see": 2, "spend": 1}
ACTS = tuple(act for act, times in OFTEN.items() for _ in range(times))
LOST = ("holds a lease", "separation", "cap", "budget", "stale", "twice in one batch")
MET = ("leased anew", "slice spent", "slice over", "granted", *LOST)


def happen(split: Split, act: str, chance: random.Random) -> None:
    """One thing happens somewhere."""
    gateways = len(split.cut)
    gateway = chance.randrange(gateways)
    match act:
        case "in" | "in, clock stopped":
            some = [chance.randrange(DEVICES) for _ in range(chance.randint(1, 5))]
            split.check_in(gateway, some, act == "in")
            if chance.random() < 0.5:  # the same devices, at another gateway, before the store hears of either
                split.check_in((gateway + 1) % gateways, some, act == "in")
        case "grant":
            chance.shuffle(split.under_way)
            split.grant()
        case "end" if split.live:
            del split.live[chance.choice(sorted(split.live))]
        case "wait":
            split.wait(chance.choice((1, 100, 250, 800)))
        case "cut" | "heal":
            split.cut[gateway] = act == "cut"
        case "see":
            split.sees[gateway] = split.bars()
        case "spend":
            split.over_budget = NOBODY.copy()
            split.over_budget[chance.sample(range(DEVICES), 4)] = True


def test_gateways_in_any_interleaving_let_nobody_in_without_a_seat() -> None:
    met: Counter[str] = Counter()
    for seed in range(100):  # drawn by seed alone, so that the same cells are reached each time
        chance = random.Random(seed)
        split = Split(chance.randint(2, 12), 1 + seed % 8, met)
        for act in chance.choices(ACTS, k=200):
            happen(split, act, chance)
            split.holds_true()
        split.grant()
        split.holds_true()
    assert [case for case in MET if met[case] < 5] == [], met


@given(
    st.integers(0, 5_000),
    st.lists(st.integers(0, 1_000), min_size=1, max_size=9),
    st.floats(0.0, 1.0, exclude_max=True),
)
def test_each_gateway_gets_its_share_to_the_next_whole_number(seats: int, arrivals: list[int], draw: float) -> None:
    given_seats = divide(seats, np.array(arrivals, np.float64), draw)
    weights = np.array(arrivals if any(arrivals) else [1] * len(arrivals), np.float64)
    share = weights / weights.sum() * seats
    assert given_seats.sum() == seats
    assert np.abs(given_seats - share).max() < 1.0 + 1e-9
    assert not given_seats[weights == 0].any()


def test_over_the_draws_shares_are_exact() -> None:
    arrivals = np.array([1.0, 0.0, 2.0, 13.0])
    draws = (np.arange(1_600) + 0.5) / 1_600
    mean = np.mean([divide(1, arrivals, draw) for draw in draws], axis=0)
    assert mean.tolist() == [1 / 16, 0.0, 2 / 16, 13 / 16], "one seat, and each gateway has it at times"


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans(), st.booleans()), max_size=20)


@given(ROWS, st.integers(0, 6), st.integers(0, 4), st.integers(0, 2))
def test_the_grant_is_what_one_row_after_the_other_would_get(
    rows: list[tuple[int, int, bool, bool]], seats: int, reserved: int, generation: int
) -> None:
    asked = Nominations(
        device=np.array([row[0] for row in rows], np.int64),
        generation=np.array([row[1] - 1 for row in rows], np.int64),
        own=np.array([row[2] for row in rows], np.bool_),
        barred=np.array([row[3] for row in rows], np.bool_),
    )
    expected, tried, free, taken = [], set(), 0, 0
    for device, number, own, barred in rows:
        granted = False
        if not barred and device not in tried and (own or number - 1 in (NEWEST, generation)):
            tried.add(device)
            free += not own
            granted = own or free <= seats - reserved
            taken += granted
        expected.append(granted and taken <= seats)
    assert arbitrate(asked, seats, reserved, generation).tolist() == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 20)), max_size=30),
    st.lists(st.integers(0, 5), min_size=4, max_size=4),
)
def test_a_slice_is_used_in_order_until_it_is_spent_or_over(rows: list[tuple[int, bool, int]], left: list[int]) -> None:
    rows.sort(key=lambda row: row[2])
    slices = Slices(generation=0, until_ms=15, seats=sum(left), left=np.array(left))
    remaining, expected = list(left), []
    for gateway, asks, at in rows:
        expected.append(asks and at < 15 and remaining[gateway] > 0)
        remaining[gateway] -= expected[-1]
    gateways = np.array([row[0] for row in rows], np.int64)
    at_ms, asking = np.array([row[2] for row in rows], np.int64), np.array([row[1] for row in rows], np.bool_)
    nominated = within(slices, at_ms, gateways, asking)
    assert nominated.tolist() == expected
    assert used(slices, gateways[nominated]).left.tolist() == remaining


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 12))
def test_a_cut_off_of_before_keeps_the_same_devices_at_any_gateway(seed: int, gateways: int, capacity: int) -> None:
    chance = np.random.default_rng(seed)
    keys, groups = chance.random(100), chance.integers(-1, 3, 100).astype(np.int16)
    whole, merged = Seats({0: capacity, 1: 3}), Seats({0: capacity, 1: 3})
    cutoffs, told = [merged.cutoffs()] * gateways, 0
    for device in range(100):
        number, one = int(chance.integers(gateways)), np.array([device])
        whole.offer(one, groups[one], keys[one])
        if keys[device] <= cutoffs[number][np.clip(groups[device], -1, len(cutoffs[number]) - 1)]:
            merged.offer(one, groups[one], keys[one])
            told += 1
        if device % 10 == 0:  # one gateway hears what the coordinator keeps by now
            cutoffs[int(chance.integers(gateways))] = merged.cutoffs()
    assert merged.members().tolist() == whole.members().tolist()
    assert told <= (groups >= 0).sum()


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from((1, 3, 8)), st.integers(8, 400))
def test_a_round_fills_soon_however_skewed_the_arrivals(seed: int, gateways: int, seats: int) -> None:
    """By slices it takes at most half as long again as one gateway would, and three generations."""
    chance = np.random.default_rng(seed)
    skew = chance.random(gateways) ** 3 + 1e-3
    arrivals = np.cumsum(chance.exponential(20.0, 40 * seats)).astype(np.int64)
    landed = chance.choice(gateways, len(arrivals), p=skew / skew.sum())
    quotas, filled = Quotas(Limits(gateways_max=gateways, quota_ms=QUOTA_MS)), 0
    for number in range(1_000_000):
        quotas.turn(number * QUOTA_MS)
        slices = quotas.lease(seats - filled, float(chance.random()))
        rows = np.arange(*arrivals.searchsorted([quotas.generation, quotas.next_ms]))
        quotas.observe(landed[rows])
        let_in = within(slices, arrivals[rows], landed[rows], np.ones(len(rows), np.bool_))
        if filled + let_in.sum() == seats:
            took = arrivals[rows[let_in][-1]]
            break
        filled += int(let_in.sum())
    assert took <= 1.5 * arrivals[seats - 1] + 3 * QUOTA_MS, (took, arrivals[seats - 1])
