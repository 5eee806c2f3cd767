"""Sessions and challenges at the door, with a clock and entropy that the test holds."""

import hashlib

import pytest

from podium.crypto.mac import COUNTER_HEADER, MAC_HEADER, SESSION_HEADER, request_mac
from podium.server.devices.sessions import Sessions
from podium.server.http import Request
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault

NOW = 1_700_000_000_000
HOUR = Limits().session_master_ms


class Counting:
    """Entropy that counts."""

    def __init__(self) -> None:
        self.drawn = 0

    def token(self, count: int) -> bytes:
        """Different bytes each time."""
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")


async def never() -> dict[str, object]:
    """No body is read here."""
    raise AssertionError("nothing is received")


def made(limits: Limits | None = None, root: bytes = bytes(32)) -> Sessions:
    """Sessions of a plane."""
    return Sessions(root, Counting(), limits or Limits())


def request(session: str, key: bytes, counter: int, path: str = "/v1/checkin", body: bytes = b"{}") -> Request:
    """An authenticated request."""
    mac = request_mac(key, "POST", path, "", hashlib.sha256(body).digest(), counter)
    headers = {SESSION_HEADER: session, COUNTER_HEADER: str(counter), MAC_HEADER: mac}
    return Request(
        {
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        },
        never,
    )


def test_a_session_lives_until_its_end_also_at_another_gateway() -> None:
    sessions, other = made(), made()
    session, key = sessions.open("d1", 1, 5, NOW)
    claims = sessions.authenticate(request(session, key, 1), b"{}", NOW)
    assert (claims.device_id, claims.device, claims.epoch) == ("d1", 1, 5)
    assert other.authenticate(request(session, key, 2), b"{}", NOW + 1).device == 1
    last = NOW + Limits().session_ms - 1
    assert sessions.authenticate(request(session, key, 3), b"{}", last).epoch == 5
    with pytest.raises(DeviceFault, match="session-unknown"):
        sessions.authenticate(request(session, key, 4), b"{}", last + 1)
    with pytest.raises(DeviceFault, match="session-unknown"):
        made().authenticate(request(session, key, 5), b"{}", NOW + 3 * HOUR)
    with pytest.raises(DeviceFault, match="mac-invalid"):
        made(root=b"\x01" * 32).authenticate(request(session, key, 6), b"{}", NOW)


def test_counters_only_grow_and_a_wrong_mac_moves_nothing() -> None:
    sessions = made()
    session, key = sessions.open("d1", 1, 5, NOW)
    for counter in (0, 1, 7):
        sessions.authenticate(request(session, key, counter), b"{}", NOW)
    for counter in (7, 3):
        with pytest.raises(DeviceFault, match="counter-replayed"):
            sessions.authenticate(request(session, key, counter), b"{}", NOW)
    with pytest.raises(DeviceFault, match="mac-invalid"):
        sessions.authenticate(request(session, bytes(32), 2**63), b"{}", NOW)
    with pytest.raises(DeviceFault, match="mac-invalid"):
        sessions.authenticate(request(session, key, 8), b"{ }", NOW)
    sessions.authenticate(request(session, key, 8), b"{}", NOW)


def test_only_so_many_sessions_are_remembered() -> None:
    sessions = made(Limits(sessions_cached_max=2))
    opened = [sessions.open(f"d{number}", number, 1, NOW) for number in range(3)]
    for session, key in opened:
        sessions.authenticate(request(session, key, 1), b"{}", NOW)
    first, second = opened[0], opened[2]
    sessions.authenticate(request(*first, 1), b"{}", NOW)  # forgotten, so its counter starts anew
    with pytest.raises(DeviceFault, match="counter-replayed"):
        sessions.authenticate(request(*second, 1), b"{}", NOW)


def test_challenges_end_and_are_of_this_plane() -> None:
    sessions = made()
    challenge = sessions.challenge(NOW)
    assert challenge != sessions.challenge(NOW)
    sessions.check_challenge(challenge, NOW)
    sessions.check_challenge(challenge, NOW + Limits().challenge_ms - 1)
    for other, at_ms in (
        (sessions, NOW + Limits().challenge_ms),
        (sessions, NOW + 10 * HOUR),
        (sessions, NOW - 10 * HOUR),
        (made(root=b"\x01" * 32), NOW),
    ):
        with pytest.raises(DeviceFault, match="challenge-expired"):
            other.check_challenge(challenge, at_ms)
    late = NOW - NOW % HOUR + HOUR - 1  # its expiry lies in the next hour
    sessions.check_challenge(sessions.challenge(late), late)


def test_an_upload_may_be_the_first_word_of_a_session_that_was_opened_here_and_of_no_other() -> None:
    before, after = made(), made()
    old = before.open("d1", 1, 5, NOW)
    before.expect(request(*old, 1))
    with pytest.raises(DeviceFault, match="session-unknown"):
        after.expect(request(*old, 1))
    new = after.open("d1", 1, 6, NOW)
    after.expect(request(*new, 1))
    assert after.authenticate(request(*new, 1), b"{}", NOW).epoch == 6
    with pytest.raises(DeviceFault, match="mac-invalid"):
        after.authenticate(request(new[0], bytes(32), 2), b"{}", NOW)
