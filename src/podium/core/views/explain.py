"""Why a run stands where it stands: the binding cause first, then the others, and what to do next.

Decides: which cause binds. What holds the plane or the whole run comes first; then, of what holds devices back, the one
cause whose removal alone would let the round have what it needs, else the largest. Devices that come by themselves (at
work, on their way back) are counted as if they had. Never: what a cause is called (causes.py) nor which devices it
holds (holdups.py). Reads only.
"""

import shlex
from collections.abc import Iterator
from itertools import islice

import numpy as np
from msgspec.structs import replace

from podium.core.rounds import adapting, buffered, pausing, rounds
from podium.core.rounds.runs import ABORT
from podium.core.rows import RoundRow, RunRow
from podium.core.state import State
from podium.core.views import holdups
from podium.core.views.causes import CAUSES, sentence
from podium.core.views.evidence import (
    Facts,
    Found,
    at_work,
    count_text,
    devices_found,
    drift_found,
    first_of,
    frozen_facts,
    over_text,
    time_text,
)
from podium.core.views.funnel import funnel
from podium.core.views.holdups import NUMBER, Look
from podium.core.views.runs import wait_of
from podium.core.views.shapes import run_shapes
from podium.wire.explained import Cause, Explanation
from podium.wire.operator import RUN_OPEN, Wait
from podium.wire.problems import OperatorFault

COMING = ("returning", "not-checked-in")
"""Devices that nothing holds back: they need only come."""
OVER = {state: f"run-{state.lower().replace('_', '-')}" for state in ("FINISHED", "STOPPED", "TIMED_OUT", "ABANDONED")}
TROUBLES = ("store-full", "store-failed", "plane-loading")
"""What holds a plane that decides nothing, whatever is asked about: the causes that `explain_trouble` tells."""
_ENDED = {
    "cohort-short": "could not start: fewer devices than its minimum of {need} might take part",
    "below-minimum": "ended with fewer updates than its minimum of {need}",
}


def explain_trouble(kind: str, subject: str, trouble: str, last: Explanation | None = None) -> Explanation:
    """What is said while the plane decides nothing; `trouble`: the loop's problem code; `last`: how it stood before."""
    store = "store-full" if trouble == "store-full" else "store-failed"
    code = store if trouble.startswith("store-") else "plane-loading"
    # nobody could look it up, so the name is whatever was typed, or stood in a link: no command of its own
    told = explained(kind, subject, "", [Found(code, 0, {"subject": shlex.quote(subject), "trouble": trouble})])
    if last is None:
        return told
    return replace(told, state=last.state, causes=[*told.causes, *last.causes], waiting=last.waiting)


def explained(
    kind: str, subject: str, state: str, found: list[Found], waiting: Wait | None = None, what: str = ""
) -> Explanation:
    """The explanation by `found`, the binding cause first; `what` "": its sentence."""
    causes = [
        Cause(
            code=each.code,
            devices=each.devices,
            text=sentence(getattr(CAUSES[each.code], kind), each.facts),
            alone=each.alone,
        )
        for each in found
    ]
    steps = [sentence(step, found[0].facts) for step in CAUSES[found[0].code].next]
    return Explanation(
        kind=kind,
        subject=subject,
        state=state,
        cause=found[0].code,
        what=what or causes[0].text,
        causes=causes,
        next=[step for step in steps if step],
        waiting=waiting,
    )


def explain_run(state: State, run: RunRow, now_ms: int, trouble: str = "") -> Explanation:
    """Why `run` does not go on, or what it does.

    `trouble`: the loop's problem code, "" while the plane decides; `state` is then the last that was known.
    """
    if run.state in RUN_OPEN:
        told = Standing(state, run, state.open_rounds_of(run.id)[0], now_ms).explanation()
    else:
        try:
            told = _over(state, run, now_ms)
        except OperatorFault as fault:  # a stored task whose terms this release takes no longer
            facts: Facts = {"subject": run.id, "ended": run.state.lower(), "reason": run.reason}
            refused = Found("task-refused", 0, facts | {"refused": f"{fault.what} ({fault.why})"})
            told = explained("run", run.id, run.state, [refused])
    return explain_trouble("run", run.id, trouble, told) if trouble else told


