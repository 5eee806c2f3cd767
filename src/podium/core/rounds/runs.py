"""The run machine: one execution of a task, round after round, until its stop rule holds.

Decides: whether a run goes on after a round ended, and how it ends: FINISHED (rounds done or target reached), STOPPED,
TIMED_OUT (its deadline), ABANDONED (too many abandoned rounds in a row). Never: what happens within a round, nor what
pausing does to deadlines (pausing.py).
Limits: task.run's rounds, deadline and abandoned_max; `runs_active_max`.
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import AggregateFailed, AggregateMade, RunStopped, RunSubmitted
from podium.core.outbox import Outbox
from podium.core.rounds import adapting, leases, pausing, rounds
from podium.core.rounds.buffered import is_buffered
from podium.core.rounds.table import ROUND_OPEN, RUN_TABLE, advance
from podium.core.rows import RoundRow, RunRow, TaskRow
from podium.core.state import State
from podium.wire.operator import RUN_OPEN

PRIOR_LOSS = 0.1
"""The loss rate assumed before a run has seen any (6 to 10 % in Bonawitz et al. 2019, section 9)."""

TIME_OVER = ("below-minimum", "cohort-short")
"""A round given up for these did nothing wrong but come to nothing in its time."""
ABORT = "abort:"
"""Before the kind, the reason of a run that met one of `round.abort`."""


def submit(state: State, out: Outbox, event: RunSubmitted) -> None:
    """Start a run and open its first round; the same run id with the same terms again changes nothing.

    Refused: conflicting-repeat (that id with other terms), run-limit, version-unknown; of a retry: run-unknown,
    run-open (its run is not over), run-over (it finished: there is nothing left to retry).
    """
    code = start_refusal(state, event)
    if not code and event.run not in state.runs and event.base not in state.versions:
        code = "version-unknown"
    if not code and event.run not in state.runs:
        run = RunRow(
            id=event.run,
            task=event.task_digest,
            state="RUNNING",
            reason="",
            actor=event.actor,
            started_ms=state.now_ms,
            deadline_ms=state.now_ms + event.task.run.deadline,
            ended_ms=-1,
            base=event.base,
            first=event.base,
            rounds_sealed=0,
            rounds_opened=0,
            abandoned_in_row=0,
            loss_rate=PRIOR_LOSS,
            metrics={},
            retry_of=event.retry_of,
        )
        task = TaskRow(id=event.task_digest, task=event.task)
        origin = {"retry_of": event.retry_of} if event.retry_of else {}
        out.record("run-submitted", event.run, task, run, actor=event.actor, task=event.task_digest, **origin)
        rounds.open_round(state, out, run)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.run))


def start_refusal(state: State, event: RunSubmitted) -> str:
    """The code that refuses a submission whatever its base is, "" if none does: asked before a model is taken in."""
    known, origin = state.runs.get(event.run), state.runs.get(event.retry_of)
    if known is not None:
        same = (known.task, known.first, known.retry_of) == (event.task_digest, event.base, event.retry_of)
        return "" if same else "conflicting-repeat"
    if event.retry_of and origin is None:
        return "run-unknown"
    if origin is not None and origin.state in (*RUN_OPEN, "FINISHED"):
        return "run-over" if origin.state == "FINISHED" else "run-open"
    active = sum(run.state in RUN_OPEN for run in state.runs.values())
    return "run-limit" if active >= state.limits.runs_active_max else ""


def stop(state: State, out: Outbox, event: RunStopped) -> None:
    """End a run at a person's word; the last sealed version stays."""
    run = state.runs.get(event.run)
    code = "run-unknown" if run is None else "" if run.state in RUN_OPEN else "run-over"
    if run is not None and not code:
        end_run(state, out, run, "stopped", event.why or "stopped", actor=event.actor)
    out.send(Answer(ticket=event.ticket, word="" if code else "done", code=code, id=event.run))


