"""The rows: what the plane knows durably, one frozen struct per entity.

Decides: the current-state tables. A record (core/step.py) carries the rows it changed as they now stand, so the
tables, the history folded, and the core's memory are three copies of the same rows, and a test holds them equal.
Never: transitions (each machine's `table.py`). Times are `at_ms` of the plane's own monotonic clock.
Each struct's first fields form its key (`KEY` fields).
"""

from typing import ClassVar

import msgspec

from podium.tasks.task import Task


class Row(msgspec.Struct, frozen=True, kw_only=True, tag_field="table"):
    """Base of every row; `KEY` names the fields that identify it within its table."""

    KEY: ClassVar[tuple[str, ...]] = ("id",)

    def key(self) -> str:
        """The row's identity within its table, as one string."""
        return "/".join(str(getattr(self, name)) for name in self.KEY)


class TokenRow(Row, frozen=True, kw_only=True, tag="tokens"):
    """An enrolment token by the SHA-256 of its secret; consumed in the step that makes the device."""

    id: str  # hex SHA-256 of the secret
    population: str
    site: str
    name: str
    labels: dict[str, str]
    uses_left: int
    expires_ms: int


class DeviceRow(Row, frozen=True, kw_only=True, tag="devices", gc=False):  # in no cycle; a boot makes millions
    """An enrolled device. `number` is its column index, dense from 0 in order of enrolment."""

    id: str
    number: int
    name: str
    population: str
    site: str
    labels: dict[str, str]
    public_key: str  # base64url, Ed25519
    enrolled_ms: int
    participated_ms: int  # last granted training lease, -1 never
    state: str  # active | cordoned | banned
    failure: str = ""  # last failure's code
    failure_detail: str = ""  # its traceback, bounded
    marked_ms: int = -1  # when a person last changed its state, -1 never
    marked_why: str = ""


class TaskRow(Row, frozen=True, kw_only=True, tag="tasks"):
    """A task by the digest over all its terms."""

    id: str  # sha256:...
    task: Task


class RunRow(Row, frozen=True, kw_only=True, tag="runs"):
    """One execution of a task."""

    id: str
    task: str
    state: str  # RUNNING | PAUSING | PAUSED | FINISHED | STOPPED | TIMED_OUT | ABANDONED
    reason: str
    actor: str
    started_ms: int
    deadline_ms: int
    ended_ms: int  # -1 while running
    base: str  # the version that the next round starts from
    first: str  # the version the run began with
    rounds_sealed: int
    rounds_opened: int
    abandoned_in_row: int
    loss_rate: float  # observed share of leases lost, for over-selection
    metrics: dict[str, tuple[float, float]]  # pooled sums of the last sealed round, measured on its base
    bytes_down: int = 0  # base versions handed to leases that were accepted, of ended rounds
    bytes_up: int = 0  # sealed updates stored, of ended rounds
    retry_of: str = ""  # the run it goes on from
    paused_ms: int = -1  # since when its deadlines stand still, -1 while they do not


class RoundRow(Row, frozen=True, kw_only=True, tag="rounds"):
    """One attempt at the next version."""

    KEY: ClassVar[tuple[str, ...]] = ("run", "number")
    run: str
    number: int  # 1-based attempt number within the run
    state: str  # FORMING | REPORTING | AGGREGATING | SEALED | ABANDONED
    reason: str
    base: str  # version digest; "" while the parent is not sealed
    manifest: str  # digest of the signed round manifest; "" until prepared
    key_id: str  # upload key; "" until prepared
    opened_ms: int
    form_deadline_ms: int  # -1 until the parent is sealed
    reporting_ms: int  # -1 until offers go out
    report_deadline_ms: int  # -1 until the first lease
    ended_ms: int  # -1 while open
    leases_made: int
    outcomes: dict[str, int]  # once ended: lease state, or "state:reason" -> leases
    version: str  # the version it made; "" until sealed
    metrics: dict[str, tuple[float, float]]  # pooled (numerator, denominator) sums, measured on `base`
    site_metrics: dict[str, dict[str, tuple[float, float]]]
    frozen: bool = False  # abandoned in a frozen plane, or in one that was frozen since its devices got to work
    goal: int = 0  # accepted updates that it wants, 0: the task's (round.ramp made it less)
    loss_rate: float = -1.0  # share of its nominees' leases that was expected to be lost, -1: the run's
    hope_ms: int = -1  # how long after its grant a lease is counted on, -1: as long as the round
    quick_ms: int = -1  # how long a lease takes where it takes least, -1 unknown: no shorter time is worth a seat


class LeaseRow(Row, frozen=True, kw_only=True, tag="leases"):
    """The right of one device to contribute one update. `generation` grows with every transition."""

    id: str  # "<run>.<round>.<n>": that round granted it, and its manifest, base and upload key are the lease's
    run: str
    round: int  # in which it counts; of a live lease of a buffered run the one that granted it
    device: str
    site: str
    base: str
    state: str
    reason: str
    generation: int
    epoch: int  # the device's session epoch when it was granted
    granted_ms: int
    deadline_ms: int  # lapses then, unless progress moves it
    ended_ms: int  # -1 while live
    report: str  # base64url of the signed report's canonical bytes; "" until reported
    report_signature: str
    upload_bytes: int  # sealed length, 0 until reported
    weight: float
    metrics: dict[str, tuple[float, float]]
    held_ms: int = -1  # when the device took it, -1 never
    reported_ms: int = -1  # when its update was stored, -1 never
    norm: float = -1.0  # the update's L2 norm as the aggregation role found it, -1 unknown
    download_mb_s: float = -1.0  # how fast the base version went to it, as the door timed it, -1 unknown
    upload_mb_s: float = -1.0  # how fast its update came
    staleness: int = 0  # versions that its base was behind when it reported


