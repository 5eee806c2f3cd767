"""podium task validate, show: a task file judged and written out, without a plane and without running a plan.

Decides: what is said of a task. Never: whether a fleet can serve it (podium simulate, podium explain). A plan that is
not installed here is no fault of the file: its digest and its model's size are then not known.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podium.cli import completing
from podium.cli.errors import USAGE, say_error
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import count_of_bytes, note, say, say_json
from podium.tasks.forecast import Forecast, forecast
from podium.tasks.selecting import is_own
from podium.tasks.task import Task
from podium.wire.durations import format_duration
from podium.wire.problems import OperatorFault

app = typer.Typer(help="Task files.", no_args_is_help=True)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What `validate --json` prints of a task that holds."""

    digest: str
    plan: str
    plan_digest: str
    plan_state: str
    forecast: Forecast


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(metavar="TASK.toml", help="The task file.", dir_okay=False)],
    json: Json = False,
) -> None:
    """Judge a task file: its digest and what it will ask of a fleet, or every fault of it with its key."""
    task = checked_task(file)
    judged = _judged(task, file.parent)
    if json:
        say_json(judged)
        return
    if (deadline := task.run.deadline) < judged.forecast.round_ms:
        ends = f"run.deadline, {format_duration(deadline)}, may end the run within its first round"
        note(f"{ends}, which may take {format_duration(judged.forecast.round_ms)}")
    say(f"ok  {judged.digest}")
    for line in forecast_lines(judged.forecast):
        say(line)
    say(f"plan      {judged.plan}: {judged.plan_state} {judged.plan_digest}".rstrip())


def checked_task(file: Path) -> Task:
    """The task of `file`, with its rules compiled; every fault of it to stderr and `typer.Exit` if it does not hold."""
    from podium.tasks.file import judge_task, read_text

    task, faults = judge_task(read_text(file), str(file))
    if task is not None and not faults:
        faults = [*_rule_faults(task), *_strategy_faults(task), *_function_faults(task)]
    if task is None or faults:
        for fault in faults:
            say_error(fault)
        raise typer.Exit(USAGE)
    return task


def _rule_faults(task: Task) -> list[OperatorFault]:
    """What the eligibility rules' compiler says; it is part of podium[server], and a device's install does without."""
    if not (task.select.requires or task.select.when):
        return []
    try:
        from podium.core.selection.rules import compile_rules
    except ModuleNotFoundError:
        note("select.requires and select.when were not compiled: podium's extra server is not installed here")
        return []
    try:
        compile_rules(task)
    except OperatorFault as fault:
        return [fault]
    return []


def _strategy_faults(task: Task) -> list[OperatorFault]:
    """Whether a strategy of the users' own is installed here, as it has to be where the plane runs."""
    if not is_own(task.select.strategy):
        return []
    from podium.adapters.strategies import load_strategies
    from podium.core.selection.strategies.registry import make_strategy

    try:
        make_strategy(task.select, load_strategies())
    except OperatorFault as fault:
        return [fault]
    return []


def _function_faults(task: Task) -> Iterator[OperatorFault]:
    """A function that a module, which is installed here, does not have. What is not installed here is no fault."""
    from podium.device.plan import misspelt

    for key, name in (("task.plan", task.task.plan), ("model.init", task.model.init)):
        if name and (why := misspelt(name)):
            yield OperatorFault("task-invalid", what=f'{key} = "{name}"', why=why)


def _judged(task: Task, folder: Path) -> Judged:
    from podium.tasks.digest import task_digest

    down, up, digest, state = sizes(task, folder)
    seen = forecast(task, down, up)
    return Judged(digest=task_digest(task), plan=task.task.plan, plan_digest=digest, plan_state=state, forecast=seen)


def sizes(task: Task, folder: Path) -> tuple[int, int, str, str]:
    """(bytes of the first version, of an update, the plan's digest, how the plan is here); -1 and "" if not known."""
    from podium.device.plan import load_plan
    from podium.plane.runs import first_model

    digest, state = "", "not installed here, so what it needs is not known"
    down, up = -1, -1
    try:
        plan = load_plan(task.task.plan)
        digest, state = plan.digest, "installed" if not plan.dev else "an editable install, which serve refuses"
        if task.task.plan_digests and not plan.dev and plan.digest not in task.task.plan_digests:
            state = "installed, but it is none of task.plan_digests"
        if model := first_model(task, folder):
            down, up = len(model), _update_bytes(model)
    except OperatorFault as error:
        if error.code != "plan-missing":
            raise
        note(f"{error.what}: {error.why}")
    return down, up, digest, state


def _update_bytes(model: bytes) -> int:
    """What an update of safetensors `model` weighs unsealed: its float tensors as float32, a header like its own."""
    from podium.wire.tensors import specs_of, update_specs

    header = 8 + int.from_bytes(model[:8], "little")
    return header + sum(4 * math.prod(spec.shape) for spec in update_specs(specs_of(model)))


def forecast_lines(seen: Forecast) -> list[str]:
    """The forecast for people, a line each for devices, bytes and time."""
    asked = f"{seen.devices_least:,}"
    if seen.devices_most != seen.devices_least:
        asked += f" to {seen.devices_most:,}"
    moved = f"down {_bytes(seen.device_down_bytes)}, up {_bytes(seen.device_up_bytes)} a device"
    if seen.round_down_bytes >= 0:
        moved += f"; down {_bytes(seen.round_down_bytes)}, up {_bytes(seen.round_up_bytes)} a round at most"
    ends = f"a round ends within {format_duration(seen.round_ms)}, the run within {format_duration(seen.run_ms)}"
    return [
        f"rounds    {seen.rounds:,}, each from {seen.goal:,} updates, at least {seen.minimum:,}",
        f"devices   {asked} asked at once",
        f"bytes     {moved}",
        f"time      {ends}",
    ]


def _bytes(count: int) -> str:
    return "not known" if count < 0 else count_of_bytes(count)


@app.command("show")
@at_plane
def show(
    where: Where,
    name: Annotated[
        str,
        typer.Argument(
            metavar="TASK.toml|RUN", help="A task file, or a run of the plane.", autocompletion=completing.runs
        ),
    ],
    json: Json = False,
) -> None:
    """The effective task, every default written out, as TOML; its digest goes to stderr."""
    from podium.tasks.digest import task_bytes, task_digest
    from podium.tasks.toml import task_toml

    path = Path(name)
    task = _of_file(path) if path.suffix == ".toml" or path.is_file() else _of_run(where, name)
    if json:
        say_json(msgspec.Raw(task_bytes(task)))
    else:
        sys.stdout.write(task_toml(task))
        sys.stdout.flush()
    note(f"digest {task_digest(task)}")


def _of_file(path: Path) -> Task:
    from podium.tasks.file import read_task

    return read_task(path)


def _of_run(where: Where, name: str) -> Task:
    from podium.tasks.digest import read_task_bytes

    with where.link() as link:
        return read_task_bytes(link.task(name))
