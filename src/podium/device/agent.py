"""The device: checks in, serves what it is offered, comes back when it is told to.

Decides: when to come back, and what a cycle's end is called. Never: how a lease is served (lease.py) or what is
believed (trust.py). One device, one thread, one lease at a time; `stop` may be called from any thread.
When to come back (docs/reference/device-protocol.md): the plane's window, if it gave one; otherwise 15 min +-20 % after
something transient and 4 h +-20 % after a refusal.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import numpy as np

from podium.device.data_facts import Quality, descriptions, quality
from podium.device.lease import Asked, LeaseOver, Means, deliver, take
from podium.device.link import Link, PlaneAway, PlaneRefusal, persistently
from podium.device.plan import Datasets, load_plan
from podium.device.probes import Facts, OwnLimits, Probes, SystemProbes
from podium.device.session import SESSION_OVER, Session, enrol, new_identity, read_token
from podium.device.state import Identity, State
from podium.wire.canonical import decimal
from podium.wire.facts import MOMENTARY, QUALITIES, possible
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities, CheckIn, CheckInAnswer, LeaseAnswer
from podium.wire.problems import OperatorFault, PodiumError

T = TypeVar("T")
log = logging.getLogger("podium.device")

_LOSSES_MAX = 8
_LOSSES = frozenset({"failed", "refused", "incompatible", "over"})


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one cycle ended, and after how many ms the device comes back.

    `word`: idle (`code`: why there was no offer), stored, superseded, refused, declined, incompatible, failed, stop,
    over (the lease ended meanwhile), interrupted (by `stop`), away (the plane is), denied (it refused us).
    """

    word: str
    code: str = ""
    detail: str = ""
    lease: str = ""
    wait_ms: int = 0


