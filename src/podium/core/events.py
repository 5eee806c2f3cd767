"""Events: everything that can happen to the core, in the past tense.

Decides: what the core is told. Never: what follows (the machines). Every event and every row carries its own `at_ms`,
so cutting or joining batches changes no decision. Device check-ins come as columns; lease messages, rarer by far, as
rows. `ticket` is the gateway's number for the request that waits for an answer (-1: nobody waits).
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.telemetry import DataFacts, Telemetry
from podium.core.said import LeaseAccepted, LeaseDeclined, LeaseFailed, LeaseProgressed, LeaseReported
from podium.core.selection.quotas import Landed
from podium.tasks.task import Task
from podium.wire.messages import Capabilities


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events. `at_ms`: the plane's monotonic clock; of a columnar event, its last row's."""

    at_ms: int


class Booted(Event, frozen=True, kw_only=True):
    """The plane has loaded its rows and starts; it was away for `down_ms` (already bounded by the shell)."""

    down_ms: int


class TimePassed(Event, frozen=True, kw_only=True):
    """Nothing happened until `at_ms`; whatever was due until then is done."""


class TokenIssued(Event, frozen=True, kw_only=True):
    """A person issued an enrolment token; only the hash of its secret is known."""

    ticket: int
    actor: str
    token_hash: str
    population: str
    site: str
    name: str
    labels: dict[str, str]
    uses: int
    expires_ms: int


class EnrolAsked(Event, frozen=True, kw_only=True):
    """A device proved its new key and showed a token."""

    ticket: int
    token_hash: str
    device_id: str
    public_key: str
    population: str
    name: str


class DevicesMarked(Event, frozen=True, kw_only=True):
    """A person let those `devices` that are in one of `of_states` be `state` (active, cordoned or banned) from now on.

    A cordoned device gets no new lease; its running one goes on unless `revoke`. A ban always revokes it.
    """

    ticket: int
    actor: str
    devices: tuple[str, ...]
    state: str
    of_states: tuple[str, ...]
    revoke: bool
    why: str


class SessionsOpened(Event, frozen=True, kw_only=True):
    """A batch of devices opened sessions; what they can do holds for the session's length.

    `at`, `device`, `epoch`, `ticket` int64 as in `CheckedIn`. `kind` int32: which of `capabilities` each has (without
    its datasets: those are columns of `data`).
    """

    at: NDArray[np.int64]
    device: NDArray[np.int64]
    epoch: NDArray[np.int64]
    ticket: NDArray[np.int64]
    kind: NDArray[np.int32]
    capabilities: tuple[Capabilities, ...]
    data: DataFacts


class CheckedIn(Event, frozen=True, kw_only=True):
    """A batch of devices asked for work. `at` int64 ms, not falling; `device` int64; `epoch` int64; `ticket` int64.

    `queue`: the requests that waited undecided when it was taken, these included. `landed`: at which gateway each row
    did; None: all at the only one.
    """

    at: NDArray[np.int64]
    device: NDArray[np.int64]
    epoch: NDArray[np.int64]
    ticket: NDArray[np.int64]
    telemetry: Telemetry
    queue: int = 0
    landed: Landed | None = None


class LeasesTold(Event, frozen=True, kw_only=True):
    """A batch of lease messages in order of arrival; rows' `at_ms` do not fall."""

    rows: tuple[LeaseAccepted | LeaseDeclined | LeaseProgressed | LeaseFailed | LeaseReported, ...]


class VersionImported(Event, frozen=True, kw_only=True):
    """A person brought in a model (the parent-less first version of a lineage); its blob is stored."""

    actor: str
    digest: str
    size_bytes: int
    statement: str


class RunSubmitted(Event, frozen=True, kw_only=True):
    """A person started a run of `task` from version `base` (imported before, or sealed by another run)."""

    ticket: int
    actor: str
    run: str
    task: Task
    task_digest: str
    base: str
    retry_of: str = ""


class RunPaused(Event, frozen=True, kw_only=True):
    """A person paused a run: after its present round, or `now`, its deadlines standing still."""

    ticket: int
    actor: str
    run: str
    now: bool
    why: str


class RunResumed(Event, frozen=True, kw_only=True):
    """A person let a pausing or paused run go on, with the same round."""

    ticket: int
    actor: str
    run: str


class Frozen(Event, frozen=True, kw_only=True):
    """A person froze the plane: no new lease from now on; with `revoke` the running ones end too."""

    ticket: int
    actor: str
    revoke: bool
    why: str


