"""Sessions of people and tries of wrong credentials: bounded, and over when their time is."""

import pytest

from podium.adapters.entropy import SystemEntropy
from podium.server.console.sign_ins import ADDRESSES_MAX, SignIns, Tries
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault

LIMITS = Limits(
    console_sessions_max=3, console_idle_ms=100, console_session_ms=250, sign_in_tries_max=2, sign_in_ms=1_000
)


def signs() -> SignIns:
    return SignIns(SystemEntropy(), LIMITS)


def test_a_session_is_found_by_its_name_alone() -> None:
    kept = signs()
    name, made = kept.open("viewer", 0)
    assert kept.find(name, 1) is made
    assert (made.role, made.csrf != name, len(name) >= 43) == ("viewer", True, True)
    assert kept.find(name[:-1], 1) is None
    assert kept.find("", 1) is None
    other, second = kept.open("viewer", 0)
    assert other != name and second.csrf != made.csrf


def test_an_idle_session_is_over_and_a_used_one_is_not_until_its_last_hour() -> None:
    kept = signs()
    name, _ = kept.open("administrator", 0)
    for at in (99, 198):
        assert kept.find(name, at) is not None
    assert kept.find(name, 250) is None
    assert kept.find(name, 0) is None, "what is over stays over"


def test_a_stream_does_not_keep_a_session_alive() -> None:
    kept = signs()
    name, _ = kept.open("administrator", 0)
    assert kept.find(name, 60, use=False) is not None
    assert kept.find(name, 100, use=False) is None


def test_signing_out_ends_it_and_too_many_end_the_one_used_longest_ago() -> None:
    kept = signs()
    names = [kept.open("viewer", 0)[0] for _ in range(3)]
    kept.find(names[0], 1)
    late = kept.open("viewer", 2)[0]
    assert [kept.find(name, 2) is not None for name in (*names, late)] == [True, False, True, True]
    kept.close(late)
    kept.close(late)
    assert kept.find(late, 2) is None


def test_an_address_that_failed_too_often_waits() -> None:
    tries = Tries(LIMITS)
    for at in (0, 400):
        tries.check("10.0.0.1", at)
        tries.failed("10.0.0.1", at)
    with pytest.raises(OperatorFault) as refused:
        tries.check("10.0.0.1", 500)
    assert (refused.value.code, refused.value.next) == ("sign-in-limited", "wait 1 s")
    tries.check("10.0.0.2", 500)
    tries.check("10.0.0.1", 1_001)


def test_addresses_are_bounded() -> None:
    tries = Tries(LIMITS)
    for number in range(ADDRESSES_MAX + 1):
        tries.failed(f"a{number}", 0)
        tries.failed(f"a{number}", 0)
    tries.check("a0", 1)
    with pytest.raises(OperatorFault):
        tries.check(f"a{ADDRESSES_MAX}", 1)