class Device:
    """One device of one plane.

    May be set before the first cycle: `limits`; `own`, when this device will not train; `plans`, the names of installed
    plans that it offers (the entry points of group `podium.plans` unless given). What its owner lets the plane know of
    its data, nothing unless set: `told`, the datasets whose number of examples it hears (of others 0, and the device
    itself checks the minimum); `tells`, which of label_coverage, missing_rate and freshness_h. They are counted from
    what the datasets describe (data_facts.py), unless `quality` gives them.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        data: Datasets | None = None,
        state: str | Path | None = None,
        name: str = "",
        probes: Probes | None = None,
    ) -> None:
        """`url`: the plane. `token`: needed until it is enrolled. `data`: dataset name -> object with a length.

        `state`: a directory of its own, so that it stays the same device over restarts; None keeps nothing.
        `OperatorFault` (data-in-use, file-unreadable, token-invalid, usage).
        """
        self._url = url
        self._token = read_token(token) if token else None
        self._name = name or "device"
        self._data: Datasets = data if data is not None else {}
        self._state = State(None if state is None else Path(state))
        self._probes = probes or SystemProbes(self._state.disk_free_at())
        self.limits = Limits()
        self.own = OwnLimits()
        self.told: frozenset[str] = frozenset()
        self.tells: frozenset[str] = frozenset()
        self.quality: Quality | None = None
        self.plans: tuple[str, ...] = tuple(point.value for point in entry_points(group="podium.plans"))
        self._link: Link | None = None
        self._means: Means | None = None
        self._stopping = threading.Event()
        self._lease = ""
        self._window_ms = 0
        self._losses: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def identity(self) -> Identity | None:
        """Who this device is; None before its first enrolment was tried."""
        return self._state.identity

    def run_forever(self) -> None:
        """Cycle until `stop`. Raises only what a person must mend: an enrolment that was refused, or unusable state.

        A cycle that ends as the one before is logged at DEBUG: a device that waits must not bury what once failed.
        """
        before = ""
        while not self._stopping.is_set():
            outcome = self.run_once()
            said = " ".join(part for part in (outcome.word, outcome.code, outcome.lease) if part)
            log.log(logging.DEBUG if said == before else logging.INFO, "%s, back in %d ms", said, outcome.wait_ms)
            before = said
            self._stopping.wait(outcome.wait_ms / 1000)

    def run_once(self) -> Outcome:
        """One cycle: enrol if need be, deliver what is pending or check in and serve the offer. Does not wait.

        Raises `DeviceFault` or `OperatorFault` only when it is not enrolled and cannot be.
        """
        try:
            return self._cycle()
        except PlaneAway as error:
            wait_ms = error.return_ms or self._window_ms or self._spread(self.limits.transient_ms)
            return Outcome(word="away", code=error.code, detail=str(error), lease=self._lease, wait_ms=wait_ms)
        except PodiumError as error:
            if self._means is None:
                raise
            log.warning("the plane cannot be served: %s", error)
            said_ms = error.return_ms if isinstance(error, PlaneRefusal) else 0
            # A session that cannot be kept says nothing of the device itself: it is not sent away for long.
            of_session = isinstance(error, PlaneRefusal) and error.code in SESSION_OVER
            wait_ms = said_ms or self._spread(self.limits.transient_ms if of_session else self.limits.permanent_ms)
            return Outcome(word="denied", code=error.code, detail=str(error), lease=self._lease, wait_ms=wait_ms)

    def stop(self) -> None:
        """End `run_forever` soon: waits end at once, a plan at its next step; the next start resumes its lease."""
        self._stopping.set()

    def close(self) -> None:
        """Close connections and let go of the state directory."""
        if self._link is not None:
            self._link.close()
        self._state.close()

    def enrol(self) -> Identity:
        """Enrol now, if not enrolled yet; the identity. Raises `PlaneAway`, or what the plane says."""
        return self._ready().identity

    def _cycle(self) -> Outcome:
        means = self._ready()
        kept = self._state.pending()
        if kept is not None:
            pending, sealed = kept
            self._lease, self._window_ms = pending.lease, pending.window_ms
            return self._served(lambda: deliver(means, pending, sealed, fresh=False))
        self._lease, self._window_ms = "", 0
        asked_at_ms = time.time_ns() // 1_000_000
        message = _check_in(self._probes.facts(), self._losses)
        answer = self._persistently(lambda: means.session.say("/v1/checkin", message, CheckInAnswer))
        self._losses.clear()
        if answer.news:
            log.warning("the plane refused the last update: %s", answer.news)
        offer = answer.offer
        if answer.reason == "epoch":
            # The plane restarted and no longer knows what this session told it.
            means.session.end()
        if offer is None:
            window_ms = answer.window_ok_ms if answer.reason == "reserved" else answer.window_else_ms
            return Outcome(word="idle", code=answer.reason, wait_ms=window_ms)
        # After an accepted check-in even a failure uses the accepted window.
        self._lease, self._window_ms = offer.lease, answer.window_ok_ms
        if offer.state == "REPORTED":
            return Outcome(word="stored", lease=offer.lease, wait_ms=answer.window_ok_ms)
        return self._served(lambda: take(means, offer, Asked(asked_at_ms, answer.window_ok_ms)))

    def _served(self, serve: Callable[[], LeaseAnswer]) -> Outcome:
        """How the lease that `serve` works on ended."""
        answer: LeaseAnswer | None
        try:
            answer = serve()
            word, code = answer.word, answer.code
        except LeaseOver as over:
            word, code, answer = over.word, over.code, over.answer
        except PlaneRefusal as error:
            if not error.ends_lease:
                raise
            word, code, answer = "over", error.code, None
        if word in _LOSSES:
            self._losses.append(code or word)
            del self._losses[:-_LOSSES_MAX]
        if word == "interrupted":
            return Outcome(word=word, lease=self._lease)
        window_ms = 0
        if answer is not None:
            window_ms = answer.window_ok_ms if word in ("stored", "superseded") else answer.window_else_ms
        return Outcome(word=word, code=code, lease=self._lease, wait_ms=window_ms or self._window_ms)

    def _ready(self) -> Means:
        """What the device works with; made, and the device enrolled, the first time."""
        if self._means is not None:
            return self._means
        identity = self._own_identity()
        if self._link is None:
            self._link = Link(self._url, identity.ca)
        link, token = self._link, self._token
        if not identity.device_id:
            if token is None:
                raise _needs_token()
            unknown = identity
            identity = self._persistently(lambda: enrol(link, self._state, unknown, token))
        self._means = Means(
            state=self._state,
            identity=identity,
            session=Session(link, self._state, identity, self._capabilities),
            data=self._data,
            probes=self._probes,
            own=self.own,
            limits=self.limits,
            stopping=self._stopping,
        )
        return self._means

    def _own_identity(self) -> Identity:
        """The kept identity, or a new and durable one: its key exists before the plane hears of it."""
        kept, token = self._state.identity, self._token
        if kept is not None and (kept.device_id or token is None or kept.plane_id == token.plane_id):
            return kept
        if token is None:
            raise _needs_token()
        identity = new_identity(token, self._name)
        self._state.keep_identity(identity)
        return identity

    def _capabilities(self) -> Capabilities:
        machine = self._probes.machine()
        levels = self._levels()
        return Capabilities(
            os=machine.os,
            architecture=machine.architecture,
            variant=machine.variant,
            ram_mb=machine.ram_mb if possible("ram_mb", machine.ram_mb) else 0,
            cores=machine.cores if possible("cores", machine.cores) else 0,
            accelerator=machine.accelerator,
            agent=f"podium/{_version()}",
            runtimes={"numpy": np.__version__},
            plans=_installed(self.plans),
            datasets={name: len(self._data[name]) if name in self.told else 0 for name in self._data},
            label_coverage=levels.get("label_coverage"),
            missing_rate=levels.get("missing_rate"),
            freshness_h=levels.get("freshness_h"),
        )

    def _levels(self) -> dict[str, str]:
        """What the owner lets the plane know of how the data is, as canonical decimals."""
        if not self.tells:
            return {}
        known = self.quality
        if known is None:
            known = quality(descriptions(self._data.values()), time.time())
        told = {name: getattr(known, name) for name in QUALITIES if name in self.tells}
        return {name: decimal(float(value)) for name, value in told.items() if value is not None and _is(name, value)}

    def _persistently(self, call: Callable[[], T]) -> T:
        return persistently(call, self.limits, self._stopping)

    def _spread(self, window_ms: int) -> int:
        """`window_ms` with the device's own jitter: many devices that lost one plane must not return as one."""
        return round(window_ms * (1 + self.limits.return_jitter * random.uniform(-1, 1)))


def _check_in(facts: Facts, losses: list[str]) -> CheckIn:
    levels = {name: getattr(facts, name) for name in MOMENTARY}
    told = {name: value for name, value in levels.items() if value is not None and _is(name, value)}
    return CheckIn(charging=facts.charging, metered=facts.metered, losses=tuple(losses), **told)


def _is(name: str, value: float) -> bool:
    """Whether `value` can be that of fact `name`: one broken sensor must not cost the device its check-in."""
    if not possible(name, value):
        log.warning("%s is not told: a probe or a loader gives %r", name, value)
        return False
    return True


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    """Plan name -> digest of those of `names` that can be loaded here; a broken one costs only its own tasks."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = load_plan(name).digest
        except OperatorFault as error:
            log.warning("plan %s is not offered: %s", name, error)
    return found


def _needs_token() -> OperatorFault:
    return OperatorFault(
        "token-invalid", what="enrol", why="this device is not enrolled and was given no enrolment token"
    )


def _version() -> str:
    try:
        return version("podium")
    except PackageNotFoundError:
        return "dev"
