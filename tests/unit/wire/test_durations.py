"""Durations: what people write, and how they read them."""

import pytest

from podium.wire.durations import Duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("90s", 90_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("1h30m", 5_400_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("1.5h", 5_400_000),
        ("0.25s", 250),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: str, ms: int) -> None:
    duration = parse_duration(text)
    assert duration == ms
    assert isinstance(duration, Duration)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5S", "5sec", "1h 30m", "1,5s", "s5", "5s!", ".5s", "5.s"]
)
def test_other_texts_are_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (999, "0 s"),
        (1_000, "1 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (2_470_000, "41 min 10 s"),
        (3_600_000, "1 h"),
        (3_723_000, "1 h 2 min"),
        (86_401_000, "1 d"),
        (2_591_997_000, "29 d 23 h"),
        (-5, "0 s"),
    ],
)
def test_durations_are_shown(ms: int, text: str) -> None:
    assert format_duration(ms) == text
