"""What the operator API says: the views that the CLI, the watch screen and the Python surface show.

Decides: field names of /api/v1. Never: what is in them (core/views), nor what a person sends (asks.py). Times are
durations in ms.
"""

import msgspec

RUN_OPEN = ("RUNNING", "PAUSING", "PAUSED")
"""The states of a run that is not over."""

PAUSES: dict[str, tuple[str, ...]] = {"PAUSING": ("run-pausing",), "PAUSED": ("run-paused", "run-pausing")}
"""State of a run that rests -> the kinds of entry that may tell who let it: the first that a person or service caused.
The plane itself lets a run rest whose pause was to wait for the end of a round."""

MetricView = dict[str, float]
"""Metric name -> finalised value (numerator / denominator)."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all views."""


class Wait(View, frozen=True, kw_only=True):
    """What something waits for: have of need, since when, until when (-1 = no deadline), and why it is short."""

    what: str
    have: int
    need: int
    since_ms: int
    left_ms: int
    why: dict[str, int]  # reason -> devices


class RoundView(View, frozen=True, kw_only=True):
    """A round: its state, its leases by how far they got, and losses (reason -> count); its metrics are those of its
    base version, measured before any device trained. How far devices got is told by the explanation of its run."""

    run: str
    number: int
    state: str
    reason: str
    base: str
    version: str
    goal: int
    minimum: int
    leases: dict[str, int]  # granted, training (now), reported, accepted: a device may have had several
    lost: dict[str, int]
    left_ms: int  # until the deadline in force, -1 none
    took_ms: int
    metrics: MetricView
    site_metrics: dict[str, MetricView]
    site_examples: dict[str, dict[str, float]]  # site -> metric -> denominator
    examples: dict[str, float] = {}  # metric -> denominator, over all devices
    opened_age_ms: int = -1  # ages count back from now; -1: that has not happened
    reporting_age_ms: int = -1
    ended_age_ms: int = -1
    report_ms: int = -1  # how long reports may take, from the first lease
    norm_max: float = -1.0  # an update of a larger norm is refused
    shapes: dict[str, int] = {}  # session shape -> leases, the most first: docs/reference/causes.md
    asked: int = 0  # devices that it asks at once for its goal; 0: not known, it never started
    loss_rate: float = -1.0  # share of such leases that is usually lost, if that is why it asks so many; -1: it is not


class RunView(View, frozen=True, kw_only=True):
    """A run with its present round and what it waits for."""

    id: str
    task: str  # task name
    task_digest: str
    kind: str
    purpose: str
    state: str
    reason: str
    rounds: int  # asked for
    rounds_sealed: int
    version_number: int
    base: str
    first: str
    elapsed_ms: int
    left_ms: int  # until the run's deadline
    round: RoundView | None
    waiting: Wait | None
    history: dict[str, list[float]]  # metric -> value per sealed round; at most 512 of them, evenly, the last included
    measured_number: int  # of the version that its last sealed round measured: that round's base; -1 none yet
    bytes_down: int
    bytes_up: int
    retry_of: str
    actor: str
    paused_ms: int  # how long it has stood still, -1 while it does not
    frozen: bool  # the plane grants no lease
    shapes: dict[str, int] = {}  # session shape -> leases of its newest 64 rounds, the most first
    shape_drift: float = -1.0  # of its newest 8 ended rounds against those before; -1: too few leases to say


class LeaseView(View, frozen=True, kw_only=True):
    """A lease. Ages count back from now; -1: that never happened."""

    id: str
    run: str
    round: int
    device: str
    site: str
    state: str
    reason: str
    granted_age_ms: int
    held_age_ms: int
    reported_age_ms: int
    ended_age_ms: int
    upload_bytes: int
    weight: float
    norm: float  # -1: not known
    metrics: MetricView
    shape: str = ""  # what became of it, a mark for each thing that happened
    staleness: int = 0  # versions that its base was behind when it reported


class Condition(View, frozen=True, kw_only=True):
    """Something that holds of a device or does not, with its reason in one word, and since when."""

    name: str  # enabled, session, online, at-work, claims-hold, or eligible: for one round, as of its last check-in
    holds: bool
    reason: str
    since_age_ms: int = -1  # -1: the plane did not see it begin
    about: str = ""  # the lease, the round and the clause, what a claim counts as


class DeviceDetail(View, frozen=True, kw_only=True):
    """A device with its facts of this session and its last leases, newest first."""

    device: "DeviceView"
    enrolled_age_ms: int
    participated_age_ms: int
    facts: dict[str, str]  # name -> value as text; none before its first session
    leases: list[LeaseView]
    momentary: dict[str, str] = {}  # what it told at its last check-in; what it did not tell is left out
    momentary_age_ms: int = -1  # since it was last heard, with or after that check-in; -1: it told none
    loss_rate: float = -1.0  # the chance that its next lease brings no report, by what the plane saw; -1 unknown
    usual_ms: float = -1.0  # what a lease of it usually takes from grant to report, -1 unknown
    conditions: list[Condition] = msgspec.field(default_factory=list)
    measured: dict[str, str] = {}  # of its line, by the plane: down and up in MB/s, answer in ms, and its like's


class FreezeView(View, frozen=True, kw_only=True):
    """Whether the plane grants leases; `age_ms` since it was last changed, -1 never."""

    frozen: bool
    why: str
    actor: str
    age_ms: int


class AliasView(View, frozen=True, kw_only=True):
    """Where an alias points, and since when."""

    alias: str
    version: str
    number: int
    counter: int
    actor: str
    why: str
    age_ms: int