class Standing:
    """A run that is not over, looked at once."""

    def __init__(self, state: State, run: RunRow, row: RoundRow, now_ms: int) -> None:
        self.state, self.run, self.row, self.now_ms = state, run, row, now_ms
        self.look = Look(state, state.tasks[run.task], row, slice(0, state.fleet.size), now_ms)
        self.held = holdups.hold_ups(self.look)
        self.waiting = wait_of(state, run, row, now_ms)
        work, task = self.look.work, self.look.task.task
        quorum = adapting.minimum_of(row, task)
        forming = self.forming = buffered.forms(row, task)
        self.have = work.nominees if forming else work.stored()
        self.need = quorum if forming else adapting.goal_of(row, task)
        self.live = 0 if forming else work.live()
        seats = adapting.open_seats(state, row)
        self.stands = pausing.stands_since(state, row) >= 0
        enough = self.have + self.live >= self.need or (not forming and not seats)
        self.served = row.state == "AGGREGATING" or (enough and not (row.state == "FORMING" and self.stands))
        """Whether the round has what it needs, though it may not be done."""
        self.facts: Facts = {
            "subject": run.id,
            "run": run.id,
            "round": rounds.name_of(row),
            "have": self.have,
            "need": self.need,
            "minimum": quorum,
            "window": time_text(holdups.window_now_ms(state)),
            "left": time_text(self.waiting.left_ms if self.waiting else 0),
            "over": over_text(state, row),
        }
        if could := self.have + self.live + self.coming():
            term = "minimum" if forming or could < quorum else "goal"
            self.facts["looser"] = f"a round.{term} of at most {could}"

    def explanation(self) -> Explanation:
        """Gates, the round's own work, then the devices; whichever binds is put first."""
        gates, own = self.gates(), self.own()
        lacking = self.need - self.have - self.live - self.coming()
        devices = devices_found(self.look, self.held, lacking, self.facts)
        if gates:
            devices = [each for each in devices if each.code not in COMING]
        missing = self.need - self.state.fleet.size
        if missing > 0:
            enrolled = self.told("too-few-enrolled", missing, enrolled=self.state.fleet.size)
            devices.append(enrolled._replace(alone=missing))
        devices.sort(key=lambda each: -each.devices)
        firm = [each for each in gates if each.code in ("paused", "pausing")]
        stuck = firm or gates or self.binding(devices)
        first = stuck if firm or not self.served else own
        shapes = run_shapes(self.state, self.run)
        rest = [each for each in [*gates, *own, *devices] if each is not first[0]]
        found = [first[0], *rest, *drift_found(shapes, self.facts)]
        told = explained("run", self.run.id, self.run.state, found, self.waiting, self.what(first[0]))
        stages = funnel(self.look, self.held, devices)
        return replace(told, funnel=stages, funnel_of=rounds.name_of(self.row), shapes=shapes.every)

    def told(self, code: str, devices: int, **facts: object) -> Found:
        """A cause of this run."""
        return Found(code, devices, {**self.facts, "n": count_text(devices), "count": devices, **facts})

    def coming(self) -> int:
        """Devices that nothing holds back."""
        return sum(int(np.count_nonzero(self.held.first == NUMBER[code])) for code in COMING)

    def gates(self) -> list[Found]:
        """What keeps every device from a lease, whatever the devices are like."""
        found, state = [], self.state
        if self.run.state == "PAUSED":
            found.append(self.told("paused", 0, age=time_text(self.now_ms - self.run.paused_ms)))
        elif self.run.state == "PAUSING":
            found.append(self.told("pausing", 0))
        if state.frozen():
            found.append(self.told("frozen", 0, **frozen_facts(state, self.now_ms)))
        if state.privacy.epsilon_left(self.run, self.look.task.task) <= 0:
            found.append(self.told("privacy-spent", 0))
        if state.leases_left() == 0:
            others = first_of(at_work(state, self.run.id))
            found.append(self.told("leases-full", len(state.live_lease), live=len(state.live_lease), **others))
        return found

    def own(self) -> list[Found]:
        """What the round itself is about: it goes on without anybody's doing."""
        row, work = self.row, self.look.work
        judged = work.count.get("REPORTED", 0)
        if row.state == "FORMING" and not self.forming and not self.stands:
            return [self.told("window-preparing", 0)]
        if row.state == "FORMING" and self.have >= self.need and not row.manifest:
            return [self.told("preparing", 0)]
        if row.state == "FORMING" and self.have >= self.need and not self.stands:
            settle = time_text(max(0, rounds.start_due(self.state, row) - self.now_ms))
            return [self.told("starting", self.have, settle=settle)]
        found = [self.told("waiting-for-reports", self.live)] if self.live else []
        if judged:
            found.append(self.told("being-checked", judged))
        if row.state == "AGGREGATING" and not judged:
            found.append(self.told("aggregating", self.have))
        return found

    def binding(self, devices: list[Found]) -> list[Found]:
        """Of `devices` (the largest first) the cause that binds, alone in a list; none if there is none."""
        reach = self.have + self.live + self.coming()
        soft = [each for each in devices if each.code in COMING]
        if soft and reach >= self.need:
            return soft[:1]
        hard = [each for each in devices if each.code not in COMING]
        for each in hard:
            if reach + each.alone >= self.need:
                return [each]
        return (hard or soft)[:1]

    def what(self, first: Found) -> str:
        """Where the round stands, then the binding cause."""
        said, name = sentence(CAUSES[first.code].run, first.facts), rounds.name_of(self.row)
        if self.served or first.code in ("paused", "pausing"):
            return said
        if self.forming:
            return f"round {name} cannot start: {self.have} of {self.need} devices that it needs are there; {said}"
        return f"round {name} has {self.have} of {self.need} reports, {self.live} at work; {said}"


