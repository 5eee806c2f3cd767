"""Devices packed into bytes are the rows that were put, found by id and by key, whatever the length of their texts."""

import pytest
from msgspec.structs import replace

from podium.core.fleet.columns import Fleet
from podium.core.fleet.roster import NEWEST_MIN, UNKNOWN, Roster
from podium.core.rows import DeviceRow
from podium.wire.problems import Bug


def row(number: int, **changes: object) -> DeviceRow:
    """Device `number`, as it enrolled but for `changes`."""
    made = DeviceRow(
        id=f"d{number}",
        number=number,
        name=f"näme {number}",
        population="default",
        site=f"site-{number % 3}",
        labels={"tier": str(number % 2)},
        public_key=f"{number:043d}",
        enrolled_ms=1_000 + number,
        participated_ms=-1,
        state="active",
    )
    return replace(made, **changes)


def roster(count: int) -> Roster:
    made = Roster(Fleet())
    made.extend([row(number) for number in range(count)])
    return made


def test_what_is_put_is_what_is_given_whether_one_by_one_or_at_once() -> None:
    rows = [row(number) for number in range(40)]
    at_once, single = roster(40), Roster(Fleet())
    for each in rows:
        single.put(each)
    assert list(at_once) == list(single) == rows
    assert len(at_once) == len(single) == 40
    assert list(at_once.rows(38, 99)) == rows[38:]


def test_a_row_is_replaced_in_all_its_parts() -> None:
    made = roster(3)
    for changes in (
        {"name": "a longer name than it was"},
        {"name": ""},
        {"state": "banned", "participated_ms": 7},
        {"state": "cordoned", "failure": "plan-raised", "failure_detail": "trace"},
        {"site": "new", "labels": {"b": "2", "a": "1"}, "population": "other"},
    ):
        made.put(row(1, **changes))
        assert list(made) == [row(0), row(1, **changes), row(2)]
        assert made.number("d1") == made.by_key(row(1).public_key) == 1


@pytest.mark.parametrize("count", [3, NEWEST_MIN + 1, 3 * NEWEST_MIN])
def test_ids_and_keys_are_found_among_the_newest_and_the_settled(count: int) -> None:
    made = roster(count)
    made.put(row(count))
    for number in (0, 1, count - 1, count):
        assert made.number(f"d{number}") == made.by_key(f"{number:043d}") == number
        assert made.id(number) == f"d{number}"
    assert made.number("") == made.number("d") == made.by_key("d0") == made.number(f"d{count + 1}") == UNKNOWN


def test_of_devices_with_one_key_the_last_is_found() -> None:
    made = roster(2)
    made.put(row(2, public_key=row(0).public_key))
    made.extend([row(number) for number in range(3, NEWEST_MIN + 9)])
    assert made.by_key(row(0).public_key) == 2
    made.put(row(len(made), public_key=row(0).public_key))
    assert made.by_key(row(0).public_key) == NEWEST_MIN + 9


def test_no_gap_no_other_device_no_endless_text() -> None:
    made = roster(2)
    for wrong in (row(3), row(-1), row(1, id="x"), row(1, public_key="x"), row(2, id="d0"), row(2, name="é" * 40_000)):
        with pytest.raises(Bug):
            made.put(wrong)
    with pytest.raises(Bug, match="other numbers than 2 to 3"):
        made.extend([row(2), row(4)])
    with pytest.raises(Bug, match="an id that is taken"):
        made.extend([row(2), row(3, id="d2")])
    assert list(made) == [row(0), row(1)]
    for beyond in (-1, 2):
        with pytest.raises(IndexError):
            made[beyond]
