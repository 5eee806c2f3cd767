"""A run seen from outside: followed to its end as typed events, and a task made ready to be submitted.

Decides: what counts as an event of a run, and how the model a task begins with becomes bytes. Never: how it is shown.
Limits: those of `Calls.follow`.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from podium.device.plan import load_init, load_plan
from podium.plane.calls import name
from podium.plane.link import OperatorLink
from podium.tasks.digest import task_bytes
from podium.tasks.task import Task
from podium.wire.asks import RunAsk
from podium.wire.canonical import b64
from podium.wire.operator import RUN_OPEN, MetricView, RunView
from podium.wire.problems import OperatorFault
from podium.wire.tensors import specs_of, write_arrays

_INIT_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class RunMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The run, its round or what it waits for changed; `view` is how it stands now."""

    view: RunView


class RoundSealed(msgspec.Struct, frozen=True, kw_only=True):
    """The run has `sealed` of `rounds` sealed rounds, and `version` is the last one's.

    `metrics`: pooled over the devices of the last round, which measured the version that it began with.
    """

    run: str
    sealed: int
    rounds: int
    version: str
    metrics: MetricView


class RunEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The run is FINISHED, STOPPED, TIMED_OUT or ABANDONED; the last event."""

    view: RunView


RunEvent = RunMoved | RoundSealed | RunEnded


class Run:
    """One run of one plane."""

    def __init__(self, link: OperatorLink, run: str) -> None:
        self._link = link
        self.id = run

    def view(self) -> RunView:
        """How the run stands now; `OperatorFault(run-unknown)`."""
        return self._link.run(self.id)

    def stop(self, why: str = "") -> None:
        """Stop the run; `OperatorFault(run-over)`."""
        self._link.stop(self.id, why)

    def pause(self, now: bool = False, why: str = "") -> RunView:
        """Let the run come to rest after its present round, or now; `OperatorFault(run-over)`."""
        return self._link.pause(self.id, now, why)

    def resume(self) -> RunView:
        """Let the paused run go on with the same round; `OperatorFault(run-not-paused)`."""
        return self._link.resume(self.id)

    def retry(self) -> "Run":
        """A new run from the last sealed version of this one; `OperatorFault(run-open | run-over)`: it must have
        been stopped, abandoned or out of time."""
        return Run(self._link, self._link.retry(self.id).run)

    def watch(self) -> Iterator[RunEvent]:
        """Events until the run ends, as the plane tells them. `PlaneAway` once it has been away for a minute."""
        sealed, seen = -1, ""
        for view in self.views():
            if sealed not in (-1, view.rounds_sealed):
                yield RoundSealed(
                    run=view.id,
                    sealed=view.rounds_sealed,
                    rounds=view.rounds,
                    version=view.base,
                    metrics={name: values[-1] for name, values in view.history.items() if values},
                )
            sealed = view.rounds_sealed
            if view.state not in RUN_OPEN:
                yield RunEnded(view=view)
                return
            mark = moved_mark(view)
            if mark != seen:
                seen = mark
                yield RunMoved(view=view)

    def views(self) -> Iterator[RunView]:
        """The run's view whenever it changes until it is over, the last one included. `PlaneAway` as of `watch`."""
        for view in self._link.follow(f"runs/{name(self.id)}", RunView):
            yield view
            if view.state not in RUN_OPEN:
                return


def moved_mark(view: RunView) -> str:
    """What must change for a run to have moved: its states, its counts, what it waits for; not the passing time."""
    waits = view.waiting
    shortfall = (waits.what, waits.have, waits.need, sorted(waits.why)) if waits else ()
    at = view.round
    return repr((view.state, view.rounds_sealed, at and (at.number, at.state, at.leases, at.lost), shortfall))


def run_ask(task: Task, folder: Path, data: bytes = b"") -> RunAsk:
    """What `task` is submitted with: its canonical bytes, pinned to the plan installed here, and its first model.

    `folder` holds a model.file named without a root; `data`: the model's safetensors, if the caller has them. The plan
    must be importable here: a task that no device could run is better refused now. `OperatorFault`: plan-missing,
    file-unreadable, task-invalid.
    """
    plan = load_plan(task.task.plan)
    if not plan.dev and not task.task.plan_digests:
        head = msgspec.structs.replace(task.task, plan_digests=(plan.digest,))
        task = msgspec.structs.replace(task, task=head)
    model = data or first_model(task, folder)
    return RunAsk(task=msgspec.Raw(task_bytes(task)), model=b64(model) if model else "", base=task.model.version)


def first_model(task: Task, folder: Path) -> bytes:
    """The safetensors of the task's init function or file; b"" when it names a version or an alias of the plane.

    `OperatorFault`: plan-missing (no such init), file-unreadable, task-invalid (the init raised, or no tensors).
    """
    if task.model.file:
        path = folder / task.model.file
        try:
            data = path.read_bytes()
            specs_of(data)
        except OSError as error:
            raise OperatorFault("file-unreadable", what=f"cannot read model.file {path}", why=str(error)) from error
        except ValueError as error:
            raise OperatorFault("file-unreadable", what=f"model.file {path} is no model", why=str(error)) from error
        return data
    if not task.model.init:
        return b""
    init = load_init(task.model.init)
    try:
        made = init(task.run.seed)
        return write_arrays({name: np.asarray(array) for name, array in made.items()})
    except _INIT_ERRORS as error:
        why = f"{type(error).__name__}: {error}"
        raise OperatorFault("task-invalid", what=f"model.init {task.model.init} made no model", why=why) from error
