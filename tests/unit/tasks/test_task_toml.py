"""A task written out is the same task read back."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podium.tasks.file import parse_task
from podium.tasks.toml import duration_text, task_toml
from podium.wire.durations import parse_duration
from tests.unit.tasks.task_texts import SMALL

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.one_of(st.integers(-9_999, 9_999), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), KEYS)


def test_every_term_is_written_with_its_default() -> None:
    text = task_toml(parse_task(SMALL, "small"))
    for line in (
        'name = "heart"',
        "goal = 4",
        "minimum = 4",
        'form_deadline = "10m"',
        'deadline = "1d"',
        'over = "auto"',
    ):
        assert f"\n{line}\n" in text
    assert 'steps = [{ rule = "mean", weighted = true }]' in text
    assert "[privacy]" not in text


def test_what_was_written_reads_back_as_the_same_task() -> None:
    whole = SMALL + '[select]\nprefers = {}\nover = 1.5\n[run]\ntarget = { metric = "accuracy", at_least = 0.9 }\n'
    task = parse_task(whole, "whole")
    assert parse_task(task_toml(task), "again") == task


@example({"tag \U000e0001": "\U000e0001 \U0010ffff \uffff"})
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_is_handed_to_a_plan_survives(local: dict[str, int | float | str | bool]) -> None:
    task = msgspec.structs.replace(parse_task(SMALL, "small"), local=local)
    back = parse_task(task_toml(task), "again").local
    assert back == local
    assert [type(value) for value in back.values()] == [type(value) for value in local.values()]


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (1_500, "1500ms"), (90_000, "90s"), (300_000, "5m"), (86_400_000, "1d")]
)
def test_durations_take_the_largest_unit_that_holds_them(ms: int, text: str) -> None:
    assert duration_text(ms) == text
    assert parse_duration(text) == ms
