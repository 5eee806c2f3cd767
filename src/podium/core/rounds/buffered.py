"""Buffered rounds: windows of one unbroken stream of leases, after FedBuff.

Decides: in which window a lease stands, how stale its update is, which live leases go on when a window closes, and
which upload keys die with it. A lease is granted under the manifest, the base and the upload key of the window that
reports then, and its id says so for ever; it counts in the window that is the newest when it reports or ends. So live
leases always stand in the newest window, and a closing window loses only those that would be past `staleness_max` in
the next one: nothing that devices still work on is ever too stale. Never: when a window opens, closes or seals
(rounds.py). Synchronous rounds are the same machine: there a lease stands where it was granted.
Limits: a window holds at most `round.goal` - 1 + `round.concurrency` updates; `round.staleness_max` versions.
Source: Nguyen et al. 2022, "Federated learning with buffered asynchronous aggregation" (FedBuff), algorithm 1; Huba et
al. 2022, PAPAYA, section 4 (concurrency apart from the aggregation goal, a bound on staleness).
"""

from typing import TYPE_CHECKING

from podium.core.open_round import OpenRound
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import LeaseRow, RoundRow, granting_round
from podium.tasks.task import Task

if TYPE_CHECKING:  # the state asks where a lease stands
    from podium.core.state import State


def is_buffered(task: Task) -> bool:
    """Whether the rounds of `task` are windows of one stream of leases."""
    return task.round.mode == "buffered"


def forms(row: RoundRow, task: Task) -> bool:
    """Whether `row` gathers a cohort; a window that is yet to be prepared does not: it has no seat, and takes over."""
    return row.state == "FORMING" and not is_buffered(task)


def round_of(state: "State", lease: LeaseRow) -> tuple[str, int]:
    """The key of the round in which `lease` counts; a live one of a buffered run stands in the newest."""
    if lease.state in LEASE_LIVE and is_buffered(state.task_of(lease.run).task):
        return lease.run, state.runs[lease.run].rounds_opened
    return lease.run, lease.round


def take_over(state: "State", row: RoundRow) -> None:
    """The live leases of the window before stand in `row`, a window that opens, from now on."""
    before = state.open.get((row.run, row.number - 1))
    if before is None or not is_buffered(state.task_of(row.run).task):
        return
    work = state.open[row.run, row.number]
    for lease in [lease for lease in before.leases.values() if lease.state in LEASE_LIVE]:
        del before.leases[lease.id]
        before.count[lease.state] -= 1
        work.add(state.holder(lease), lease)


def staleness(state: "State", lease: LeaseRow) -> int:
    """How many versions the base of a live lease is behind the one that the round it counts in adds to.

    A version that is being made counts: a window that waits for it will add to that.
    """
    row = state.rounds[round_of(state, lease)]
    return _behind(state, lease, row.base or state.runs[lease.run].base) + (not row.base)


def _behind(state: "State", lease: LeaseRow, base: str) -> int:
    return state.versions[base].number - state.versions[lease.base].number


def past_bound(state: "State", row: RoundRow, lease: LeaseRow) -> bool:
    """Whether a live lease of `row`, which closes, would be too stale in the window after it."""
    return _behind(state, lease, row.base) >= state.task_of(row.run).task.round.staleness_max


def seats(row: RoundRow, task: Task, work: OpenRound) -> int:
    """How many leases a window can grant now: what its concurrency leaves, while it still wants updates.

    None once its goal is stored: whoever began then would be stale from the start.
    """
    if row.state != "REPORTING" or work.stored() >= task.round.goal:
        return 0
    return max(0, task.round.concurrency - work.live())


def dead_keys(state: "State", row: RoundRow, work: OpenRound) -> tuple[int, ...]:
    """The numbers of the rounds whose upload key nobody needs any more, now that `row` ended.

    A key is needed while its round is open, a live lease names it, or an update under it waits in an open window.
    """
    if not is_buffered(state.task_of(row.run).task):
        return (row.number,)
    named = {row.number, *(granting_round(lease.id) for lease in work.leases.values())}
    for still in state.open_rounds_of(row.run):
        held = state.open[still.run, still.number].leases.values()
        needed = {granting_round(lease.id) for lease in held if lease.state in (*LEASE_LIVE, *LEASE_STORED)}
        named -= {still.number, *needed}
    return tuple(sorted(named))
