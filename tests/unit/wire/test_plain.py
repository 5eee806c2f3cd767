"""Plain values: every struct has one form without floats and comes back the same."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.tasks.task import Aggregate, Head, ModelSource, RunRules, Target, Task
from podium.wire.durations import Duration
from podium.wire.plain import convert, number_text, plain, unplain

# ECMA-262's own shapes, and RFC 8785 appendix B's samples
NUMBERS = {
    0.0: "0",
    1.0: "1",
    -1.5: "-1.5",
    0.1: "0.1",
    100.0: "100",
    1e20: "100000000000000000000",
    1e21: "1e+21",
    123456789012345680000.0: "123456789012345680000",
    1e-6: "0.000001",
    1e-7: "1e-7",
    1.5e-7: "1.5e-7",
    5e-324: "5e-324",
    1.7976931348623157e308: "1.7976931348623157e+308",
    9007199254740992.0: "9007199254740992",
    295147905179352830000.0: "295147905179352830000",
    9.999999999999997e22: "9.999999999999997e+22",
    1e23: "1e+23",
    999999999999999700000.0: "999999999999999700000",
    333333333.3333332: "333333333.3333332",
    0.000001234: "0.000001234",
    1424953923781206.2: "1424953923781206.2",
}


@pytest.mark.parametrize(("number", "text"), NUMBERS.items())
def test_numbers_as_ecmascript_writes_them(number: float, text: str) -> None:
    assert number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_reads_back(number: float) -> None:
    assert number_text(-0.0) == "0"
    assert float(number_text(number)) == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_form(number: float) -> None:
    with pytest.raises(ValueError, match="no canonical form"):
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
    with pytest.raises(ValueError, match=r"canonical form|could not convert"):
        unplain({"decimal": text})


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="deadline"):
        convert({"deadline": "soon"}, RunRules)
