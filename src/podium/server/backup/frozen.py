"""A directory that was restored from a backup which may be older than what was decided since: it starts frozen.

Decides: that the freeze is an ordinary record of the journal, durable before anybody is answered, and that it happens
once: who unfreezes the plane has the last word. Never: whether a directory is such a one (restoring.py), nor
what the decisions were, which nobody here knows: a credential that was revoked since lives again, a ban is lifted.
"""

from pathlib import Path

from podium.adapters.disk import disk_fault, sync
from podium.core.events import Frozen
from podium.server.devices.device_words import checked
from podium.server.loop.loop import Loop

FILE = "restored"
"""In the data directory until its first start: why that start is frozen, as text."""
ACTOR = "podium db restore"


async def freeze_restored(data: Path, loop: Loop) -> None:
    """Freeze the plane if its directory `data` was restored so; a crash before the end is a start like this one.

    As `Loop.ask` raises; `StoreFault` if the directory cannot be read or written.
    """
    path = data / FILE
    try:
        why = path.read_text("utf-8", errors="replace")
        checked(await loop.ask(lambda at, ticket: Frozen(at_ms=at, ticket=ticket, actor=ACTOR, revoke=False, why=why)))
        path.unlink()
        sync(data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_fault(error.errno, f"freezing the plane of {data}, which was restored", str(error)) from error
