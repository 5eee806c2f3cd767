"""What fills the sentences of a cause: names, counts, values and times, as they are for this very run.

Decides: how many names and values are told. Never: which cause applies or binds (explain.py). Reads only.
"""

from typing import NamedTuple

import numpy as np

from podium.core.rounds import adapting, rounds
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import LeaseRow, RoundRow
from podium.core.selection.eligible import CLAUSE
from podium.core.state import FREEZE, State
from podium.core.views import holdups
from podium.core.views.holdups import HELD_BY, HoldUps, Look
from podium.core.views.shapes import DRIFT_MAX, ROUNDS_NEW, RunShapes, drift, most_moved
from podium.tasks.task import Budgets
from podium.wire.durations import format_duration

ENROLLED = ("device.site", "device.labels")
"""Facts that a device has from its enrolment."""

_LOOSER = {
    "separation": "a shorter select.separation",
    "times-spent": "a larger select.fairness.times_max",
    "budget-spent": "larger select.budgets",
    "region": "more select.regions",
}
Facts = dict[str, object]


class Found(NamedTuple):
    """A cause that applies: its code, how many devices it holds, what fills its sentences, and how many of the devices
    nothing else holds."""

    code: str
    devices: int
    facts: Facts
    alone: int = 0


def devices_found(look: Look, held: HoldUps, lacking: int, facts: Facts) -> list[Found]:
    """The causes that hold devices back, the largest first, each with its facts beside `facts`.

    `lacking`: how many devices more the round could use.
    """
    found, alone = [], held.alone()
    for number, count in held.counts().items():
        code = code_of(look, number)
        more: Facts = {
            "number": number,
            "n": count_text(count),
            "count": count,
            "ids": " ".join(row.id for row in holdups.held_devices(look, held, number)),
            "examples": examples(look, held, number),
            "horizon": time_text(holdups.horizon_ms(look.state)),
        }
        told = facts | loosened(code) | more | facts_of(look, held, number, lacking)
        found.append(Found(code, count, told, alone[number]))
    return found


def examples(look: Look, held: HoldUps, number: int) -> str:
    """The first devices that a reason holds back, and how many more there are."""
    names = [row.name or row.id for row in holdups.held_devices(look, held, number)]
    count = int(np.count_nonzero(held.first == number))
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")


def facts_of(look: Look, held: HoldUps, number: int, lacking: int) -> Facts:
    """What fills the sentences of one reason, besides counts and names."""
    code, task = code_of(look, number), look.task.task
    if number >= CLAUSE:
        clause = holdups.clause_of(look, number)
        told: Facts = {"clause": clause, "values": values_text(look, held, number)}
        if any(name in clause for name in ENROLLED):
            return told | {"enrolment": "site and labels are the token's, whatever an agent tells"}
        return told | {"agents": examples(look, held, number)}
    if code in ("plan-missing", "plan-digest", "dataset"):
        least = f" with at least {task.data.examples_min} examples" if task.data.examples_min else ""
        told = {
            "plan": task.task.plan,
            "digest": ", ".join(task.task.plan_digests),
            "datasets": ", ".join(task.data.datasets) + least,
            "values": values_text(look, held, number),
        }
        theirs = ", ".join(text for text, _ in holdups.told(look, held, number)[0][: holdups.VALUES_SHOWN])
        return told | ({"looser": f"task.plan_digests naming {theirs}"} if code == "plan-digest" else {})
    if code == "separation":
        free = np.sort(holdups.free_ms(look)[held.first == number])
        return {
            "separation": time_text(task.select.separation),
            "first_free": time_text(int(free[0])),
            "enough_free": time_text(int(free[min(max(1, lacking), len(free)) - 1])),
        }
    if code == "times-spent":
        return {"times": task.select.fairness.times_max}
    if code == "budget-spent":
        return {"budgets": budgets_text(task.select.budgets)}
    if code == "region":
        return {"regions": ", ".join(task.select.regions), "values": values_text(look, held, number)}
    if code == "at-work-elsewhere":
        others = at_work(look.state, look.row.run if look.row else "")
        told = {"others": ", ".join(f"run {run} ({count})" for run, count in others.items())}
        return told | first_of(others)
    if code == "backoff" and look.row is not None:
        rows, losses = look.numbers()[held.first == number], look.state.losses[look.row.run]
        free_ms = int(losses.free_ms(rows).min()) - look.now_ms
        return {
            "losses": int(losses.in_a_row[rows].min()),
            "first_free": time_text(free_ms),
            "first": look.state.devices[int(rows[0])].id,
        }
    return lost_facts(look) if code == "tries-spent" else {}


