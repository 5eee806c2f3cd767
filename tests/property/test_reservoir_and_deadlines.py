"""Reservoirs do not depend on order, batches or gateways; deadlines against a dict; draws column by column."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.core.deadlines import NONE, Deadlines
from podium.core.draws import draw
from podium.core.selection.reservoir import Reservoir

DEVICES = st.lists(st.integers(0, 200), min_size=1, max_size=60)
OPERATIONS = st.lists(st.tuples(st.sampled_from("sssd"), st.integers(0, 90), st.integers(0, 50)), max_size=200)


def keys_of(devices: list[int]) -> NDArray[np.uint64]:
    """A key per device with many ties."""
    return draw(3, "reserve", np.array(devices, np.int64)) % np.uint64(16)


@given(DEVICES, st.integers(1, 20), st.integers(1, 210), st.integers(1, 9))
def test_a_reservoir_depends_on_the_set_alone(devices: list[int], capacity: int, order: int, cut: int) -> None:
    by_key = sorted({(int(key), device) for key, device in zip(keys_of(devices), devices, strict=True)})
    expected = [device for _, device in by_key][:capacity]
    shuffled = sorted(devices, key=lambda device: (device * order) % 211)
    pieces = [Reservoir(capacity), Reservoir(capacity)]
    for place in range(0, len(shuffled), cut):
        part = shuffled[place : place + cut]
        pieces[place // cut % 2].offer(np.array(part, np.int64), keys_of(part))
    merged = pieces[0]
    others = [int(device) for device in pieces[1].members()]
    if others:
        merged.offer(np.array(others, np.int64), keys_of(others))
    assert merged.members().tolist() == expected


@given(OPERATIONS)
def test_deadlines_are_a_dict(operations: list[tuple[str, int, int]]) -> None:
    due, oracle = Deadlines(), dict[str, int]()
    for kind, number, at in operations:
        key = f"k{number}"
        if kind == "s":
            due.set(key, at)
            oracle[key] = at
        else:
            due.drop(key)
            oracle.pop(key, None)
        assert due.earliest() == min(oracle.values(), default=NONE)
        assert due.of(key) == oracle.get(key, NONE)
    for at in (0, 10, 25, 50):
        assert due.due(at) == [key for moment, key in sorted((m, k) for k, m in oracle.items()) if moment <= at]


@given(st.integers(-(2**63), 2**64 - 1), st.text(max_size=8), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_a_column_of_draws_is_its_single_draws(seed: int, label: str, ids: list[int]) -> None:
    column = draw(seed, label, np.array(ids, np.int64))
    assert [int(draw(seed, label, np.array([each], np.int64))[0]) for each in ids] == column.tolist()
