"""What a person may see of runs and rounds: the structs of wire/operator.py, made from rows and working memory.

Decides: how a round's leases are counted and what a run is said to wait for. Anything waiting says have and need, since
when, until when, and why it is short. Never: how it is shown. Reads only.
"""

import math
from collections import Counter
from weakref import WeakKeyDictionary

import numpy as np

from podium.core.open_round import OpenRound
from podium.core.rounds import adapting, pausing, rounds
from podium.core.rounds.buffered import is_buffered
from podium.core.rounds.table import ROUND_OPEN
from podium.core.rows import RoundRow, RunRow
from podium.core.selection.eligible import CLAUSE
from podium.core.selection.reasons import REASONS
from podium.core.state import State
from podium.core.views.shapes import drift, run_shapes, shapes_of
from podium.wire.operator import RUN_OPEN, MetricView, RoundView, RunView, Wait

ONLINE_MS = 30_000
"""A device heard within this time counts as online."""
HISTORY_POINTS_MAX = 512
"""A run's view carries so many values of each metric; the page of its rounds has them all."""
_HISTORIES: WeakKeyDictionary[State, dict[str, tuple[int, dict[str, list[float]], int]]] = WeakKeyDictionary()
"""What `_history` found last: run -> (rounds looked at, every value, the number of the version measured last). Memory
of a calculation, not of the plane."""
_LOST = ("DECLINED", "INCOMPATIBLE", "FAILED", "LAPSED", "REFUSED", "SUPERSEDED", "REVOKED")


def finalised(sums: dict[str, tuple[float, float]]) -> MetricView:
    """Metric -> numerator / denominator; a metric over nothing is left out, and one that no float (nor JSON) holds."""
    return {name: value for name, (over, under) in sums.items() if under and math.isfinite(value := over / under)}


def run_view(state: State, run: RunRow, now_ms: int) -> RunView:
    """A run as the watch screen shows it, with its oldest open round (or its last one)."""
    task = state.tasks[run.task].task
    row = _round_shown(state, run)
    history, measured = _history(state, run)
    shapes = run_shapes(state, run)
    end = now_ms if run.ended_ms < 0 else run.ended_ms
    moved = [rounds.moved(state, state.open[still.run, still.number]) for still in state.open_rounds_of(run.id)]
    return RunView(
        id=run.id,
        task=task.task.name,
        task_digest=run.task,
        kind=task.task.kind,
        purpose=task.task.purpose,
        state=run.state,
        reason=run.reason,
        rounds=task.run.rounds,
        rounds_sealed=run.rounds_sealed,
        version_number=state.versions[run.base].number,
        base=run.base,
        first=run.first,
        elapsed_ms=end - run.started_ms,
        left_ms=max(0, run.deadline_ms - _stands_at(run, end)),
        round=round_view(state, row, now_ms) if row else None,
        waiting=wait_of(state, run, row, now_ms) if row else None,
        history=history,
        measured_number=measured,
        bytes_down=run.bytes_down + sum(down for down, _ in moved),
        bytes_up=run.bytes_up + sum(up for _, up in moved),
        retry_of=run.retry_of,
        actor=run.actor,
        paused_ms=now_ms - run.paused_ms if run.paused_ms >= 0 else -1,
        frozen=state.frozen(),
        shapes=shapes.every,
        shape_drift=drift(shapes),
    )


def _round_shown(state: State, run: RunRow) -> RoundRow | None:
    """The oldest open round; of a run that is over the newest in which anybody worked, else the newest."""
    if still := state.open_rounds_of(run.id):
        return still[0]
    newest = state.rounds.get((run.id, run.rounds_opened))
    for number in range(run.rounds_opened, 0, -1):
        row = state.rounds.get((run.id, number))
        if row is not None and row.outcomes:
            return row
    return newest


def _history(state: State, run: RunRow) -> tuple[dict[str, list[float]], int]:
    """Metric -> its value per sealed round, thinned, and the number of the version that the last of them measured.

    Only rounds that ended since the last look are looked at.
    """
    known = _HISTORIES.setdefault(state, {})
    looked, values, measured = known.get(run.id, (0, {}, -1))
    for number in range(looked + 1, run.rounds_opened + 1):
        row = state.rounds.get((run.id, number))
        if row is not None and row.state in ROUND_OPEN:
            break
        looked = number
        if row is None or row.state != "SEALED" or not row.metrics:
            continue
        measured = state.versions[row.base].number
        for name, value in finalised(row.metrics).items():
            values.setdefault(name, []).append(value)
    known[run.id] = looked, values, measured
    return {name: thinned(each) for name, each in values.items()}, measured


