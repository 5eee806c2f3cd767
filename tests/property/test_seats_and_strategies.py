"""Seats keep the smallest keys of the set, whoever comes when; strategies keep quotas and caps, and starve nobody."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.selection.plan import View, lint, propose
from podium.core.selection.seats import Seats
from podium.core.selection.strategies.fair import LeastOftenFirst, may_take_part
from podium.core.selection.strategies.registry import BUILT_IN, make_strategy
from podium.core.selection.strategies.strategy import Candidates, RoundAsk, Strategy
from podium.tasks.task import Fairness, Select
from tests.support.candidates_made import NAN, ask, candidates

DEVICES = st.lists(st.integers(0, 200), min_size=1, max_size=60)
ORDERS = st.integers(1, 210)
NAMES = sorted(BUILT_IN)


def keys_of(devices: NDArray[np.int64]) -> NDArray[np.float64]:
    """A key per device with many ties."""
    return np.floor(uniform(3, "reserve", devices) * 16)


@given(DEVICES, st.dictionaries(st.integers(0, 3), st.integers(0, 20), max_size=4), ORDERS, st.integers(1, 9))
def test_seats_depend_on_the_set_alone(devices: list[int], capacities: dict[int, int], order: int, cut: int) -> None:
    every = np.unique(devices)
    by_key = sorted(zip((every % 5).tolist(), keys_of(every).tolist(), every.tolist(), strict=True))
    expected = [
        device
        for group in sorted(capacities)
        for device in [device for each, _, device in by_key if each == group][: capacities[group]]
    ]
    shuffled = np.array(sorted(devices, key=lambda device: (device * order) % 211), np.int64)
    pieces = [Seats(capacities), Seats(capacities)]
    for place in range(0, len(shuffled), cut):
        part = shuffled[place : place + cut]
        pieces[place // cut % 2].offer(part, (part % 5).astype(np.int16), keys_of(part))
    merged, others = pieces[0], pieces[1].members()
    merged.offer(others, (others % 5).astype(np.int16), keys_of(others))
    assert merged.members().tolist() == expected
    assert merged.holds(every).tolist() == [device in expected for device in every.tolist()]


@given(DEVICES, st.integers(0, 12), st.integers(1, 60))
def test_whoever_is_kept_when_it_comes_does_not_depend_on_batches(devices: list[int], capacity: int, cut: int) -> None:
    """Told one by one, each is kept that then stands among the smallest of those that came so far."""
    every, heard, came = np.array(devices, np.int64), list[bool](), set[tuple[float, int]]()
    for device, key in zip(devices, keys_of(every).tolist(), strict=True):
        came.add((key, device))
        heard.append((key, device) in sorted(came)[:capacity])
    seats, told = Seats({0: capacity}), list[bool]()
    for place in range(0, len(devices), cut):
        part = every[place : place + cut]
        told += seats.offer(part, np.zeros(len(part), np.int16), keys_of(part)).tolist()
    assert told == heard


def test_who_asks_again_hears_the_same_as_one_by_one() -> None:
    """Whoever was nominated tells no key and no group when it comes again; it may lose its seat a row before that."""
    reached = Counter[str]()
    for seed in range(100):  # drawn by seed alone, so that the same cells are reached each time
        chance, came = np.random.default_rng(seed), set[int]()
        one, whole = (Seats({0: 3 + seed % 4, 2: 6}) for _ in range(2))
        for _ in range(12):
            devices = chance.permutation(40)[: int(chance.integers(1, 12))]
            keys = keys_of(devices).tolist()
            rows = [
                (device, 0, NAN) if device in came else (device, device % 3, key)
                for device, key in zip(devices.tolist(), keys, strict=True)
            ]
            held = one.holds(devices).tolist()
            told = [bool(offer(one, [row])[0]) for row in rows]
            assert offer(whole, rows).tolist() == told
            assert whole.members().tolist() == one.members().tolist()
            for (device, _, _), before, kept in zip(rows, held, told, strict=True):
                reached["new" if device not in came else "lost" if before > kept else "kept" if kept else "none"] += 1
            came.update(devices.tolist())
    assert sorted(reached) == ["kept", "lost", "new", "none"], reached


def offer(seats: Seats, rows: list[tuple[int, int, float]]) -> NDArray[np.bool_]:
    """Offer rows of (device, group, key)."""
    devices, groups, keys = zip(*rows, strict=True)
    return seats.offer(np.array(devices, np.int64), np.array(groups, np.int16), np.array(keys))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60))
def test_a_dropped_seat_goes_to_the_next_who_offers(steps: list[tuple[bool, int]]) -> None:
    seats, kept = Seats({0: 4, 1: 3}), dict[int, tuple[int, float]]()
    for offers, number in steps:
        device = np.array([number], np.int64)
        key, group = float(keys_of(device)[0]), number % 3
        if offers:
            seats.offer(device, np.array([group], np.int16), np.array([key]))
            kept[number] = (group, key)
            rivals = sorted((key, each) for each, (other, key) in kept.items() if other == group)
            for _, each in rivals[(4, 3, 0)[group] :]:
                del kept[each]
        else:
            seats.drop(number)
            kept.pop(number, None)
        assert seats.members().tolist() == sorted(kept, key=lambda each: (*kept[each], each))


def fleet(size: int, salt: int) -> Candidates:
    """A fleet whose columns are drawn: half told a utility and a loss, some a duration and a quality."""
    devices = np.arange(size, dtype=np.int64)
    told = {name: uniform(salt, name, devices) for name in ("utility", "loss", "speed", "quality", "times", "prefers")}
    seen = told["times"] < 0.5
    return candidates(
        devices,
        draw=uniform(salt, "reserve", devices),
        utility=np.where(seen, 200 * told["utility"], NAN),
        loss=np.where(seen, told["loss"], NAN),
        duration_ms=np.where(told["speed"] < 0.7, 3_000 * told["speed"] + 1, NAN),
        last_round=np.where(seen, 1 + (told["loss"] * 8).astype(int), -1),
        times=np.where(seen, 1 + (told["utility"] * 3).astype(int), 0),
        quality=np.where(told["quality"] < 0.8, told["quality"], NAN),
        stratum=devices % 4,
        preference=told["prefers"],
    )


def kept_by(strategy: Strategy, terms: RoundAsk, every: Candidates, batches: list[NDArray[np.int64]]) -> Candidates:
    """The view of those kept when `every` is nominated in these batches of positions."""
    seats = Seats(strategy.groups(terms))
    for batch in batches:
        part = every.at(batch)
        seats.offer(part.device, *strategy.nominate(terms, part))
    return every.at(seats.members())


def test_no_strategy_depends_on_order_or_batches() -> None:
    reached: Counter[str] = Counter()

    def one(name: str, fair: bool, size: int, seats: int, salt: int, order: int) -> None:
        strategy = make_strategy(Select(strategy=name, fairness=Fairness(without_replacement=fair)), {})
        terms = ask(seats, number=1 + salt * 9, utility_cap=150.0, strata_shares={1: 0.5, 2: 0.25, 3: 0.25})
        every = fleet(size, salt)
        whole = kept_by(strategy, terms, every, [np.arange(size)])
        shuffled = np.argsort((np.arange(size) * order) % 211, kind="stable")
        cut = kept_by(strategy, terms, every, np.array_split(shuffled, 1 + salt))
        assert cut.device.tolist() == whole.device.tolist()
        plan = propose(strategy, terms, whole, size)
        lint(plan, View(kept=whole.device, nominees=size, seats=seats, minimum=seats))
        assert len(plan.devices) == min(seats, size), "no seat stays empty while somebody fits"
        mirrored = whole.at(np.arange(len(whole.device))[::-1])
        assert propose(strategy, terms, mirrored, size).devices.tolist() == plan.devices.tolist()
        reached[f"{name} fair" if fair else name] += 1
        reached["short" if size < seats else "plenty"] += 1

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.booleans(), st.integers(1, 120), st.integers(1, 40), st.integers(0, 9), ORDERS)
    def holds(fair: bool, size: int, seats: int, salt: int, order: int) -> None:
        for name in NAMES:
            one(name, fair, size, seats, salt, order)

    holds()
    assert {*NAMES, *(f"{name} fair" for name in NAMES), "short", "plenty"} == set(reached), reached
    assert min(reached.values()) >= 5, reached


def test_quotas_hold_where_strata_can_fill_them() -> None:
    strategy, every = make_strategy(Select(strategy="stratified"), {}), fleet(400, 3)
    terms = ask(40, strata_shares={1: 0.5, 2: 0.3, 3: 0.2})
    kept = kept_by(strategy, terms, every, [np.arange(400)])
    plan = propose(strategy, terms, kept, 400)
    assert Counter((plan.devices % 4).tolist()) == {1: 20, 2: 12, 3: 8}


def test_without_replacement_nobody_is_twice_before_everybody_was_once() -> None:
    """Rounds over one fleet in which every device is nominated, for every strategy: participations differ by 1."""
    passes: Counter[str] = Counter()
    for name in NAMES:
        strategy = make_strategy(Select(strategy=name, fairness=Fairness(without_replacement=True)), {})
        assert isinstance(strategy, LeastOftenFirst)
        every, times = fleet(60, 4), np.zeros(60, np.int32)
        for number in range(1, 25):
            terms = ask(7, number, utility_cap=150.0, strata_shares={1: 0.9, 2: 0.1})
            told = uniform(number, "reserve", every.device)
            now = candidates(
                every.device,
                draw=told,
                utility=np.where(times > 0, every.loss, NAN),
                loss=np.where(times > 0, told, NAN),
                last_round=np.where(times > 0, max(1, number - 1), -1),
                times=times,
                quality=every.quality,
                stratum=every.stratum,
                preference=every.preference,
            )
            plan = propose(strategy, terms, kept_by(strategy, terms, now, [np.arange(60)]), 60)
            times[plan.devices] += 1
            assert times.max() - times.min() <= 1, (name, number)
        passes[name] = int(times.min())
    assert set(passes.values()) == {2}, passes  # 24 * 7 / 60 = 2.8


def test_caps_hold_until_nobody_is_left() -> None:
    strategy, times, fairness = make_strategy(Select(), {}), np.zeros(20, np.int32), Fairness(times_max=2)
    sizes = []
    for number in range(8):
        rows = np.flatnonzero(may_take_part(fairness, times))
        devices = rows.astype(np.int64)
        now = candidates(devices, draw=uniform(number, "reserve", devices), times=times[rows])
        terms = ask(6, number + 1)
        kept = kept_by(strategy, terms, now, [np.arange(len(rows))]) if len(rows) == 20 else now
        plan = propose(strategy, terms, kept, len(rows))
        times[plan.devices] += 1
        sizes.append(len(plan.devices))
    assert times.tolist() == [2] * 20
    assert sum(sizes) == 40
