"""podium run, watch, stop, status: a task started, followed, ended, and the plane in one look.

Decides: what these verbs print and how they end. Never: starts a plane.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.errors import INTERRUPTED, run_exit_code
from podium.cli.options import DATA, Data, Json, TokenFile, Url, connect
from podium.cli.output import note, say, say_json, say_table
from podium.wire.durations import format_duration
from podium.wire.operator import RUN_OPEN, RunView, StatusView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.runs import Run

RunName = Annotated[str, typer.Argument(metavar="RUN", help="An id, a unique prefix, a task's name, or @last.")]


def run(
    task: Annotated[Path, typer.Argument(metavar="TASK.toml", help="The task file.", dir_okay=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
    json: Json = False,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Start a run of a task file; prints the run's id. With --watch the exit code is the run's."""
    from podium.plane.runs import Run, run_ask
    from podium.tasks.file import read_task

    ask = run_ask(read_task(task), task.parent)
    with connect(data, plane, token_file) as link:
        made = link.submit(ask)
        if not watch:
            say_json(made) if json else say(made.run)
            return
        note(f"run {made.run} of task {made.task_digest}")
        _followed(Run(link, made.run), json)


def watch(
    name: RunName = "@last",
    json: Json = False,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Follow a run to its end; the exit code is the run's. Ctrl-C leaves the watch, the run goes on."""
    from podium.plane.runs import Run

    with connect(data, plane, token_file) as link:
        _followed(Run(link, link.run(name).id), json)


def _followed(run: "Run", json: bool) -> None:
    """Follow `run`, print what became of it, and end with its exit code."""
    from podium.cli.follow import follow

    try:
        view = follow(run)
    except KeyboardInterrupt:
        note(f"left the watch; the run goes on: podium watch {run.id}")
        raise typer.Exit(INTERRUPTED) from None
    say_json(view) if json else say(f"{view.id} {view.state} {view.base}")
    raise typer.Exit(run_exit_code(view.state))


def stop(
    name: RunName,
    why: Annotated[str, typer.Option("--why", help="Kept in the journal.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Stop a run: its leases are revoked, its last sealed version stays."""
    with connect(data, plane, token_file) as link:
        view = link.run(name)
        if view.state in RUN_OPEN:
            _confirm(f"stop run {view.id} ({view.task}): {_at_work(view)} devices at work lose their lease", yes)
        link.stop(view.id, why)
        say(view.id)


def _at_work(view: RunView) -> int:
    return view.round.funnel.get("training", 0) if view.round is not None else 0


def _confirm(what: str, yes: bool) -> None:
    """Say what a verb is about to destroy, and go on only with --yes or a person's word; without a terminal, usage."""
    note(what)
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorFault("usage", what="this verb asks before it destroys", why="there is no terminal", next="--yes")
    if not typer.confirm("go on?", err=True):
        raise typer.Abort()


def status(
    every: Annotated[bool, typer.Option("--all", help="Also the runs that are over.")] = False,
    json: Json = False,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """The plane in one look: its devices, its runs, and what each waits for."""
    with connect(data, plane, token_file) as link:
        seen = link.status()
        views = link.runs() if every else seen.runs
    if json:
        import msgspec

        say_json(msgspec.structs.replace(seen, runs=views))
    else:
        _say_status(seen, views)


def _say_status(seen: StatusView, views: list[RunView]) -> None:
    from podium.cli.screen import lost_text, wait_text

    say(f"plane    {seen.plane_id}  {seen.url}  up {format_duration(seen.up_ms)}  podium {seen.version}")
    say(f"devices  {seen.devices} enrolled, {seen.online} connected")
    say(f"journal  {seen.journal_entries} entries, {seen.journal_pending} pending")
    if views:
        say("")
        say_table(
            ("RUN", "TASK", "STATE", "ROUNDS", "VERSION", "ELAPSED", "REASON"),
            [
                (
                    view.id,
                    view.task,
                    view.state,
                    f"{view.rounds_sealed}/{view.rounds}",
                    f"v{view.version_number}",
                    format_duration(view.elapsed_ms),
                    view.reason or "-",
                )
                for view in views
            ],
        )
    for view in views:
        if view.waiting is not None:
            say(f"run {view.id} waits: {wait_text(view.waiting)}")
        if view.state in RUN_OPEN and view.round is not None and view.round.lost:
            say(f"run {view.id} lost in this round: {lost_text(view.round.lost)}")