def _over(state: State, run: RunRow, now_ms: int) -> Explanation:
    """How a run ended, and what would hold a retry of it back."""
    task = state.tasks[run.task].task
    look = Look(state, state.tasks[run.task], None, slice(0, state.fleet.size), now_ms)
    held, need = holdups.hold_ups(look), adapting.quorum(task)
    fit = int(np.count_nonzero(held.first == NUMBER["not-checked-in"]))
    base = state.versions[run.base]
    facts: Facts = {
        "subject": run.id,
        "run": run.id,
        "age": time_text(now_ms - run.ended_ms),
        "reason": run.reason,
        "sealed": run.rounds_sealed,
        "rounds": task.run.rounds,
        "version": f"v{base.number} ({base.id[:19]})",
        "deadline": time_text(task.run.deadline),
        "abandoned": run.abandoned_in_row,
        "need": need,
        "fit": fit,
        "window": time_text(holdups.window_now_ms(state)),
    }
    last, shapes = _last_abandoned(state, run), run_shapes(state, run)
    if last is not None:
        lost = ", ".join(f"{name} {count}" for name, count in last.outcomes.items())
        ended = _ENDED.get(last.reason, "was abandoned: " + last.reason).format(need=need)
        facts |= {"round": rounds.name_of(last), "reason": ended + (f" ({lost})" if lost else "")}
    code = OVER[run.state]
    if run.reason.startswith(ABORT):
        code, kind, counts = "run-aborted", run.reason.removeprefix(ABORT), adapting.ends_by_kind(state, run)
        (asked,) = [each for each in task.round.abort if each.kind == kind]
        facts |= {
            "kind": kind,
            "lost": counts.get(kind, 0),
            "ended": sum(counts.values()),
            "share": f"{asked.share:.0%}",
        }
    first = Found(code, 0, facts)
    if run.state == "FINISHED":
        return replace(explained("run", run.id, run.state, [first]), shapes=shapes.every)
    others = (
        [Found("frozen-meanwhile", 0, facts | {"rounds_frozen": frozen})] if (frozen := _frozen(state, run)) else []
    )
    if state.frozen():
        others.append(Found("frozen", 0, facts | frozen_facts(state, now_ms)))
    others += [each for each in devices_found(look, held, need, facts) if each.code not in COMING]
    if (missing := need - state.fleet.size) > 0 and last is not None:
        more: Facts = {"n": count_text(missing), "count": missing, "enrolled": state.fleet.size}
        others.append(Found("too-few-enrolled", missing, facts | more, missing))
    if others and fit < need:
        facts["listed"] = "listed below"
    what = f"{sentence(CAUSES[first.code].run, facts)}; a retry would find {fit} of the {need} devices that it needs"
    others += drift_found(shapes, facts)
    return replace(explained("run", run.id, run.state, [first, *others], None, what), shapes=shapes.every)


def _last_abandoned(state: State, run: RunRow) -> RoundRow | None:
    """The last round that counted towards an abandoned run's end."""
    counted = (row for row in _abandoned(state, run) if not row.frozen and not row.reason.startswith("run-"))
    return next(counted, None) if run.state == "ABANDONED" else None


def _frozen(state: State, run: RunRow) -> str:
    """The last rounds since its last sealed one that a run lost while the plane was frozen, "" if there are none."""
    lost = (rounds.name_of(row) for row in _abandoned(state, run) if row.frozen)
    return ", ".join(islice(lost, holdups.NAMED_MAX))


def _abandoned(state: State, run: RunRow) -> Iterator[RoundRow]:
    """The rounds that were abandoned since the last sealed one, the newest first."""
    for number in range(run.rounds_opened, 0, -1):
        row = state.rounds.get((run.id, number))
        if row is None or row.state != "ABANDONED":
            return
        yield row
