"""What was live in a database that is restored: whom it let act, whom it told, and what it forbade.

Decides: what a person must look through before the plane that comes back is trusted again. Never: what was decided
since the backup, which is lost with the directory.
"""

import msgspec

from podium.adapters.sqlite.reader import SqliteReader
from podium.adapters.sqlite.snapshot import rows_of
from podium.core.access.services import is_told
from podium.core.rows import DeviceRow, FreezeRow, ServiceRow, WebhookRow
from podium.server.webhooks.addresses import origin_of


class LiveService(msgspec.Struct, frozen=True, kw_only=True):
    """A service's credential that was good: its name, what it may do, until when (ms since the epoch)."""

    name: str
    verbs: tuple[str, ...]
    expires_ms: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """As it was when the backup was taken. `webhooks`: where each tells. `frozen`: why, "" if it was not."""

    services: tuple[LiveService, ...]
    webhooks: tuple[str, ...]
    banned: int
    frozen: str


def standing_of(reader: SqliteReader, at_ms: int) -> Standing:
    """What the rows say of the moment `at_ms` of the plane's clock; `StoreFault`."""
    live = [row for row in rows_of(reader, ServiceRow) if not row.revoked and row.expires_ms > at_ms]
    told = [row for row in rows_of(reader, WebhookRow) if is_told(row)]
    frozen = [row for row in rows_of(reader, FreezeRow) if row.frozen]
    return Standing(
        services=tuple(
            LiveService(name=row.name, verbs=row.verbs, expires_ms=row.expires_ms)
            for row in sorted(live, key=lambda row: row.name)
        ),
        webhooks=tuple(sorted(origin_of(row) for row in told)),
        banned=sum(row.state == "banned" for row in rows_of(reader, DeviceRow)),
        frozen=", ".join(row.why or "no reason given" for row in frozen),
    )