def end_run(state: State, out: Outbox, run: RunRow, event: str, reason: str, actor: str = "") -> None:
    """End `run` by `event` of the table and give up whatever round of it is open."""
    over = advance(RUN_TABLE, run.state, event)
    ended = replace(run, state=over, reason=reason, ended_ms=state.now_ms, paused_ms=-1)
    out.record(f"run-{event}", run.id, ended, actor=actor, reason=reason)
    for row in state.open_rounds_of(run.id):
        rounds.abandon(state, out, row, f"run-{event}", counts=False)


def go_on(state: State, out: Outbox, run: RunRow) -> None:
    """After a round of `run` ended: the run ends by its rule, or its next round gets its parent or is opened.

    A pausing run comes to rest here, its next round forming.
    """
    task = state.task_of(run.id).task
    if run.rounds_sealed >= task.run.rounds:
        end_run(state, out, run, "finished", "rounds-done")
    elif target_reached(state, run):
        end_run(state, out, run, "finished", "target-reached")
    elif run.abandoned_in_row >= task.run.abandoned_max:
        end_run(state, out, run, "abandoned", "rounds-abandoned")
    elif not (still := state.open_rounds_of(run.id)):
        rounds.open_round(state, out, run)
    elif still[0].state == "FORMING" and not still[0].base:
        rounds.give_parent(state, out, still[0])
    at_work = any(row.state != "FORMING" for row in state.open_rounds_of(run.id))
    if state.runs[run.id].state == "PAUSING" and not at_work:
        pausing.rest(state, out, state.runs[run.id])


def target_reached(state: State, run: RunRow) -> bool:
    """Whether the last sealed round's pooled target metric is high enough."""
    target = state.task_of(run.id).task.run.target
    if target is None or target.metric not in run.metrics or run.rounds_sealed == 0:
        return False
    numerator, denominator = run.metrics[target.metric]
    return denominator > 0 and numerator / denominator >= target.at_least


def start_round(state: State, out: Outbox, row: RoundRow) -> None:
    """Start a round and, while the run will need another, open the next so that it forms meanwhile.

    A window may have its goal already: of devices that reported since the one before closed.
    """
    rounds.start(state, out, row)
    run, task = state.runs[row.run], state.task_of(row.run).task
    if is_buffered(task):
        settle(state, out, (row.run, row.number))
    elif run.rounds_sealed + 1 < task.run.rounds:
        rounds.open_round(state, out, run)


def settle(state: State, out: Outbox, key: tuple[str, int]) -> None:
    """Draw what follows for a round after a verdict on one of its updates, or once it closed; nothing else moves it."""
    row = state.rounds.get(key)
    if row is None or row.state not in ROUND_OPEN:
        return
    verdict = rounds.verdict_due(state, row)
    if verdict == "close":
        rounds.close(state, out, row)
        row = state.rounds[key]
        verdict = rounds.verdict_due(state, row)
    if verdict == "abandon":
        go_on_after_abandon(state, out, row, "below-minimum")
    elif verdict == "finish" and state.task_of(row.run).task.task.kind == "evaluate":
        go_on(state, out, rounds.seal(state, out, row, None))
    elif verdict == "finish":
        rounds.finish(state, out, row)


def review(state: State, out: Outbox, key: tuple[str, int]) -> None:
    """After a lease of a round was lost, or hope of one: the run or the round may not go on as it is."""
    row = state.rounds[key]
    run = state.runs[row.run]
    if run.state not in RUN_OPEN:
        return
    if kind := adapting.abort_kind(state, run):
        end_run(state, out, run, "abandoned", f"{ABORT}{kind}")
    elif row.state == "REPORTING" and pausing.stands_since(state, row) < 0 and not rounds.was_frozen(state, row):
        _by_outlook(state, out, row)


