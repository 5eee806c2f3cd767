"""From devices that fit a round to its cohort: what its strategy sees of them, who is kept, and who is chosen.

Decides: the columns of a nominee, and what a round asks of its strategy; the plan of a cohort. Both are fixed when the
round's first nominee comes (the seats, the strata and their shares, the cap of the utilities), so that no nominee is
weighed otherwise than another; the choice looks at what was learned since. Never: who fits (admit), when a round starts
(rounds). Limits: columns that the task's strategy does not look at tell nothing.
"""

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.fleet.columns import Fleet
from podium.core.fleet.telemetry import QUALITIES, SWITCHES, Telemetry
from podium.core.rows import RoundRow
from podium.core.selection.plan import Plan, View, lint, propose
from podium.core.selection.scores import preference_scores, quality_score
from podium.core.selection.seats import Mask, Seats
from podium.core.selection.strata import Strata
from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, RoundAsk
from podium.core.state import State
from podium.tasks.selecting import is_own
from podium.tasks.task import Task

Numbers = NDArray[np.int64]
Level = NDArray[np.float32]


def nominate(state: State, row: RoundRow, seats: int, devices: Numbers, told: tuple[Telemetry, Numbers]) -> Mask:
    """Nominate `devices`, that fit, for a forming round of so many `seats`; which of them are kept when they come.

    `told`: their momentary facts, with a row for each. A device that was nominated before is asked after.
    """
    work, (groups, keys, fresh) = state.open[row.run, row.number], _weighed(state, row, seats, devices, told)
    new = devices[fresh]
    work.nominated[new] = True
    work.nominees += len(new)
    assert work.seats is not None
    return work.seats.offer(devices, groups, keys)


def would_keep(state: State, row: RoundRow, seats: int, devices: Numbers, told: tuple[Telemetry, Numbers]) -> Mask:
    """What `nominate` would answer; nobody is nominated."""
    if len(devices) == 0:
        return np.zeros(0, np.bool_)
    groups, keys, _ = _weighed(state, row, seats, devices, told)
    standing = state.open[row.run, row.number].seats
    assert standing is not None
    return standing.copy().offer(devices, groups, keys)


def _weighed(
    state: State, row: RoundRow, seats: int, devices: Numbers, told: tuple[Telemetry, Numbers]
) -> tuple[Groups, Floats, Numbers]:
    """The group and the key of each of `devices`, NaN for one that was nominated, and the positions of the others.

    The first ones make the seats.
    """
    work, task = state.open[row.run, row.number], state.task_of(row.run)
    strategy = state.strategy_of(task)
    if work.seats is None:
        work.strata = Strata(state.fleet, task.task.select.stratify) if task.task.select.stratify else None
        work.ask = ask_of(state, row, max(1, seats))
        work.seats = Seats(strategy.groups(work.ask))
    new = (~work.nominated[devices]).nonzero()[0]
    groups, keys = np.zeros(len(devices), np.int16), np.full(len(devices), np.nan)
    if len(new) and work.ask is not None:
        groups[new], keys[new] = strategy.nominate(
            work.ask, candidates_of(state, row, devices[new], (told[0], told[1][new]))
        )
    if work.cutoffs is not None:  # the gateway tells nobody who is beyond them; group -1 has no seat
        spare = len(work.cutoffs) - 1
        groups[keys > work.cutoffs[np.clip(groups, -1, spare)]] = -1
    return groups, keys, new


def choose(state: State, row: RoundRow, seats: int, minimum: int) -> Plan:
    """The linted plan of the round's cohort for so many `seats`; `Bug` if its strategy's choice does not hold."""
    work = state.open[row.run, row.number]
    if work.seats is None or work.ask is None:
        return Plan(devices=np.empty(0, np.int64), unchosen={"full": 0})
    kept = work.seats.members()
    now = candidates_of(state, row, kept, (state.fleet.telemetry, kept))
    plan = propose(state.strategy_of(state.task_of(row.run)), ask_of(state, row, seats), now, work.nominees)
    lint(plan, View(kept=kept, nominees=work.nominees, seats=seats, minimum=minimum))
    return plan