def budgets_text(budgets: Budgets) -> str:
    """The bounds that a task sets to what one device spends on it."""
    bounds = (
        (budgets.trainings_per_day, "trainings a day"),
        (budgets.bytes_per_month, "bytes a month"),
        (budgets.energy_wh_per_day, "Wh a day"),
    )
    return ", ".join(f"{bound:,} {what}" for bound, what in bounds if bound)


def lost_facts(look: Look) -> Facts:
    """How the leases of this round were lost, and a device whose plan or update failed."""
    lost = [lease for lease in look.work.leases.values() if lease.state not in (*LEASE_LIVE, *LEASE_STORED)]
    kept = {name: count for name, count in rounds.outcomes(look.work).items() if name.split(":")[0] in _states(lost)}
    failed = [lease.device for lease in lost if lease.state in ("FAILED", "REFUSED")]
    outcomes = ", ".join(f"{name.lower().replace(':', ' ')} {count}" for name, count in kept.items())
    told: Facts = {"outcomes": outcomes}
    return told | ({"failed": failed[0]} if failed else {})


def _states(leases: list[LeaseRow]) -> set[str]:
    return {lease.state for lease in leases}


def code_of(look: Look, number: int) -> str:
    """The cause's code of a reason's number."""
    if number < CLAUSE:
        return HELD_BY[number]
    hard = (number - CLAUSE) // 2 < len(look.state.eligibility_of(look.task).requires.clauses)
    return f"{'requires' if hard else 'when'}-{'unknown' if (number - CLAUSE) % 2 else 'false'}"


def values_text(look: Look, held: HoldUps, number: int) -> str:
    """The most frequent values that the devices have: "0.7 (300), none (27)", in per cent if only some were asked; of
    one device the value alone."""
    told, over = holdups.told(look, held, number)
    told, whole = told[: holdups.VALUES_SHOWN], over == np.count_nonzero(held.first == number)
    if look.size == 1:
        return told[0][0]
    return ", ".join(f"{text} ({f'{count:,}' if whole else f'{count / over:.0%}'})" for text, count in told)


def loosened(code: str) -> Facts:
    """The term of the task that would have to be otherwise, where it is not the size of a round."""
    if code.startswith(("requires", "when")):
        return {"looser": f"a wider select.{code.split('-')[0]}"}
    return {"looser": _LOOSER[code]} if code in _LOOSER else {}


def at_work(state: State, run: str) -> dict[str, int]:
    """Other runs than `run` whose devices are at work -> how many, the most first."""
    live: dict[str, int] = {}
    for (other, _), work in state.open.items():
        if other != run and work.live():
            live[other] = live.get(other, 0) + work.live()
    return dict(sorted(live.items(), key=lambda item: (-item[1], item[0])))


def first_of(others: dict[str, int]) -> Facts:
    """The run whose devices are most at work, if there is one."""
    return {"other": next(iter(others))} if others else {}


def over_text(state: State, row: RoundRow) -> str:
    """That a round asks more devices than it needs, and why; "" if it does not."""
    task = state.task_of(row.run).task
    asked, goal = adapting.asked(state, row), adapting.goal_of(row, task)
    if asked <= goal:
        return ""
    if task.select.over != "auto":
        return f"; it asks {asked:,} for {goal:,} (select.over)"
    rate = row.loss_rate if row.loss_rate >= 0 else state.runs[row.run].loss_rate
    return f"; it asks {asked:,} for {goal:,}, since {rate:.1%} of such leases are lost"


def frozen_facts(state: State, now_ms: int) -> Facts:
    """Who froze the plane, when and why."""
    row = state.freezes[FREEZE]
    return {"age": time_text(now_ms - row.at_ms), "actor": row.actor, "why": f" ({row.why})" if row.why else ""}


def drift_found(seen: RunShapes, facts: Facts) -> list[Found]:
    """Whether the shapes of a run's leases drift: the one cause that says so, or none."""
    index = drift(seen)
    if index <= DRIFT_MAX:
        return []
    shape, new, before = most_moved(seen)
    told: Facts = {
        "shape": shape,
        "rounds_new": ROUNDS_NEW,
        "share_new": f"{new:.0%}",
        "share_before": f"{before:.0%}",
        "index": f"{index:.2f}",
        "limit": DRIFT_MAX,
    }
    return [Found("shape-drift", 0, facts | told)]


def count_text(devices: int) -> str:
    """A count of devices with its noun."""
    return "1 device" if devices == 1 else f"{devices:,} devices"


def time_text(ms: int) -> str:
    """A time as people read it, at least one second."""
    return format_duration(max(1_000, ms))