class Unfrozen(Event, frozen=True, kw_only=True):
    """A person let the plane grant leases again."""

    ticket: int
    actor: str
    why: str


class AliasMoved(Event, frozen=True, kw_only=True):
    """A person let `alias` ("<task>@<name>") name `version`; `counter`: how the alias stood when read, -1 any.

    `back`: it was a rollback, to a version that the alias had named. `release_keys`: the ids of the release keys that
    sign today, by the plane's root document.
    """

    ticket: int
    actor: str
    alias: str
    version: str
    counter: int
    release_keys: tuple[str, ...]
    why: str
    back: bool = False


class VersionReleased(Event, frozen=True, kw_only=True):
    """Somebody brought the offline release key's statement over a version; the shell verified it, its blob is kept."""

    ticket: int
    actor: str
    version: str
    key_id: str
    statement: str


class ServiceIssued(Event, frozen=True, kw_only=True):
    """A person or a service issued a service's credential; only the hash of its secret is known.

    `credential`: the hash of the one that issues it, "" of a person's.
    """

    ticket: int
    actor: str
    token_hash: str
    name: str
    verbs: tuple[str, ...]
    expires_ms: int
    credential: str = ""


class ServiceRevoked(Event, frozen=True, kw_only=True):
    """A person took a service's credential back."""

    ticket: int
    actor: str
    token_hash: str


class WebhookSet(Event, frozen=True, kw_only=True):
    """A person or a service named who is told of records; the shell checked the address, and keeps it and the secret.

    `origin`: its scheme, host and port. `credential`: the hash of the service's that asked, "" of a person's.
    """

    ticket: int
    actor: str
    id: str
    origin: str
    kinds: tuple[str, ...]
    credential: str = ""


class WebhookRemoved(Event, frozen=True, kw_only=True):
    """A person removed a webhook."""

    ticket: int
    actor: str
    id: str


class KeyRotated(Event, frozen=True, kw_only=True):
    """The plane signs with a new key from now on; the root document of `version` names it."""

    ticket: int
    actor: str
    role: str
    key_id: str
    version: int


class RunStopped(Event, frozen=True, kw_only=True):
    """A person stopped a run; the last sealed version stays."""

    ticket: int
    actor: str
    run: str
    why: str


class ManifestMade(Event, frozen=True, kw_only=True):
    """The shell made the round's upload key and signed its manifest; both are durable."""

    run: str
    round: int
    manifest: str
    key_id: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the aggregation role found inside one stored update; `code` is "" if it was added to the sum."""

    lease: str
    code: str
    detail: str = ""
    norm: float = -1.0  # L2 norm of the update, -1 if it was not computed


class UpdatesJudged(Event, frozen=True, kw_only=True):
    """The aggregation role opened and checked updates."""

    verdicts: tuple[Verdict, ...]


class AggregateMade(Event, frozen=True, kw_only=True):
    """The sum over exactly `leases` was finished into version `digest`; its blobs are durable."""

    run: str
    round: int
    digest: str
    size_bytes: int
    statement: str
    leases: tuple[str, ...]  # sorted


class AggregateFailed(Event, frozen=True, kw_only=True):
    """The round cannot be finished (`key-erased`, `weight-zero`, `base-lost`...); it is abandoned with that reason."""

    run: str
    round: int
    reason: str


class HeadSigned(Event, frozen=True, kw_only=True):
    """The sequencer signed a head of a population's tree: `size` entries, hex `root`."""

    tree: str
    size: int
    root: str


class Denied(Event, frozen=True, kw_only=True):
    """Somebody was refused (role, signature, MAC): kept as the first per subject and reason per hour, then counted."""

    subject: str
    code: str


AnyEvent = (
    Booted
    | TimePassed
    | TokenIssued
    | EnrolAsked
    | DevicesMarked
    | SessionsOpened
    | CheckedIn
    | LeasesTold
    | VersionImported
    | RunSubmitted
    | RunStopped
    | RunPaused
    | RunResumed
    | Frozen
    | Unfrozen
    | AliasMoved
    | VersionReleased
    | ServiceIssued
    | ServiceRevoked
    | WebhookSet
    | WebhookRemoved
    | KeyRotated
    | ManifestMade
    | UpdatesJudged
    | AggregateMade
    | AggregateFailed
    | HeadSigned
    | Denied
)
