"""A roster is a list and two dicts, as far as anyone can tell from outside."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.core.fleet import roster as packed
from podium.core.fleet.columns import Fleet
from podium.core.fleet.roster import UNKNOWN, Roster
from podium.core.rows import DeviceRow

TEXTS = st.text(st.sampled_from("ab\x00é"), max_size=4)
REACHED: Counter[str] = Counter()

ROWS = st.builds(
    DeviceRow,
    id=TEXTS,
    number=st.just(0),
    name=TEXTS,
    population=st.sampled_from(["default", "other"]),
    site=TEXTS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=2),
    public_key=TEXTS,
    enrolled_ms=st.integers(-1, 2**53),
    participated_ms=st.integers(-1, 2**53),
    state=st.sampled_from(["active", "cordoned", "banned"]),
    failure=st.sampled_from(["", "disk-full"]),
    failure_detail=TEXTS,
)
ACTS = st.lists(st.tuples(st.sampled_from(["append", "append", "replace", "extend"]), st.lists(ROWS, min_size=1)))


def test_a_roster_is_a_list_and_two_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "NEWEST_MIN", 2)  # so that few rows already settle in the index
    compared()
    assert min(REACHED[word] for word in ("append", "replace", "extend", "settled", "failure gone")) > 20, REACHED


@settings(derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def compared(acts: list[tuple[str, list[DeviceRow]]]) -> None:
    made, rows = Roster(Fleet()), list[DeviceRow]()
    for act, given_rows in acts:
        known = {row.id for row in rows}
        fresh = list({row.id: row for row in given_rows if row.id not in known}.values())
        if act == "replace" and rows:
            before = rows[len(given_rows) % len(rows)]
            row = replace(given_rows[0], id=before.id, number=before.number, public_key=before.public_key)
            rows[row.number] = row
            made.put(row)
            REACHED["failure gone"] += bool(before.failure) and not row.failure
        elif act == "append" and fresh:
            rows.append(replace(fresh[0], number=len(rows)))
            made.put(rows[-1])
        else:
            numbered = [replace(row, number=number) for number, row in enumerate(fresh, start=len(rows))]
            rows += numbered
            made.extend(numbered)
        REACHED[act] += 1
    REACHED["settled"] += len(rows) > 3
    assert list(made) == rows
    ids, keys = {row.id: row.number for row in rows}, {row.public_key: row.number for row in rows}
    for text in ("", "a", "b", "ab", "é", "a\x00", *ids, *keys):
        assert made.number(text) == ids.get(text, UNKNOWN)
        assert made.by_key(text) == keys.get(text, UNKNOWN)
