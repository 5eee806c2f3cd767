"""Sessions of people, tries of wrong credentials, forms that arrive: bounded, and over when their time is."""

import asyncio

import pytest
from starlette.requests import Request

from podium.adapters.entropy import SystemEntropy
from podium.server.console.guard import FormReader
from podium.server.console.sign_ins import ADDRESSES_MAX, SignIns, Tries
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault, OperatorFault

LIMITS = Limits(
    console_sessions_max=3,
    console_idle_ms=100,
    console_session_ms=250,
    sign_in_tries_max=2,
    sign_in_ms=1_000,
    forms_open_max=2,
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


def test_any_number_of_viewers_signs_no_administrator_out() -> None:
    kept = signs()
    name, made = kept.open("administrator", 0)
    viewers = [kept.open("viewer", 0)[0] for _ in range(10)]
    assert kept.find(name, 1) is made
    assert [kept.find(each, 1) is not None for each in viewers] == [False] * 7 + [True] * 3
    kept.close(name)
    assert kept.find(name, 1) is None


def test_an_address_that_failed_too_often_waits() -> None:
    tries = Tries(LIMITS)
    for at in (0, 400):
        tries.failed("10.0.0.1", at)
    for at in (500, 999):
        with pytest.raises(OperatorFault) as refused:
            tries.failed("10.0.0.1", at)
        assert (refused.value.code, "wait 1 s" in refused.value.next) == ("sign-in-limited", True)
    tries.failed("10.0.0.2", 500)
    tries.failed("10.0.0.1", 1_001)
    with pytest.raises(OperatorFault):
        tries.failed("10.0.0.1", 1_002)


def test_addresses_are_bounded() -> None:
    tries = Tries(LIMITS)
    for number in range(ADDRESSES_MAX + 1):
        tries.failed(f"a{number}", 0)
        tries.failed(f"a{number}", 0)
    with pytest.raises(OperatorFault):
        tries.failed(f"a{ADDRESSES_MAX}", 1)
    tries.failed("a0", 1)


class Sender:
    """A browser that sends the beginning of a form, and the rest when a test says so."""

    def __init__(self, body: bytes = b"a=1") -> None:
        self._messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": True})
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        self.request = Request(scope, self._messages.get)

    def finish(self) -> None:
        """Send the rest."""
        self._messages.put_nowait({"type": "http.request", "body": b"&b=2", "more_body": False})


def test_of_too_many_forms_at_once_the_slowest_is_given_up() -> None:
    async def test() -> None:
        forms, senders = FormReader(100, LIMITS), [Sender() for _ in range(5)]
        reading = [asyncio.create_task(forms.read(each.request)) for each in senders[:4]]
        for late in reading[:2]:
            with pytest.raises(DeviceFault) as caught:
                await late
            assert caught.value.code == "overloaded"
        fifth = asyncio.create_task(forms.read(senders[4].request))
        with pytest.raises(DeviceFault, match="overloaded"):
            await reading[2]
        for sender in senders[3:]:
            sender.finish()
        assert await fifth == {"a": "1", "b": "2"}
        assert await reading[3] == {"a": "1", "b": "2"}
        again = Sender()
        again.finish()
        assert await forms.read(again.request) == {"a": "1", "b": "2"}
        with pytest.raises(DeviceFault, match="body-too-large"):
            await forms.read(Sender(b"a" * 101).request)

    asyncio.run(test())
