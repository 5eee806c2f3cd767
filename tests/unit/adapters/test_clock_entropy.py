"""SystemClock and SystemEntropy: the operating system's, with their floors."""

import time

import pytest

from podium.adapters.clock import SystemClock
from podium.adapters.entropy import SystemEntropy


def test_the_clock_is_anchored_at_wall_time_and_never_falls() -> None:
    before_ms = time.time_ns() // 1_000_000
    clock = SystemClock()
    seen = [clock.now_ms() for _ in range(1000)]
    after_ms = time.time_ns() // 1_000_000
    assert before_ms <= seen[0]
    assert seen[-1] <= after_ms + 1
    assert seen == sorted(seen)


def test_the_clock_is_never_below_its_floor() -> None:
    floor_ms = time.time_ns() // 1_000_000 + 86_400_000
    assert floor_ms <= SystemClock(floor_ms).now_ms() < floor_ms + 60_000


def test_a_wall_clock_set_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    first = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now_ms() >= first


def test_entropy_gives_as_many_bytes_as_asked_and_never_the_same() -> None:
    entropy = SystemEntropy()
    assert [len(entropy.token(n)) for n in (1, 16, 32, 1000)] == [1, 16, 32, 1000]
    assert len({entropy.token(16) for _ in range(200)}) == 200


@pytest.mark.parametrize("count", [0, -1])
def test_no_bytes_is_no_secret(count: int) -> None:
    with pytest.raises(ValueError, match="secret bytes"):
        SystemEntropy().token(count)
