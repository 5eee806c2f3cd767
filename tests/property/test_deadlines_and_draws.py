"""Deadlines against a dict; draws column by column."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from podium.core.deadlines import NONE, Deadlines
from podium.core.draws import draw

OPERATIONS = st.lists(st.tuples(st.sampled_from("sssd"), st.integers(0, 90), st.integers(0, 50)), max_size=200)


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