def ask_of(state: State, row: RoundRow, seats: int) -> RoundAsk:
    """What the round asks of its strategy now; the strata are those of its first nominee."""
    work, learned, task = state.open[row.run, row.number], state.experience.get(row.run), state.task_of(row.run).task
    usual = float(task.round.report_deadline)
    return RoundAsk(
        round=row.number,
        seats=seats,
        preferred_ms=learned.preferred_ms(usual) if learned else usual,
        utility_cap=learned.utility_cap() if learned else np.inf,
        strata_shares=work.strata.shares if work.strata else {},
    )


def candidates_of(state: State, row: RoundRow, devices: Numbers, told: tuple[Telemetry, Numbers]) -> Candidates:
    """The columns of `devices` (int64), whose session is open; `told`: their momentary facts, with a row for each."""
    task, count = state.task_of(row.run).task, len(devices)
    select, learned = task.select, state.experience.get(row.run)
    nothing: Level = np.full(count, np.nan, np.float32)
    none = np.zeros(count, np.int32)
    strata = state.open[row.run, row.number].strata
    seen = Candidates(
        device=devices,
        draw=uniform(task.run.seed, f"reserve/{row.run}/{row.number}", devices),
        utility=nothing,
        loss=nothing,
        duration_ms=nothing,
        last_round=none - np.int32(1),
        times=none,
        quality=_quality(state.fleet, task, devices) if _weighs_data(task) else nothing,
        stratum=strata.of(devices) if strata else none,
        preference=_preference(state.fleet, task, devices, told) if select.prefers else np.ones(count, np.float32),
    )
    if learned is None:
        return seen
    learned.grow(state.fleet.size)
    names = ("utility", "loss", "duration_ms", "last_round", "times")
    return replace(seen, **{name: getattr(learned, name)[devices] for name in names})


def _weighs_data(task: Task) -> bool:
    return task.select.strategy == "quality" or is_own(task.select.strategy)


def _quality(fleet: Fleet, task: Task, devices: Numbers) -> Level:
    told = [fleet.qualities[name][devices] for name in ("label_coverage", "missing_rate", "freshness_h")]
    return quality_score(_examples(fleet, task, devices), *told)


def _examples(fleet: Fleet, task: Task, devices: Numbers) -> Level:
    """How many examples of the task's datasets each device told, NaN: none that it told."""
    known = np.zeros(len(devices), np.float32)
    for name in task.data.datasets:
        known += np.maximum(fleet.examples_of(name, devices), 0)
    return np.where(known > 0, known, np.float32(np.nan))


def _preference(fleet: Fleet, task: Task, devices: Numbers, told: tuple[Telemetry, Numbers]) -> Level:
    columns: Mapping[str, Level] = {
        name: _level(fleet, task, devices, told, name) for name in sorted(task.select.prefers)
    }
    return preference_scores(task.select.prefers, columns)


def _level(fleet: Fleet, task: Task, devices: Numbers, told: tuple[Telemetry, Numbers], name: str) -> Level:
    """One fact that `prefers` may weigh, float32, NaN unknown."""
    momentary, rows = told
    if name == "examples":
        return _examples(fleet, task, devices)
    if name in QUALITIES:
        return fleet.qualities[name][devices]
    if name in SWITCHES:
        switch = getattr(momentary, name)[rows]
        return np.where(switch < 0, np.float32(np.nan), switch).astype(np.float32)
    if name in Telemetry.__struct_fields__:
        level: Level = getattr(momentary, name)[rows]
        return level
    sets, places = np.unique(fleet.facts_id[devices], return_inverse=True)
    held = [fleet.facts.of(number).get(f"device.{name}", np.nan) for number in sets.tolist()]
    shared: Level = np.array(held, np.float32)[places]
    return shared