class AliasMoveView(View, frozen=True, kw_only=True):
    """One move of an alias, newest first in lists; `back`: it was a rollback."""

    alias: str
    counter: int
    version: str
    before: str
    actor: str
    why: str
    age_ms: int
    back: bool = False


class ReleaseView(View, frozen=True, kw_only=True):
    """A version's release."""

    version: str
    key_id: str
    statement: str
    actor: str
    age_ms: int


class ServiceView(View, frozen=True, kw_only=True):
    """A service's credential, without its secret."""

    id: str
    name: str
    verbs: list[str]
    actor: str
    age_ms: int
    left_ms: int  # 0 once it is over or revoked
    revoked: bool
    issuer: str  # the id of the service's credential that issued it and that it ends with, "" of a person's


class ServiceMade(View, frozen=True, kw_only=True):
    """A service's credential, shown this once."""

    id: str
    token: str
    left_ms: int


class WebhookView(View, frozen=True, kw_only=True):
    """Who is told of records, and how that goes."""

    id: str
    origin: str  # scheme, host and port; the whole address is shown to nobody, since it is often a secret
    kinds: list[str]
    actor: str  # who set it
    delivered: int
    failing: str  # why the present delivery fails, or why nothing is told any more; "" if all is well
    dead: int  # deliveries given up


class WebhookMade(View, frozen=True, kw_only=True):
    """A webhook and the secret that signs its deliveries, shown this once."""

    id: str
    secret: str


class DeadLetterView(View, frozen=True, kw_only=True):
    """A delivery that was given up."""

    webhook: str
    event: str
    kind: str
    why: str
    age_ms: int


class KeyView(View, frozen=True, kw_only=True):
    """A key of the root document: its role, whether it signs today, and what a rotation would touch."""

    id: str
    role: str
    state: str  # active | retired
    root_version: int


class EntryView(View, frozen=True, kw_only=True):
    """A journal entry; `place` -1 while pending."""

    number: int
    tree: str
    place: int
    age_ms: int
    kind: str
    subject: str
    actor: str
    why: dict[str, str]


class VerifyView(View, frozen=True, kw_only=True):
    """What a verification of the whole journal found; `first_bad` "" if every entry fits."""

    ok: bool
    entries: int
    pending: int
    first_bad: str
    age_ms: int  # since it was verified


class MarkDone(View, frozen=True, kw_only=True):
    """What became of devices that were marked, or would (`dry_run`): how many a selector matched and changed."""

    dry_run: bool
    matched: int
    changed: int
    at_work: int
    devices: list[str]  # the first of them, by id


class DeviceView(View, frozen=True, kw_only=True):
    """A device as the fleet list shows it."""

    id: str
    name: str
    population: str
    site: str
    labels: dict[str, str]
    state: str  # active | cordoned | banned
    online: bool
    seen_ms: int  # since it was last heard, -1 never since the plane started
    lease: str
    failure: str
    failure_detail: str
    enrolled_age_ms: int


class FleetCell(View, frozen=True, kw_only=True):
    """How many devices of one architecture and operating system ("" not told) are in one state."""

    architecture: str
    os: str
    state: str  # at work | online | offline | cordoned | banned
    devices: int


class FleetView(View, frozen=True, kw_only=True):
    """The whole fleet counted, the commonest platform first."""

    devices: int
    cells: list[FleetCell]


class PresencePoint(View, frozen=True, kw_only=True):
    """How many devices were online, and how many of them at work, `age_ms` ago."""

    age_ms: int
    online: int
    at_work: int


class PresenceView(View, frozen=True, kw_only=True):
    """Devices online over the last day, or since the plane started; oldest first, evenly thinned, now the last."""

    devices: int
    points: list[PresencePoint]


class VersionView(View, frozen=True, kw_only=True):
    """A model version with its lineage and aliases."""

    digest: str
    number: int
    parent: str
    run: str
    round: int
    task: str
    size_bytes: int
    contributors: int
    statement: str
    aliases: list[str]
    released: bool
    made_age_ms: int
    metrics: MetricView  # as last measured on this very version; empty while nobody has
    measured_by: list[str]  # "RUN.NUMBER" of the rounds whose base it was and that measured it, the newest 16 first


class StatusView(View, frozen=True, kw_only=True):
    """The plane in one look."""

    plane_id: str
    version: str
    url: str
    up_ms: int
    devices: int
    online: int
    runs: list[RunView]
    waiting: list[Wait]
    freeze: FreezeView
    alerts: list[str]  # sentences, the gravest first
    journal_entries: int
    journal_pending: int


class TokenMade(View, frozen=True, kw_only=True):
    """The token, shown once: `pdm1.<base64url canonical {plane_id, secret, population, ca}>`."""

    token: str
    expires_in_ms: int


class RunMade(View, frozen=True, kw_only=True):
    """The id of the new run, and its task's digest."""

    run: str
    task_digest: str


class Page(View, frozen=True, kw_only=True):
    """One page of a list; `next` is the cursor of the following page, "" at the end."""

    items: list[msgspec.Raw]
    next: str = ""


class PlaneFile(View, frozen=True, kw_only=True):
    """`DATA/plane.json`, written while a plane serves that directory: where it answers and who it is."""

    url: str
    plane_id: str
    pid: int
    ca: str = ""


class WhoAmI(View, frozen=True, kw_only=True):
    """GET /api/v1/whoami: whom the credential proves, what it may do, and the plane that answered."""

    role: str  # "service" of a service
    plane_id: str
    actor: str = ""  # as the journal names it: "person:<role>" or "service:<name>"
    verbs: list[str] = []
