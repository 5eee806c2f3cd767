"""Plain values: every struct has one form without floats and comes back the same."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.tasks.task import Aggregate, Head, ModelSource, RunRules, Target, Task
from podium.wire.durations import Duration
from podium.wire.plain import convert, plain, unplain


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_form(number: float) -> None:
    with pytest.raises(ValueError, match="no decimal form"):
        plain({"x": number})


def test_a_task_comes_back() -> None:
    task = Task(
        task=Head(name="kb", plan="a:b", purpose="p"),
        model=ModelSource(init="a:c"),
        local={"lr": 0.1, "epochs": 1, "whole": 1.0, "name": "0.1", "flag": True},
        aggregate=Aggregate(value_abs_max=0.5),
        run=RunRules(rounds=3, target=Target(metric="accuracy", at_least=0.9), deadline=Duration(5)),
    )
    form = plain(task)
    assert isinstance(form, dict)
    assert form["local"] == {
        "lr": {"decimal": "0.1"},
        "epochs": 1,
        "whole": {"decimal": "1"},
        "name": "0.1",
        "flag": True,
    }
    back = convert(unplain(form), Task)
    assert back == task
    assert isinstance(back.run.deadline, Duration)
    assert isinstance(back.local["whole"], float)


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "decimal", "_decimal", "__decimal"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(trees)
def test_every_value_comes_back_even_one_that_looks_like_a_tag(value: object) -> None:
    form = plain(value)
    assert b"." not in msgspec.json.encode(_without_text(form))
    back = unplain(form)
    assert back == value
    assert repr(back).replace("-0.0", "0.0") == repr(value).replace("-0.0", "0.0")


def _without_text(value: object) -> object:
    """Only the structure and the bare numbers: what floats would show up in."""
    if isinstance(value, dict):
        return list(map(_without_text, value.values()))
    if isinstance(value, list):
        return list(map(_without_text, value))
    return None if isinstance(value, str) else value


@pytest.mark.parametrize("text", ["1.0", "01", "1e5", "nan", "", "+1", 1, None])
def test_a_number_in_another_form_is_refused(text: str | int | None) -> None:
    with pytest.raises(ValueError, match=r"canonical form|could not convert|no decimal form"):
        unplain({"decimal": text})


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="deadline"):
        convert({"deadline": "soon"}, RunRules)
