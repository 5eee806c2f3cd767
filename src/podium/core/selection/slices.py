"""When slices of the rounds' seats are leased to gateways, and of how many seats: the coordinator's timer.

Decides: the moments, every `quota_ms` while a round wants devices and there is more than one gateway, and what each
open round leases then. Never: how seats are divided or used (quotas.py).
"""

import numpy as np

from podium.core.draws import uniform
from podium.core.rounds.adapting import open_seats
from podium.core.rounds.buffered import forms
from podium.core.rounds.wants import wanting
from podium.core.rows import RoundRow
from podium.core.state import State


def slices_due(state: State) -> int:
    """When slices are leased next, in ms; very large while nobody wants any, and with one gateway always."""
    return state.quotas.next_ms if state.quotas.several and wanting(state) else state.never


def lease_slices(state: State) -> None:
    """If it is due at `state.now_ms`, begin a generation: what the one before left unused is leased anew."""
    if slices_due(state) > state.now_ms:
        return
    state.quotas.turn(state.now_ms)
    for row in wanting(state):
        _lease(state, row)


def _lease(state: State, row: RoundRow) -> None:
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    if forms(row, task):
        work.cutoffs = None if work.seats is None else work.seats.cutoffs()
        return
    free = max(0, open_seats(state, row) - len(work.reserved))
    label, generation = f"quota/{row.run}/{row.number}", np.array([state.quotas.generation])
    work.slices = state.quotas.lease(free, float(uniform(task.run.seed, label, generation)[0]))