def _by_outlook(state: State, out: Outbox, row: RoundRow) -> None:
    """Close a round that can come to no more, give up one that can come to nothing; a window always can."""
    if is_buffered(state.task_of(row.run).task):
        return
    found, work = adapting.outlook_of(state, row), state.open[row.run, row.number]
    if found == "short":
        goal = adapting.goal_of(row, state.task_of(row.run).task)
        rounds.close(state, out, row, reason="short", stored=f"{work.stored()} of {goal}")
        settle(state, out, (row.run, row.number))
    elif found == "hopeless":
        go_on_after_abandon(state, out, row, "below-minimum")


def aggregated(state: State, out: Outbox, made: AggregateMade) -> None:
    """The sum became a version: seal the round. Told again, it changes nothing."""
    row = state.rounds.get((made.run, made.round))
    if row is not None and row.state == "AGGREGATING":
        go_on(state, out, rounds.seal(state, out, row, made))


def not_aggregated(state: State, out: Outbox, failed: AggregateFailed) -> None:
    """The round cannot be finished; it is given up with the reason told."""
    row = state.rounds.get((failed.run, failed.round))
    if row is not None and row.state in ROUND_OPEN:
        go_on_after_abandon(state, out, row, failed.reason)


def go_on_after_abandon(state: State, out: Outbox, row: RoundRow, reason: str) -> None:
    """Give `row` up and draw what follows for its run."""
    if reason in TIME_OVER:
        rounds.hand_on(state, out, row)
    go_on(state, out, rounds.abandon(state, out, row, reason, counts=True))


def due(state: State) -> int:
    """The earliest moment at which a run or a round is due, in ms; very large if none is."""
    at = state.never
    for run in state.runs.values():
        if run.state in ("RUNNING", "PAUSING"):
            at = min(at, run.deadline_ms)
    for key in state.open:
        at = min(at, _round_due(state, state.rounds[key]))
    return at


def _round_due(state: State, row: RoundRow) -> int:
    if pausing.stands_since(state, row) >= 0:  # of a pausing run only the round at work has a base, so only it is due
        return state.never
    if row.state == "FORMING":
        starts = rounds.start_due(state, row)
        late = row.form_deadline_ms if row.form_deadline_ms >= 0 else state.never
        return min(starts, late) if starts >= 0 else late
    if row.state == "REPORTING":
        work = state.open[row.run, row.number]
        held = work.reserved_until_ms if work.reserved else state.never
        return min(rounds.report_due(state, row), held, adapting.hope_due(state, row))
    return state.never


def fire(state: State, out: Outbox) -> None:
    """Do what is due at `state.now_ms` in a fixed order: leases lapse, rounds start or end, runs time out."""
    lapsed: set[tuple[str, int]] = set()
    for lease in state.lease_deadlines.due(state.now_ms):
        leases.lapse(state, out, lease)
        lapsed.add((state.leases[lease].run, state.leases[lease].round))
    for key in sorted(lapsed):
        review(state, out, key)
    for key in sorted(state.open):
        if key in state.open and _round_due(state, state.rounds[key]) <= state.now_ms:
            _fire_round(state, out, state.rounds[key])
    for run in sorted(state.runs):
        if state.runs[run].state in ("RUNNING", "PAUSING") and state.runs[run].deadline_ms <= state.now_ms:
            end_run(state, out, state.runs[run], "timed-out", "run-deadline")


def _fire_round(state: State, out: Outbox, row: RoundRow) -> None:
    if row.state == "FORMING":
        if 0 <= rounds.start_due(state, row) <= state.now_ms:
            start_round(state, out, row)
        else:
            go_on_after_abandon(state, out, row, "cohort-short")
        return
    work = state.open[row.run, row.number]
    if work.reserved_until_ms <= state.now_ms:
        work.reserved.clear()
    if rounds.report_due(state, row) > state.now_ms:
        adapting.lose_hope(state, row)
        review(state, out, (row.run, row.number))
        return
    if work.stored() < adapting.minimum_of(row, state.task_of(row.run).task):
        go_on_after_abandon(state, out, row, "below-minimum")
        return
    rounds.close(state, out, row)
    settle(state, out, (row.run, row.number))
