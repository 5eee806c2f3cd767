"""What the operator API says: the views that the CLI, the watch screen and the Python surface show.

Decides: field names of /api/v1. Never: what is in them (core/views.py). Times are durations in ms.
"""

import msgspec

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
    """A round: its state, funnel (stage -> count, in order) and losses (reason -> count)."""

    run: str
    number: int
    state: str
    reason: str
    base: str
    version: str
    goal: int
    minimum: int
    funnel: dict[str, int]  # registered, eligible, checked in, leased, training, reported, accepted
    lost: dict[str, int]
    left_ms: int  # until the deadline in force, -1 none
    took_ms: int
    metrics: MetricView
    site_metrics: dict[str, MetricView]
    site_examples: dict[str, dict[str, float]]  # site -> metric -> denominator


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
    history: dict[str, list[float]]  # metric -> value per sealed round
    bytes_down: int
    bytes_up: int


class DeviceView(View, frozen=True, kw_only=True):
    """A device as the fleet list shows it."""

    id: str
    name: str
    population: str
    site: str
    labels: dict[str, str]
    state: str  # active | banned
    online: bool
    seen_ms: int  # since it was last heard, -1 never since the plane started
    lease: str
    failure: str
    failure_detail: str


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
    metrics: MetricView


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
    journal_entries: int
    journal_pending: int


class TokenAsk(View, frozen=True, kw_only=True):
    """POST /api/v1/tokens."""

    population: str = "default"
    site: str = ""
    name: str = ""
    labels: dict[str, str] = {}
    uses: int = 1
    expires_ms: int = 0  # 0: limits.token_ms


class TokenMade(View, frozen=True, kw_only=True):
    """The token, shown once: `pdm1.<base64url canonical {plane_id, secret, population, ca}>`."""

    token: str
    expires_in_ms: int


class RunAsk(View, frozen=True, kw_only=True):
    """POST /api/v1/runs: a canonical task; `model` is base64url safetensors if the model is an init or a file."""

    task: msgspec.Raw
    model: str = ""
    base: str = ""  # or a version digest


class RunMade(View, frozen=True, kw_only=True):
    """The id of the new run, and its task's digest."""

    run: str
    task_digest: str


class StopAsk(View, frozen=True, kw_only=True):
    """POST /api/v1/runs/ID/stop."""

    why: str = ""


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
    """GET /api/v1/whoami: the role that the credential proves, and the plane that answered."""

    role: str
    plane_id: str
