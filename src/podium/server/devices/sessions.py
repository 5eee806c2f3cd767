"""Sessions at the door: challenges and keys without a table, and the MAC and counter of every request.

Decides: whether a request was made by the session it names, once. Never: whether the device may do what it asks, or
whether its epoch is the newest (gateway.py asks the core). Limits: `sessions_cached_max` derived keys with their
highest counters; an evicted one is derived again and its counter starts anew, which repeats an answer and changes
nothing, because whatever has a durable effect is idempotent by (lease, step).
Source: trust.md (session master keys per hour, accepted for two); RFC 5869 by way of crypto/session.py.
"""

import hashlib
from collections import OrderedDict

from podium.crypto.mac import COUNTER_HEADER, MAC_HEADER, SESSION_HEADER, check_mac
from podium.crypto.session import (
    SessionClaims,
    challenge_expires_ms,
    check_challenge,
    hourly_master,
    make_challenge,
    make_session,
    read_session,
    session_key,
)
from podium.ports import Entropy
from podium.server.http import Request
from podium.wire.limits import Limits
from podium.wire.problems import DeviceFault

_SESSION = SESSION_HEADER.lower().encode()
_COUNTER = COUNTER_HEADER.lower().encode()
_MAC = MAC_HEADER.lower().encode()


class _Live:
    """A session whose MAC held before: its claims, its key, its highest counter."""

    __slots__ = ("claims", "counter", "key")

    def __init__(self, claims: SessionClaims, key: bytes) -> None:
        self.claims = claims
        self.key = key
        self.counter = -1


class Sessions:
    """Makes and checks challenges, sessions and requests. All times are the plane's, in ms."""

    def __init__(self, root: bytes, entropy: Entropy, limits: Limits) -> None:
        """`root`: the plane's 32-byte session root, of which every hour's master is derived."""
        self._root = root
        self._entropy = entropy
        self._limits = limits
        self._masters: dict[int, bytes] = {}
        self._live: OrderedDict[str, _Live] = OrderedDict()

    def challenge(self, now_ms: int) -> str:
        """A fresh challenge that ends `challenge_ms` from now."""
        expires_ms = now_ms + self._limits.challenge_ms
        return make_challenge(self._master(self._hour(expires_ms)), self._entropy.token(16), expires_ms)

    def check_challenge(self, challenge: str, now_ms: int) -> None:
        """Return when this plane made `challenge` and it has not ended; else `DeviceFault(challenge-expired)`."""
        hour = self._hour(challenge_expires_ms(challenge))
        if not 0 <= hour - self._hour(now_ms) <= 1:
            raise DeviceFault("challenge-expired", what="check the challenge", why="its time is over")
        check_challenge(self._master(hour), challenge, now_ms)

    def open(self, device_id: str, device: int, epoch: int, now_ms: int) -> tuple[str, bytes]:
        """The id and the 32-byte key of a new session that ends `session_ms` from now.

        Call it for a device that proved itself by its signature: the session counts as proven, so that its first
        word may be an upload (a device whose plane restarted goes on where it was).
        """
        hour = self._hour(now_ms)
        session = make_session(device_id, device, epoch, now_ms + self._limits.session_ms, hour)
        claims = read_session(session)
        key = session_key(self._master(hour), claims)
        self._keep(session, _Live(claims, key))
        return session, key

    def authenticate(self, request: Request, body: bytes, now_ms: int) -> SessionClaims:
        """The claims of the session that made `request` with `body`, proven by its MAC and a counter that grew.

        `DeviceFault(session-unknown)` when it is over or was never ours, `mac-invalid`, `counter-replayed`.
        """
        session = request.header(_SESSION)
        counter_text = request.header(_COUNTER)
        if not session or not counter_text.isdecimal() or len(counter_text) > 20:
            raise DeviceFault("session-unknown", why="the request names no session or no counter")
        counter = int(counter_text)
        live = self._live.get(session) or self._derived(session, now_ms)
        if now_ms >= live.claims.expires_ms:
            self._live.pop(session, None)
            raise DeviceFault("session-unknown", why="the session is over")
        digest = hashlib.sha256(body).digest()
        check_mac(live.key, request.method, request.path, request.query, digest, counter, given=request.header(_MAC))
        if counter <= live.counter:
            raise DeviceFault("counter-replayed", why=f"counter {counter} follows {live.counter}")
        live.counter = counter
        self._keep(session, live)
        return live.claims

    def expect(self, request: Request) -> None:
        """`DeviceFault(session-unknown)` unless `request` names a session that was opened or proved itself here.

        For a body that is waited for before its MAC can be checked: a stranger cannot make the plane wait.
        """
        if request.header(_SESSION) not in self._live:
            raise DeviceFault("session-unknown", why="this plane process has not seen the session yet")

    def _keep(self, session: str, live: _Live) -> None:
        self._live[session] = live
        self._live.move_to_end(session)
        if len(self._live) > self._limits.sessions_cached_max:
            self._live.popitem(last=False)

    def _derived(self, session: str, now_ms: int) -> _Live:
        claims = read_session(session)
        if not 0 <= self._hour(now_ms) - claims.hour <= 1:
            raise DeviceFault("session-unknown", why="the session's hour is over")
        return _Live(claims, session_key(self._master(claims.hour), claims))

    def _hour(self, at_ms: int) -> int:
        return at_ms // self._limits.session_master_ms

    def _master(self, hour: int) -> bytes:
        """The master of `hour`; only those of three neighbouring hours are remembered."""
        if hour not in self._masters:
            self._masters = {kept: key for kept, key in self._masters.items() if abs(kept - hour) <= 1}
            self._masters[hour] = hourly_master(self._root, hour)
        return self._masters[hour]
