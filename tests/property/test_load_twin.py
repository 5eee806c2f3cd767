"""A load in batches is the slow one, row by row: rows, look-ups, columns, and what was learned of ended leases."""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.core import state as loading
from podium.core.fleet import roster
from podium.core.records import decode_row, decode_rows, encode_row
from podium.core.rows import AnyRow, DeviceRow, LeaseRow, RoundRow, RunRow, TaskRow, table_of
from podium.core.state import State
from podium.wire.problems import StoreFault
from tests.contract.rows_made import ONE_OF_EACH, device, lease
from tests.support.core_made import LIMITS, rows_of, task

HOUR = 3_600_000
REACHED: Counter[str] = Counter()
TASK = TaskRow(id="t", task=task(goal=3, strategy="oort", budgets={"trainings_per_day": 2, "bytes_per_month": 10**9}))
RUN, ROUND = (next(row for row in ONE_OF_EACH if isinstance(row, kind)) for kind in (RunRow, RoundRow))
FRAME: tuple[AnyRow, ...] = (
    TASK,
    replace(RUN, id="open", task="t"),
    replace(RUN, id="over", task="t", state="FINISHED", ended_ms=9),
    replace(ROUND, run="open", state="REPORTING"),
    replace(ROUND, run="over", state="SEALED", ended_ms=9),
)
"""A run that is open, with a round that is, and one that is over."""

DEVICES = st.lists(
    st.builds(
        lambda row, labels, state: replace(row, labels=labels, state=state, participated_ms=len(labels) - 1),
        st.sampled_from([device("d1"), device("d1", failure="disk-full"), replace(device("d1"), site="é", name="ü")]),
        st.sampled_from([{}, {"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"é": "decimal"}]),
        st.sampled_from(["active", "cordoned", "banned"]),
    ),
    min_size=1,
    max_size=12,
)
ENDS = st.sampled_from(["ACCEPTED", "REPORTED", "REFUSED", "LAPSED", "FAILED", "DECLINED", "REVOKED", "HELD"])
LEASES = st.lists(st.tuples(st.integers(0, 11), st.booleans(), ENDS, st.integers(0, 90)), max_size=24)


def numbered(rows: list[DeviceRow]) -> list[DeviceRow]:
    return [
        replace(row, id=f"d{number}", number=number, public_key=f"key {number}é"[: 5 + number % 3])
        for number, row in enumerate(rows)
    ]


def leases_of(drawn: list[tuple[int, bool, str, int]], devices: int) -> list[LeaseRow]:
    """Leases of the two runs, at most one live of a device."""
    made, live = [], set[int]()
    for place, (holder, is_open, state, hours) in enumerate(drawn):
        number = holder % devices
        state = "LAPSED" if state == "HELD" and number in live else state
        live |= {number} if state == "HELD" else set()
        reported = state in ("ACCEPTED", "REPORTED", "REFUSED")
        row = replace(
            lease(f"{'open' if is_open else 'over'}.1.{place}", f"d{number}", state, weight=place / 3),
            run="open" if is_open else "over",
            epoch=hours,
            granted_ms=hours * HOUR,
            held_ms=-1 if state == "DECLINED" else hours * HOUR + 1,
            reported_ms=hours * HOUR + 1_000 + place if reported else -1,
            ended_ms=-1 if state == "HELD" else hours * HOUR + 2_000,
            metrics={"loss": (0.5 * place, 2.0), "squared_loss": (1e-9 * place, 2.0)},
        )
        made.append(row)
        REACHED[state] += 1
    return made


def one_by_one(rows: Iterable[AnyRow]) -> State:
    """The slow twin: every device put singly, every lease in the order of its end, each holder looked up by its id."""
    made, every = State((), LIMITS), list(rows)
    devices = [row for row in every if isinstance(row, DeviceRow)]
    leases = [row for row in every if isinstance(row, LeaseRow)]
    others = [row for row in every if not isinstance(row, DeviceRow | LeaseRow)]
    for row in (*sorted(devices, key=lambda row: row.number), *others, *sorted(leases, key=lambda row: row.ended_ms)):
        made.put(row)
    return made


def known(state: State) -> dict[str, object]:
    """All that a load makes, as plain values."""
    size, fleet, learned = state.fleet.size, state.fleet, state.learned.reliability()
    columns = {name: getattr(fleet, name)[:size].tolist() for name in fleet.FILLS if name not in ("_mark", "place")}
    taught = {name: plain(each, size) for name, each in vars(learned).items() if isinstance(each, np.ndarray)}
    experience = {
        run: {name: plain(each, size) for name, each in vars(of).items()} for run, of in state.experience.items()
    }
    spent = {name: {key: plain(each, size) for key, each in vars(of).items()} for name, of in state.spent.items()}
    return {
        "rows": rows_of(state),
        "columns": columns,
        "places": [fleet.places[place] for place in fleet.place[:size]],
        "learned": taught,
        "outcomes": learned.outcomes.of(np.arange(3)).tolist(),
        "experience": experience,
        "spent": spent,
        "holders": {row.id: state.holder(row) for row in state.leases.values()},
        "live": state.live_lease,
        "open": {key: (of.count, sorted(of.leases), plain(of.attempts, size)) for key, of in state.open.items()},
    }


def plain(column: np.ndarray[tuple[int, ...], np.dtype[np.generic]], size: int) -> list[object]:
    """A column that grew to its devices or not, its NaNs comparable; what lies beyond the last one told is left out."""
    told = ["nan" if isinstance(each, float) and math.isnan(each) else each for each in column[:size].tolist()]
    while told and told[-1] in ("nan", 0, -1, 0.0):
        told.pop()
    return told


def test_a_load_is_that_of_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "ROWS_AT_ONCE", 3)  # so that few devices come in several batches
    monkeypatch.setattr(roster, "NEWEST_MIN", 2)  # and some settle in the index
    compared()
    assert min(REACHED[name] for name in ("ACCEPTED", "LAPSED", "HELD", "DECLINED", "REVOKED", "late", "many")) > 20


@settings(derandomize=True, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(DEVICES, LEASES, st.booleans())
def compared(drawn: list[DeviceRow], leases: list[tuple[int, bool, str, int]], late: bool) -> None:
    devices = numbered(drawn)
    rows = [*devices, *FRAME, *leases_of(leases, len(devices))]
    if late:
        rows[0], rows[len(devices) - 1] = rows[len(devices) - 1], rows[0]
    REACHED["late"] += late and len(devices) > 1
    REACHED["many"] += len(devices) > 3
    kept = [decode_row(encode_row(row), table_of(row)) for row in rows]
    assert kept == rows
    assert decode_rows([encode_row(row) for row in devices], "devices") == devices
    loaded, slow = State(kept, LIMITS), one_by_one(rows)
    assert known(loaded) == known(slow)
    ids = [*(row.id for row in devices), "d99", ""]
    assert (
        loaded.devices.numbers(ids)
        == [loaded.devices.number(each) for each in ids]
        == [slow.devices.number(each) for each in ids]
    )


def test_a_row_is_refused_in_another_table() -> None:
    with pytest.raises(StoreFault, match="does not decode"):
        decode_row(encode_row(device()), "leases")
    with pytest.raises(StoreFault, match="does not decode"):
        decode_row(encode_row(lease(weight=0.5)), "devices")
    for body in (encode_row(lease()), encode_row(device())[:-1], b"{}"):
        with pytest.raises(StoreFault, match="does not decode"):
            decode_rows([encode_row(device()), body], "devices")
