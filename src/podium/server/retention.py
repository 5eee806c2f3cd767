"""Keeps the blob store bounded: drops versions, manifests and statements that nobody can ask for any more.

Decides: which blobs are kept: aliased versions, those that a person ever gave an alias, released ones, the last
`versions_kept` of each run, first and present base of runs that are not over, bases and manifests of open rounds and
of live leases, the statements of all these, and whatever is younger than `blob_grace_ms`.
Never: rows (a version's row and its journal entries stay; only its bytes go).
Limits: one sweep each half `blob_grace_ms`; none while a round is being aggregated, because its version may have the
bytes of an old one.
"""

import asyncio
import logging
from collections import defaultdict

from podium.core.rows import VersionRow, granting_round
from podium.core.state import State
from podium.ports import Blobs
from podium.server.boot import is_wanted
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.plane_data import Parts
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import DeviceFault, OperatorFault, PodiumError

log = logging.getLogger("podium.retention")


def kept_blobs(state: State, versions_kept: int) -> frozenset[str]:
    """The digests that must stay."""
    by_run: defaultdict[str, list[VersionRow]] = defaultdict(list)
    for version in state.versions.values():
        by_run[version.run].append(version)
    keep = {alias.version for alias in state.aliases.values()}
    keep.update(move.version for move in state.alias_moves.values())  # what may be rolled back to
    keep.update(state.releases)
    for versions in by_run.values():
        versions.sort(key=lambda row: (row.made_ms, row.number, row.id))
        keep.update(row.id for row in versions[-versions_kept:])
    for run in state.runs.values():
        if run.state in RUN_OPEN:
            keep.update((run.base, run.first))
    rounds = [state.rounds[key] for key in state.open]
    # of a buffered run somebody may still work under an older round
    live = [state.leases[name] for name in state.live_lease.values()]
    rounds += [state.rounds[lease.run, granting_round(lease.id)] for lease in live]
    keep.update(row.base for row in rounds if row.base)
    statements = {state.versions[digest].statement for digest in keep if digest in state.versions}
    statements.update(release.statement for release in state.releases.values())
    manifests = {row.manifest for row in rounds if row.manifest}
    return frozenset(keep | statements | manifests)


def drop_blobs(blobs: Blobs, keep: frozenset[str], grace_ms: int) -> int:
    """Delete every blob that is not kept and is `grace_ms` old or older; how many. Blocking."""
    dropped = 0
    for digest, age_ms in list(blobs.digests()):
        if digest not in keep and age_ms >= grace_ms:
            blobs.delete(digest)
            dropped += 1
    return dropped


async def check_kept(room: BlobRoom, version: VersionRow, *digests: str) -> None:
    """Return if those blobs of `version` are here; `OperatorFault(version-unknown)` otherwise.

    It holds until a row names the version if `room.naming` is held from before this until then.
    """
    try:
        await room.check_stored(*digests)
    except DeviceFault as error:
        raise OperatorFault(
            "version-unknown",
            what=f"v{version.number} {version.id} is not here any more",
            why="it was collected: the newest of each run are kept, what an alias named, and what is released",
            next="podium model list shows the newer ones; a file that was pulled can still be submitted",
        ) from error


class Retention:
    """Sweeps from time to time while the plane serves."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room

    async def run(self) -> None:
        """Sweep for ever; a sweep that the store fails is tried again at the next."""
        while True:
            await asyncio.sleep(self._parts.limits.blob_grace_ms / 2000)
            try:
                await self.sweep()
            except PodiumError as error:
                log.error("sweep failed", extra={"code": error.code, "why": error.why})

    async def sweep(self) -> int:
        """Drop uploads and blobs that nobody names; how many. `DeviceFault(overloaded)` while the plane has no core."""
        uploads = await self._room.run(self._parts.blobs.uploads)
        # Listed first, judged after: an upload only begins under a live lease, and a lease that is over stays over.
        orphans = [upload for upload in uploads if not is_wanted(self._loop.state, upload)]
        for upload in orphans:
            await self._room.run(self._parts.blobs.discard, upload)
        if any(self._loop.state.rounds[key].state == "AGGREGATING" for key in self._loop.state.open):
            return len(orphans)
        async with self._room.naming:
            keep = kept_blobs(self._loop.state, self._parts.limits.versions_kept)
            await self._loop.settled()  # a crash must not bring back a row whose blob was dropped
            dropped = await self._room.run(drop_blobs, self._parts.blobs, keep, self._parts.limits.blob_grace_ms)
        if dropped or orphans:
            log.info("swept", extra={"blobs": dropped, "uploads": len(orphans)})
        return dropped + len(orphans)
