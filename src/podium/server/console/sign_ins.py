"""Who is signed in to the console: sessions in memory, and how often a wrong credential may be tried.

Decides: when a session ends (idle, absolute, signed out, or the oldest of too many of its role: no number of viewers
signs an administrator out) and when an address has been told often enough that its credential is wrong. Never: who may
sign in (plane_data.Credentials compares) nor what a role may do (core/access). The right credential is never made to
wait, or one neighbour behind the same address could keep everybody out: a credential is 32 random bytes, which no
number of tries finds, so what is limited is what wrong ones cost. A session is known by the SHA-256 of its id, so
memory holds nothing that a cookie could be made from. A restart signs everybody out.
Limits: `console_sessions_max`, `console_idle_ms`, `console_session_ms`, `sign_in_tries_max` per `sign_in_ms`.
"""

import hashlib
from collections import OrderedDict, defaultdict

import msgspec

from podium.ports import Entropy
from podium.wire.canonical import b64
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault

SECRET_BYTES = 32
ADDRESSES_MAX = 1_024
"""Addresses whose wrong credentials are remembered; the one that failed longest ago goes first."""


class SignIn(msgspec.Struct, kw_only=True):
    """One person's session: the role proven, the token that its forms carry, and what the next page should say."""

    role: str
    csrf: str
    made_ms: int
    used_ms: int
    notice: str = ""


class SignIns:
    """The sessions of each role by the hash of their id, the one used longest ago first."""

    def __init__(self, entropy: Entropy, limits: Limits) -> None:
        self._entropy = entropy
        self._limits = limits
        self._kept: defaultdict[str, OrderedDict[bytes, SignIn]] = defaultdict(OrderedDict)

    def open(self, role: str, now_ms: int) -> tuple[str, SignIn]:
        """A new session of `role`: its id for the cookie, and the session."""
        name = b64(self._entropy.token(SECRET_BYTES))
        made = SignIn(role=role, csrf=b64(self._entropy.token(SECRET_BYTES)), made_ms=now_ms, used_ms=now_ms)
        same = self._kept[role]
        same[_key(name)] = made
        while len(same) > self._limits.console_sessions_max:
            same.popitem(last=False)
        return name, made

    def find(self, name: str, now_ms: int, use: bool = True) -> SignIn | None:
        """The session of that id, None once it is over; `use` lets it live on, a live stream does not."""
        key = _key(name)
        found = next((same[key] for same in self._kept.values() if key in same), None)
        if found is None:
            return None
        same, limits = self._kept[found.role], self._limits
        if now_ms - found.used_ms >= limits.console_idle_ms or now_ms - found.made_ms >= limits.console_session_ms:
            del same[key]
            return None
        if use:
            found.used_ms = now_ms
            same.move_to_end(key)
        return found

    def close(self, name: str) -> None:
        """The person signed out; again changes nothing."""
        for same in self._kept.values():
            same.pop(_key(name), None)


class Tries:
    """Wrong credentials per address within the last `sign_in_ms`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failed: OrderedDict[str, list[int]] = OrderedDict()

    def failed(self, address: str, now_ms: int) -> None:
        """Remember a wrong credential; `OperatorFault(sign-in-limited)` instead where there were too many."""
        recent = [at for at in self._failed.get(address, ()) if at > now_ms - self._limits.sign_in_ms]
        if len(recent) >= self._limits.sign_in_tries_max:
            wait_s = -(-(recent[0] + self._limits.sign_in_ms - now_ms) // 1000)
            next = f"give the right one, or wait {wait_s} s with another"
            raise OperatorFault("sign-in-limited", why=f"{len(recent)} wrong credentials, as this one is", next=next)
        self._failed[address] = [*recent, now_ms]
        self._failed.move_to_end(address)
        while len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "replace")).digest()