def granting_round(lease: str) -> int:
    """The number of the round that granted the lease of that id."""
    return int(lease.rsplit(".", 2)[1])


class VersionRow(Row, frozen=True, kw_only=True, tag="versions"):
    """An immutable model version, addressed by the digest of its safetensors bytes."""

    id: str  # sha256:...
    number: int  # 0-based per lineage
    parent: str
    run: str
    round: int
    task: str
    made_ms: int
    size_bytes: int
    statement: str  # digest of the signed provenance statement blob
    contributors: int
    metrics: dict[str, tuple[float, float]]  # empty; release 0.1.0 put its round's here, which its parent measured


class AliasRow(Row, frozen=True, kw_only=True, tag="aliases"):
    """A movable name; `counter` only grows, history is in the journal."""

    id: str  # "<model>@<alias>"
    version: str
    counter: int
    actor: str
    why: str
    at_ms: int


class AliasMoveRow(Row, frozen=True, kw_only=True, tag="alias_moves"):
    """One move of an alias by a person; never changed. `before`: the version it named, "" if none; `back`: it was a
    rollback."""

    KEY: ClassVar[tuple[str, ...]] = ("alias", "counter")
    alias: str
    counter: int
    version: str
    before: str
    actor: str
    why: str
    at_ms: int
    back: bool = False


class ReleaseRow(Row, frozen=True, kw_only=True, tag="releases"):
    """A version that the offline release key signed for use outside training: the last release key that did so."""

    id: str  # the version's digest
    key_id: str
    statement: str  # digest of the signed release statement blob
    actor: str
    at_ms: int


class FreezeRow(Row, frozen=True, kw_only=True, tag="freezes"):
    """The kill switch of a plane: while `frozen`, no lease is granted."""

    id: str  # "plane"
    frozen: bool
    why: str
    actor: str
    at_ms: int


class ServiceRow(Row, frozen=True, kw_only=True, tag="services"):
    """A service's credential by the SHA-256 of its secret: what it may do, until when.

    `issuer`: the id of the credential that issued it, "" of a person's.
    """

    id: str  # hex SHA-256 of the token
    name: str
    verbs: tuple[str, ...]
    actor: str
    made_ms: int
    expires_ms: int
    revoked: bool
    issuer: str = ""


class WebhookRow(Row, frozen=True, kw_only=True, tag="webhooks"):
    """Who is told of records, and of which kinds (none: all). Whole address and secret are in the Keys port.

    `url`: the whole address, in rows of before it was kept there. `credential`: the id of the service's that set it, ""
    of a person's; the plane ends it with that one (`ended`: why, "" while it is told).
    """

    id: str
    origin: str = ""  # scheme, host and port
    url: str = ""
    kinds: tuple[str, ...]
    actor: str
    at_ms: int
    removed: bool
    credential: str = ""
    ended: str = ""


class FactsChunk(msgspec.Struct, frozen=True, kw_only=True):
    """What devices told, in bytes (fleet/snapshot.py); no row, and no record makes it. `digest`: SHA-256 of `body`."""

    number: int  # from 0
    at_ms: int  # when it was taken
    digest: bytes
    body: bytes


PAST_HOPE = "past-hope"
"""The reason of a superseded lease that was older than leases of its class usually get: as good as lost."""
LEASES_REMEMBERED_MAX = 100_000
"""Leases that ended and are remembered all the same, so that a late message hears what became of its lease."""
AnyRow = (
    TokenRow
    | DeviceRow
    | TaskRow
    | RunRow
    | RoundRow
    | LeaseRow
    | VersionRow
    | AliasRow
    | AliasMoveRow
    | ReleaseRow
    | FreezeRow
    | ServiceRow
    | WebhookRow
)
ROW_TYPES: tuple[type[AnyRow], ...] = (
    TokenRow,
    DeviceRow,
    TaskRow,
    RunRow,
    RoundRow,
    LeaseRow,
    VersionRow,
    AliasRow,
    AliasMoveRow,
    ReleaseRow,
    FreezeRow,
    ServiceRow,
    WebhookRow,
)
TABLES: dict[str, type[AnyRow]] = {str(kind.__struct_config__.tag): kind for kind in ROW_TYPES}

_LOADED: tuple[type[AnyRow], ...] = (
    DeviceRow,
    TaskRow,
    RunRow,
    VersionRow,
    RoundRow,
    AliasRow,
    AliasMoveRow,
    ReleaseRow,
    FreezeRow,
    ServiceRow,
    WebhookRow,
    TokenRow,
    LeaseRow,
)
_PLACES = {kind: place for place, kind in enumerate(_LOADED)}


def load_order(row: AnyRow) -> tuple[int, int]:
    """When a load puts `row`, by its table; leases in the order in which they reported or ended without a report: that
    is when a step learned of them."""
    if not isinstance(row, LeaseRow):
        return _PLACES[type(row)], 0
    return _PLACES[LeaseRow], row.reported_ms if row.reported_ms >= 0 else row.ended_ms


def table_of(row: AnyRow) -> str:
    """The name of the current-state table `row` lives in."""
    return str(row.__struct_config__.tag)
