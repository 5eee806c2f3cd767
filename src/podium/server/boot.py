"""Reconciles what lies beside the database with its rows, before a plane answers anybody: nothing stays "running".

Decides: which uploads and upload keys nobody names any more, and which open rounds lost their key. Never: deadlines,
verdicts and sums (core/boot.py asks for them again). A crash may leave: chunks of a lease that is over, a key of a
round that ended, and, after a restore without the keys, a round without its key.
"""

import logging

from podium.core.events import AggregateFailed
from podium.core.rounds.buffered import round_of
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import granting_round
from podium.core.state import State
from podium.server.aggregation.manifests import upload_key_name
from podium.server.loop.loop import MakeEvent
from podium.server.plane_data import Parts

log = logging.getLogger("podium.boot")


def reconcile(parts: Parts, state: State) -> list[MakeEvent]:
    """Drop what nobody names, and say what the core must be told once it booted. Blocking; `StoreFault`."""
    uploads = [upload for upload in parts.blobs.uploads() if not is_wanted(state, upload)]
    for upload in uploads:
        parts.blobs.discard(upload)
    needed = {key: named_keys(state, *key) for key in sorted(state.open)}
    alive = {upload_key_name(run, number) for run, number in state.open}.union(*needed.values())
    kept = set(parts.keys.names("upload/"))
    for name in sorted(kept - alive):
        parts.keys.erase(name)
    lost = [key for key, names in needed.items() if names - kept]
    counts = {"uploads": len(uploads), "keys": len(kept - alive), "rounds": len(lost)}
    log.info("reconciled", extra=counts)
    return [_erased(run, number) for run, number in lost]


def named_keys(state: State, run: str, number: int) -> set[str]:
    """The upload keys that an open round cannot do without: its own, and those of leases that count in it."""
    names = {upload_key_name(run, number)} if state.rounds[run, number].manifest else set()
    for lease in state.open[run, number].leases.values():
        if lease.state in (*LEASE_LIVE, *LEASE_STORED):
            names.add(upload_key_name(run, granting_round(lease.id)))
    return names


def is_wanted(state: State, upload: str) -> bool:
    """Whether an upload belongs to a lease that may still use it: live, or stored in a round that is still open."""
    lease = state.leases.get(upload)
    if lease is None or round_of(state, lease) not in state.open:
        return False
    return lease.state in LEASE_LIVE or lease.state in LEASE_STORED


def _erased(run: str, number: int) -> MakeEvent:
    return lambda at: AggregateFailed(at_ms=at, run=run, round=number, reason="key-erased")
