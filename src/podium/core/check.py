"""Invariants of the core's memory: what must hold after every step, whoever asks and whatever happened.

Decides: nothing. Raises `Bug` naming the moment and the entity when something cannot be. Asserted after every step in
tests and faulted simulation. Costs a walk over the open rounds' leases.
"""

import math
from collections import Counter

import numpy as np

from podium.core.deadlines import NONE
from podium.core.open_round import OpenRound
from podium.core.rounds import adapting, buffered, rounds
from podium.core.rounds.buffered import is_buffered
from podium.core.rounds.table import LEASE_LIVE, LEASE_STATES, ROUND_OPEN, ROUND_STATES, RUN_STATES
from podium.core.rows import RoundRow, granting_round
from podium.core.selection.quotas import Slices
from podium.core.state import State
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import Bug

OPEN_ROUNDS_MAX = 2
"""The round that reports or aggregates, and the next one forming."""


def check(state: State) -> None:
    """Raise `Bug` unless every invariant holds."""
    for run in state.runs.values():
        _require(run.state in RUN_STATES, state, f"run {run.id} is {run.state}")
        still = state.open_rounds_of(run.id)
        _require((run.state in RUN_OPEN) == bool(still), state, f"run {run.id} is {run.state} with {len(still)} rounds")
        _require(len(still) <= OPEN_ROUNDS_MAX, state, f"run {run.id} has {len(still)} open rounds")
        _require(
            (run.paused_ms >= 0) == (run.state == "PAUSED"), state, f"run {run.id} is {run.state} since {run.paused_ms}"
        )
        forming = [row for row in still if row.state == "FORMING"]
        _require(len(forming) <= 1, state, f"run {run.id} has {len(forming)} forming rounds")
    for key, work in state.open.items():
        _check_round(state, state.rounds[key], work)
    places = Counter(lease for work in state.open.values() for lease in work.leases)
    twice = [lease for lease, times in places.items() if times > 1]
    _require(not twice, state, f"leases {twice[:3]} stand in two rounds")
    live = {lease.device: lease.id for lease in state.leases.values() if lease.state in LEASE_LIVE}
    held = {state.devices.id(number): lease for number, lease in state.live_lease.items()}
    _require(live == held, state, f"live leases {live} but held {held}")
    _require(int(state.fleet.live.sum()) == len(held), state, "the live column differs from the live leases")
    for hook in state.hooks_until:
        service = state.services[state.webhooks[hook].credential]
        stands = not service.revoked and service.expires_ms > state.now_ms
        _require(stands, state, f"webhook {hook} outlives the credential of {service.name}")


def _check_round(state: State, row: RoundRow, work: OpenRound) -> None:
    name, task = rounds.name_of(row), state.task_of(row.run).task
    _require(row.state in ROUND_OPEN and row.state in ROUND_STATES, state, f"round {name} is {row.state}")
    counts = Counter(lease.state for lease in work.leases.values())
    _require(
        counts == Counter({key: n for key, n in work.count.items() if n}), state, f"round {name} counts {work.count}"
    )
    if is_buffered(task):
        _check_window(state, row, work)
    else:
        _require(row.leases_made == len(work.leases), state, f"round {name} made {row.leases_made} leases")
        _require(row.state != "FORMING" or not work.leases, state, f"round {name} has leases while it forms")
    if task.round.concurrency:
        _require(work.live() <= task.round.concurrency, state, f"round {name} has {work.live()} live leases")
    if work.slices is not None:
        _check_slices(state, row, work, work.slices)
    if row.state == "FORMING":
        _check_nominations(state, row, work)
    if row.state == "AGGREGATING":
        _require(work.live() == 0, state, f"round {name} has live leases while it aggregates")
    if row.state != "FORMING":
        _require(bool(row.base and row.manifest and row.key_id), state, f"round {name} started unprepared")
    _check_leases(state, row, work)


def _check_slices(state: State, row: RoundRow, work: OpenRound, slices: Slices) -> None:
    """What gateways hold was free when it was leased; with it, all seats would be no more than a round may have."""
    name, task, left = rounds.name_of(row), state.task_of(row.run).task, int(slices.left.sum())
    least = int(slices.left.min())
    _require(least >= 0 and left <= slices.seats, state, f"round {name} leased {slices.seats}, left {slices.left}")
    most = math.ceil(adapting.goal_of(row, task) * state.limits.over_max)
    seats = work.live() + len(work.reserved) + left
    _require(
        is_buffered(task) or seats <= most,
        state,
        f"round {name} has {seats} seats taken, reserved or leased, at most {most}",
    )


def _check_window(state: State, row: RoundRow, work: OpenRound) -> None:
    """No window holds more than its sum can bear, nor an update, stored or at work, that is too stale for it."""
    name, rules = rounds.name_of(row), state.task_of(row.run).task.round
    most = rules.goal - 1 + rules.concurrency
    _require(work.stored() + work.live() <= most, state, f"window {name} has {work.stored()} stored of {most}")
    for lease in work.leases.values():
        live = lease.state in LEASE_LIVE
        old = buffered.staleness(state, lease) if live else lease.staleness
        _require(0 <= old <= rules.staleness_max, state, f"lease {lease.id} is {old} versions behind")


def _check_nominations(state: State, row: RoundRow, work: OpenRound) -> None:
    name, fleet = rounds.name_of(row), state.fleet
    nominated = np.flatnonzero(work.nominated[: fleet.size])
    _require(
        work.nominees == len(nominated), state, f"round {name} counts {work.nominees} of {len(nominated)} nominees"
    )
    out = nominated[fleet.banned[nominated] | fleet.cordoned[nominated]]
    _require(not len(out), state, f"round {name} counts on {out[:3]}, who are kept out")
    ready = work.nominees >= adapting.minimum_of(row, state.task_of(row.run).task)
    _require((work.ready_ms >= 0) == ready, state, f"round {name} of {work.nominees} nominees is due {work.ready_ms}")


def _check_leases(state: State, row: RoundRow, work: OpenRound) -> None:
    contributed: Counter[str] = Counter()
    for lease in work.leases.values():
        _require(lease.state in LEASE_STATES, state, f"lease {lease.id} is {lease.state}")
        granted = state.rounds[lease.run, granting_round(lease.id)]
        _require(lease.base == granted.base, state, f"lease {lease.id} has base {lease.base}")
        due = state.lease_deadlines.of(lease.id)
        _require((lease.state in LEASE_LIVE) == (due != int(NONE)), state, f"lease {lease.id} is due at {due}")
        contributed[lease.device] += lease.state in ("REPORTED", "ACCEPTED")
    twice = [device for device, times in contributed.items() if times > 1]
    _require(not twice, state, f"devices {twice} contribute twice to {rounds.name_of(row)}")


def _require(holds: bool, state: State, why: str) -> None:
    if not holds:
        raise Bug(f"at {state.now_ms} ms: {why}")