def thinned(values: list[float]) -> list[float]:
    """At most `HISTORY_POINTS_MAX` of `values`, evenly, the first and the last among them."""
    count = len(values)
    if count <= HISTORY_POINTS_MAX:
        return values[:]
    return [values[place * (count - 1) // (HISTORY_POINTS_MAX - 1)] for place in range(HISTORY_POINTS_MAX)]


def round_view(state: State, row: RoundRow, now_ms: int) -> RoundView:
    """A round with its funnel and losses: counted live while it is open, from its outcomes afterwards."""
    task, work = state.task_of(row.run).task, state.open.get((row.run, row.number))
    counts = rounds.outcomes(work) if work else row.outcomes
    end = now_ms if row.ended_ms < 0 else row.ended_ms
    return RoundView(
        run=row.run,
        number=row.number,
        state=row.state,
        reason=row.reason,
        base=row.base,
        version=row.version,
        goal=adapting.goal_of(row, task),
        minimum=adapting.minimum_of(row, task),
        leases=_leases(row, counts),
        lost={name: count for name, count in counts.items() if name.split(":")[0] in _LOST},
        left_ms=_left(state, row, now_ms),
        took_ms=end - row.opened_ms,
        metrics=finalised(row.metrics),
        site_metrics={site: finalised(sums) for site, sums in row.site_metrics.items()},
        site_examples={
            site: {name: under for name, (_, under) in sums.items()} for site, sums in row.site_metrics.items()
        },
        examples={name: under for name, (_, under) in row.metrics.items()},
        opened_age_ms=now_ms - row.opened_ms,
        reporting_age_ms=now_ms - row.reporting_ms if row.reporting_ms >= 0 else -1,
        ended_age_ms=now_ms - row.ended_ms if row.ended_ms >= 0 else -1,
        report_ms=int(task.round.report_deadline),
        norm_max=task.aggregate.norm_max,
        shapes=shapes_of(counts),
        asked=adapting.asked(state, row),
        loss_rate=row.loss_rate,
    )


def _stands_at(run: RunRow, now_ms: int) -> int:
    """The moment that a run's own deadline is counted from: it stands still while the run is paused."""
    return run.paused_ms if run.paused_ms >= 0 else now_ms


def _left(state: State, row: RoundRow, now_ms: int) -> int:
    since = pausing.stands_since(state, row)
    at = since if since >= 0 else now_ms
    if row.state == "REPORTING":
        return max(0, rounds.report_due(state, row) - at)
    if row.state == "FORMING" and row.form_deadline_ms >= 0:
        # a round that began to form while its time stood still has all of it before it
        return min(max(0, row.form_deadline_ms - at), int(state.task_of(row.run).task.round.form_deadline))
    return -1


def _leases(row: RoundRow, counts: dict[str, int]) -> dict[str, int]:
    by_state: Counter[str] = Counter()
    for name, count in counts.items():
        by_state[name.split(":")[0]] += count
    return {
        "granted": by_state.total(),
        "training": by_state["HELD"],
        "reported": sum(by_state[name] for name in ("REPORTED", "ACCEPTED", "REFUSED")),
        "accepted": by_state["ACCEPTED"],
    }


def wait_of(state: State, run: RunRow, row: RoundRow, now_ms: int) -> Wait | None:
    """What a running run waits for now; None once it is over."""
    if run.state not in RUN_OPEN or row.state not in ROUND_OPEN:
        return None
    work, task = state.open[row.run, row.number], state.task_of(row.run).task
    name = rounds.name_of(row)
    if row.state == "FORMING" and is_buffered(task):
        return Wait(
            what=f"round {name} is being prepared",
            have=work.stored(),
            need=adapting.goal_of(row, task),
            since_ms=now_ms - row.opened_ms,
            left_ms=_left(state, row, now_ms),
            why={"at work": work.live(), "being checked": work.count.get("REPORTED", 0)},
        )
    if row.state == "FORMING":
        since = now_ms - row.opened_ms
        what = f"round {name} needs devices to start"
        return Wait(
            what=what,
            have=work.nominees,
            need=adapting.minimum_of(row, task),
            since_ms=since,
            left_ms=_left(state, row, now_ms),
            why=_shortfall(state, work, adapting.minimum_of(row, task), now_ms),
        )
    if row.state == "REPORTING":
        return Wait(
            what=f"round {name} needs reports",
            have=work.count.get("ACCEPTED", 0),
            need=adapting.goal_of(row, task),
            since_ms=now_ms - row.reporting_ms,
            left_ms=_left(state, row, now_ms),
            why={"at work": work.live(), "being checked": work.count.get("REPORTED", 0)},
        )
    return Wait(
        what=f"round {name} is being aggregated",
        have=work.count.get("ACCEPTED", 0),
        need=work.stored(),
        since_ms=now_ms - row.opened_ms,
        left_ms=-1,
        why={},
    )


def _shortfall(state: State, work: OpenRound, need: int, now_ms: int) -> dict[str, int]:
    """Why devices are not nominated: reason -> devices; a failing clause by its text."""
    why: Counter[str] = Counter()
    size = state.fleet.size
    why["not enrolled"] = max(0, need - size)
    banned, cordoned = state.fleet.banned[:size], state.fleet.cordoned[:size]
    why["banned"], why["cordoned"] = int(np.count_nonzero(banned)), int(np.count_nonzero(cordoned))
    online = (state.fleet.seen_ms[:size] >= now_ms - ONLINE_MS) & ~banned & ~cordoned
    why["not connected"] = size - why["banned"] - why["cordoned"] - int(np.count_nonzero(online))
    why["at work"] = int(np.count_nonzero(online & state.fleet.live[:size]))
    known = work.reason[:size]
    reasons = known[online[: len(known)]]
    asked = np.zeros(size, np.bool_)
    asked[: len(known)] = known >= 0
    why["not checked in yet"] = int(np.count_nonzero(online & ~state.fleet.live[:size] & ~asked))
    codes, counts = np.unique(reasons[reasons >= 0], return_counts=True)
    for code, count in zip(codes, counts, strict=True):
        why[_reason_text(state, work, int(code))] += int(count)
    for good in ("offered", "reserved", "full"):
        why.pop(good, None)
    return {name: count for name, count in why.items() if count}


def _reason_text(state: State, work: OpenRound, code: int) -> str:
    if code < CLAUSE:
        return REASONS[code]
    run = next(key[0] for key, open_round in state.open.items() if open_round is work)
    rules = state.eligibility_of(state.task_of(run))
    clauses = [*rules.requires.clauses, *rules.when.clauses]
    clause = clauses[(code - CLAUSE) // 2]
    return f"unknown: {clause}" if (code - CLAUSE) % 2 else f"false: {clause}"
