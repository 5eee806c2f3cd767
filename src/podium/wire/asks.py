"""What a person sends to the operator API: the bodies of /api/v1's changing routes.

Decides: field names and defaults. Never: what is done with them. Unknown fields are refused; times are durations in ms.
"""

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all asks."""


class TokenAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/tokens. A label's name is not empty and has no =, and neither it nor its value has a comma."""

    population: str = "default"
    site: str = ""
    name: str = ""
    labels: dict[str, str] = {}
    uses: int = 1
    expires_ms: int = 0  # 0: limits.token_ms


class RunAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/runs: a canonical task; `model` is base64url safetensors if the model is an init or a file."""

    task: msgspec.Raw
    model: str = ""
    base: str = ""  # or a version digest


class ForecastAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/forecast: a canonical task, with the bytes of its base version and of an update (-1: not known)."""

    task: msgspec.Raw
    model_bytes: int = -1
    update_bytes: int = -1


class StopAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/runs/ID/stop."""

    why: str = ""


class PauseAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/runs/ID/pause: after the present round, or `now`."""

    now: bool = False
    why: str = ""


class FreezeAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/freeze and /api/v1/unfreeze; `revoke` the running leases too."""

    revoke: bool = False
    why: str = ""


class MarkAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/devices/mark: let devices be active, cordoned, drained (cordoned, lease revoked) or banned.

    "uncordoned" and "unbanned" make active only those that are cordoned, or banned; to cordon or drain lifts no ban.
    Named one by one (`devices`), or by `labels` (all must match; "site" and "name" are labels too).
    """

    mark: str
    devices: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    dry_run: bool = False
    why: str = ""


class PromoteAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/aliases/ALIAS: let "<task>@<name>" name `version`; `counter` -1: however it stands now."""

    version: str
    counter: int = -1
    why: str = ""


class RollbackAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/aliases/ALIAS/rollback: back to the version before that was not rolled back itself, or to `version`,
    which it once named.

    `counter`: how the alias stood when it was read, -1 however it stands now.
    """

    version: str = ""
    counter: int = -1
    why: str = ""


class ReleaseAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/versions/ID/release: `statement`, a DSSE envelope signed by the offline release key."""

    statement: msgspec.Raw


class ServiceAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/services: a credential for a service; it may do only `verbs`. `expires_ms` 0: the longest."""

    name: str
    verbs: tuple[str, ...]
    expires_ms: int = 0


class WebhookAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/webhooks: tell `url` of records of these kinds (none: all)."""

    url: str
    kinds: tuple[str, ...] = ()


class RotateAsk(Ask, frozen=True, kw_only=True):
    """POST /api/v1/keys/rotate: let another key sign for `role`.

    online: the plane makes the key, and keeps it. release: `public_key` (base64url) is that of a key made elsewhere.
    """

    role: str = "online"
    public_key: str = ""
