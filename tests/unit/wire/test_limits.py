"""Limits: the defaults hold, settings are few and exist, and what cannot be is named."""

import msgspec
import pytest

from podium.wire.limits import SETTINGS, Limits
from podium.wire.problems import OperatorFault


def test_the_defaults_hold_and_checking_returns_them() -> None:
    limits = Limits()
    assert limits.check() is limits


def test_at_most_twenty_limits_are_settings_and_each_exists_once() -> None:
    assert len(SETTINGS) <= 20
    assert len(set(SETTINGS)) == len(SETTINGS)
    assert set(SETTINGS) <= set(Limits.__struct_fields__)


def test_units_are_the_last_word_of_each_name() -> None:
    units = ("_ms", "_bytes", "_max", "_min", "_jitter", "_per_s_max", "_kept")
    bare = [name for name in Limits.__struct_fields__ if not name.endswith(units)]
    assert bare == []


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_each_limit_must_be_above_zero(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(OperatorFault) as caught:
            msgspec.structs.replace(Limits(), **{name: value}).check()
        assert caught.value.code == "limit-invalid"
        assert name in caught.value.what


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (2.5, 2.0)])
def test_over_selection_lies_between_its_bounds(low: float, high: float) -> None:
    with pytest.raises(OperatorFault) as caught:
        Limits(over_min=low, over_max=high).check()
    assert caught.value.code == "limit-invalid"
    assert "over_min" in caught.value.what


def test_an_unknown_limit_is_refused_and_a_limit_cannot_change() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"batch_mss": 3}, Limits)
    for name in Limits.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(Limits(), name, 3)


def test_a_chunk_and_a_control_message_fit_what_carries_them() -> None:
    limits = Limits()
    assert limits.chunk_bytes <= limits.update_bytes_max
    assert limits.traceback_bytes_max < limits.body_bytes_max
    assert limits.facts_bytes_max < limits.body_bytes_max
    assert limits.challenge_ms < limits.session_ms <= limits.session_master_ms
