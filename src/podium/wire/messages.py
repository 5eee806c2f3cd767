"""The messages of the device conversation as typed structs: what both sides encode and decode, and nothing else.

Decides: field names, types and defaults of protocol /v1. Never: what a message leads to. Unknown fields from a device
are refused, unknown fields from a plane are ignored by a device (so a newer plane can say more). Binary values are
base64url without padding (`wire/canonical.py`); numbers that are signed are decimal strings; times are durations in ms.
without padding (`wire/canonical.py`); numbers that are signed are decimal strings; times are durations in ms.
Source: the eight steps of docs/reference/device-protocol.md.
"""

import msgspec

ENCODING_F32 = "safetensors-f32"
"""The update encoding of this release: a safetensors body of trained minus base, float32, canonical names."""


class FromDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what a device says."""


class FromPlane(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a plane says."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Canonical bytes (base64url) with one Ed25519 signature over `podium/v1/<purpose>` || 0x00 || bytes."""

    payload: str
    key_id: str
    signature: str


# -- who the plane is ----------------------------------------------------------------------------------------


class RootDocument(FromPlane, frozen=True, kw_only=True):
    """The plane's trust root (The Update Framework's rule: a new one is signed by old and new keys).

    `keys`: key id -> base64url Ed25519 public key. `roles`: role (root, online, release, retired) -> (threshold,
    key ids); what a retired key signed before still verifies.
    """

    version: int
    plane_id: str
    keys: dict[str, str]
    roles: dict[str, "RootRole"]


class RootRole(FromPlane, frozen=True, kw_only=True):
    """`threshold` of the keys named must sign."""

    threshold: int
    key_ids: tuple[str, ...]


class SignedRoot(FromPlane, frozen=True, kw_only=True):
    """The root document with one `Signed` per signing key (all over the same payload)."""

    signatures: tuple[Signed, ...]


class Head(FromPlane, frozen=True, kw_only=True):
    """A journal head: RFC 6962 tree `size` and hex `root`, signed by the online key with purpose `journal-head`."""

    tree: str
    size: int
    root: str
    at_ms: int


# -- 1 enrol -------------------------------------------------------------------------------------------------


class EnrolStatement(FromDevice, frozen=True, kw_only=True):
    """What the new device key signs (purpose `enrol`)."""

    token_hash: str  # hex SHA-256 of the token's secret
    plane_id: str
    population: str
    public_key: str
    name: str


class Enrol(FromDevice, frozen=True, kw_only=True):
    """POST /v1/enrol: the token's secret and the signed `EnrolStatement`."""

    secret: str
    statement: Signed


class Enrolled(FromPlane, frozen=True, kw_only=True):
    """The device's id, its population, and the plane's root document."""

    device_id: str
    population: str
    root: SignedRoot


# -- 2 session -----------------------------------------------------------------------------------------------


class ChallengeAsk(FromDevice, frozen=True, kw_only=True):
    """POST /v1/session/challenge."""

    device_id: str


class Challenge(FromPlane, frozen=True, kw_only=True):
    """An opaque challenge that lives `expires_in_ms`."""

    challenge: str
    plane_key_id: str
    expires_in_ms: int


class Capabilities(FromDevice, frozen=True, kw_only=True):
    """What a device can do; constant over a session. `plans`: plan name -> digest of the installed distribution."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    ram_mb: int = 0
    cores: int = 0
    accelerator: str = ""
    agent: str = ""
    runtimes: dict[str, str] = {}
    plans: dict[str, str] = {}
    datasets: dict[str, int] = {}  # dataset name -> examples, only where the site's policy lists it; else 0
    label_coverage: str | None = None  # decimal, 0..1: share of the label classes that it holds, if the policy lists it
    missing_rate: str | None = None  # decimal, 0..1: share of missing values, likewise
    freshness_h: str | None = None  # decimal: hours since its newest example, likewise


class SessionStatement(FromDevice, frozen=True, kw_only=True):
    """What the device key signs (purpose `session`)."""

    challenge: str
    plane_key_id: str
    device_id: str
    epoch: int  # only grows over a device's life
    ephemeral_key: str  # base64url X25519 public key
    capabilities: Capabilities


class SessionAsk(FromDevice, frozen=True, kw_only=True):
    """POST /v1/session."""

    statement: Signed


class SessionGrant(FromPlane, frozen=True, kw_only=True):
    """The signed answer (purpose `session-grant`): the session key sealed to the device's ephemeral key.

    `sealed_key`: base64url HPKE(X25519) of the 32-byte session key, info `podium/v1/session-key` || 0x00 || session id.
    `statement_hash` binds the grant to the asking statement (hex SHA-256 of its canonical bytes).
    """

    session: str
    sealed_key: str
    statement_hash: str
    expires_in_ms: int
    root_version: int
    head: Signed | None


# -- 3 check in ----------------------------------------------------------------------------------------------


class CheckIn(FromDevice, frozen=True, kw_only=True):
    """POST /v1/checkin: momentary facts; None is unknown. `held`/`active`: model -> version digest."""

    battery: float | None = None  # 0..1
    charging: bool | None = None
    metered: bool | None = None
    ram_free_mb: float | None = None
    disk_free_mb: float | None = None
    thermal_c: float | None = None
    download_mb_s: float | None = None  # MB/s that its last transfer saw
    upload_mb_s: float | None = None
    latency_ms: float | None = None  # of a round trip to the plane
    held: dict[str, str] = {}
    active: dict[str, str] = {}
    losses: tuple[str, ...] = ()


class OfferMessage(FromPlane, frozen=True, kw_only=True):
    """A lease on offer. `manifest` is the digest of the signed round manifest, fetched as a blob."""

    lease: str
    state: str
    manifest: str
    base: str
    variant: str  # digest of the variant resolved for this device
    remaining_ms: int
    stall_ms: int


class CheckInAnswer(FromPlane, frozen=True, kw_only=True):
    """An offer or a reason; the two return windows; the desired serving version per model.

    `news`: the code of a refusal that the device has not heard of yet (its last update failed the content checks).
    """

    offer: OfferMessage | None
    reason: str
    window_ok_ms: int
    window_else_ms: int
    desired: dict[str, str] = {}
    news: str = ""


# -- 4 accept or decline, 6 progress, 8 report ---------------------------------------------------------------


class Accept(FromDevice, frozen=True, kw_only=True):
    """POST /v1/leases/ID/accept."""


class Decline(FromDevice, frozen=True, kw_only=True):
    """POST /v1/leases/ID/decline: battery, metered, thermal, schedule, busy, private; or incompatible, with detail."""

    reason: str
    detail: str = ""


class Progress(FromDevice, frozen=True, kw_only=True):
    """POST /v1/leases/ID/progress."""

    done: int = 0
    total: int = 0
    moved_bytes: int = 0


class Failure(FromDevice, frozen=True, kw_only=True):
    """POST /v1/leases/ID/fail: the plan raised; its bounded traceback."""

    code: str
    detail: str


class LeaseAnswer(FromPlane, frozen=True, kw_only=True):
    """`word`: go, extended, stop, stored, superseded, refused, declined, failed. `code`: why, for stop and refused."""

    word: str
    code: str = ""
    remaining_ms: int = 0
    window_ok_ms: int = 0
    window_else_ms: int = 0


OFFSET_QUERY = "offset"
"""PUT /v1/leases/ID/upload?offset=N: where the chunk in the body belongs. In the query, so that the MAC covers it."""

OFFSET_HEADER = "Podium-Offset"
"""HEAD /v1/leases/ID/upload answers with the durable length in this header."""


class UploadAnswer(FromPlane, frozen=True, kw_only=True):
    """The durable offset of an upload (bytes), the answer to PUT."""

    offset: int


class Metric(FromDevice, frozen=True, kw_only=True):
    """A metric as a ratio that adds up: decimal strings."""

    numerator: str
    denominator: str


class Report(FromDevice, frozen=True, kw_only=True):
    """What the device key signs (purpose `report`). Of an evaluation, `length` is 0 and `sha256` is of nothing.

    `sealed_key`: base64url HPKE of the 32-byte content key to the manifest's upload key, info
    `podium/v1/update-key` || 0x00 || lease || 0x00 || base.
    """

    lease: str
    task_digest: str
    base: str
    encoding: str
    sha256: str  # hex, of the sealed bytes
    length: int  # of the sealed bytes
    sealed_key: str
    steps_done: int
    weight: str  # decimal
    metrics: dict[str, Metric]


class ReportAsk(FromDevice, frozen=True, kw_only=True):
    """POST /v1/leases/ID/report."""

    report: Signed


# -- the round manifest --------------------------------------------------------------------------------------


class TensorSpec(FromPlane, frozen=True, kw_only=True):
    """One tensor of the base version; dtype in safetensors' words (F32, I64, ...)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class VariantEntry(FromPlane, frozen=True, kw_only=True):
    """One packaged form of a version, in the style of an OCI image index."""

    digest: str
    size: int
    role: str = "master"
    os: str = ""
    architecture: str = ""
    runtime: str = ""
    precision: str = "float32"


class UploadRules(FromPlane, frozen=True, kw_only=True):
    """How an update of this round is encoded, bounded and sealed."""

    key_id: str
    public_key: str  # base64url X25519
    encoding: str
    chunk_bytes: int
    bytes_max: int


class RoundManifest(FromPlane, frozen=True, kw_only=True):
    """What is the same for all devices of a round; canonical bytes signed by the online key (purpose `round-manifest`).

    `task` is the canonical task (tasks/digest.py): a device recomputes `task_digest` from it.
    """

    plane_id: str
    population: str
    run: str
    round: int
    task: msgspec.Raw
    task_digest: str
    base: str
    variants: tuple[VariantEntry, ...]
    tensors: tuple[TensorSpec, ...]
    upload: UploadRules
    approvals: tuple[str, ...]
    site_policies: tuple[str, ...]
    budgets: dict[str, str]
    attestation: str
    head: Signed | None
