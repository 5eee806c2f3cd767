"""podium run, watch, stop, pause, resume, retry, status: a task started, followed, steered, and the plane in one look.

Decides: what these verbs print and how they end. Never: starts a plane.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.completing import RunName
from podium.cli.confirming import confirm
from podium.cli.errors import INTERRUPTED, run_exit_code
from podium.cli.lists import Listing, follow
from podium.cli.options import Json, Watch, Where, Why, Yes, at_plane
from podium.cli.output import note, say, say_json
from podium.cli.standing import Standing, frozen_text, paused_text, plane_lines
from podium.wire.durations import format_duration
from podium.wire.operator import RUN_OPEN, RunView, StatusView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink


@at_plane
def run(
    where: Where,
    task: Annotated[Path, typer.Argument(metavar="TASK.toml", help="The task file.", dir_okay=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
    json: Json = False,
) -> None:
    """Start a run of a task file; prints the run's id. With --watch the exit code is the run's."""
    from podium.plane.runs import run_ask
    from podium.tasks.file import read_task

    if task.suffix != ".toml" and not task.exists():
        next = "podium run TASK.toml starts a run; podium status --all lists runs"
        raise OperatorFault("file-unreadable", what=f"there is no task file {task}", next=next)
    ask = run_ask(read_task(task), task.parent)
    with where.link() as link:
        made = link.submit(ask)
        if not watch:
            say_json(made) if json else say(made.run)
            return
        note(f"run {made.run} of task {made.task_digest}")
        _followed(link, made.run, json)


@at_plane
def watch(where: Where, name: RunName = "@last", json: Json = False) -> None:
    """Follow a run to its end; the exit code is the run's. Ctrl-C leaves the watch, the run goes on."""
    with where.link() as link:
        _followed(link, link.run(name).id, json)


def _followed(link: "OperatorLink", run: str, json: bool) -> None:
    """Follow the run, print what became of it, and end with its exit code."""
    from podium.cli.follow import follow_run
    from podium.plane.runs import Run

    try:
        view = follow_run(Run(link, run), standing=Standing(link))
    except KeyboardInterrupt:
        note(f"left the watch; the run goes on: podium watch {run}")
        raise typer.Exit(INTERRUPTED) from None
    say_json(view) if json else say(f"{view.id} {view.state} {view.base}")
    raise typer.Exit(run_exit_code(view.state))


@at_plane
def stop(where: Where, name: RunName, why: Why = "", yes: Yes = False) -> None:
    """Stop a run: its leases are revoked, its last sealed version stays."""
    with where.link() as link:
        view = link.run(name)
        if view.state in RUN_OPEN:
            confirm(f"stop run {view.id} ({view.task}): {_at_work(view)} devices at work lose their lease", yes)
        link.stop(view.id, why)
        say(view.id)


def _at_work(view: RunView) -> int:
    return view.round.leases.get("training", 0) if view.round is not None else 0


@at_plane
def pause(
    where: Where,
    name: RunName,
    now: Annotated[bool, typer.Option("--now", help="At once: leases in flight are kept until they lapse.")] = False,
    why: Why = "",
    json: Json = False,
) -> None:
    """Let a run come to rest after its present round, or now; its deadlines stand still. Prints its id and state."""
    with where.link() as link:
        view = link.pause(link.run(name).id, now, why)
    say_json(view) if json else say(f"{view.id} {view.state}")


@at_plane
def resume(where: Where, name: RunName, json: Json = False) -> None:
    """Let a paused run go on with the same round. Prints its id and state."""
    with where.link() as link:
        view = link.resume(link.run(name).id)
    say_json(view) if json else say(f"{view.id} {view.state}")


@at_plane
def retry(
    where: Where,
    name: RunName,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the new run to its end.")] = False,
    json: Json = False,
) -> None:
    """Start a new run from the last sealed version of one that was stopped, timed out or abandoned; prints its id."""
    with where.link() as link:
        made = link.retry(link.run(name).id)
        if not watch:
            say_json(made) if json else say(made.run)
            return
        note(f"run {made.run} of task {made.task_digest}")
        _followed(link, made.run, json)


@at_plane
def status(
    where: Where,
    every: Annotated[bool, typer.Option("--all", help="Also the runs that are over.")] = False,
    json: Json = False,
    watch: Watch = False,
) -> None:
    """The plane in one look: its devices, its runs, and what each waits for. --watch follows its runs."""
    with where.link() as link:
        if watch:
            _follow_status(link, every, json)
        seen = link.status()
        views = link.runs() if every else seen.runs
    if json:
        import msgspec

        say_json(msgspec.structs.replace(seen, runs=views))
    else:
        _say_status(seen, views, every)


def _follow_status(link: "OperatorLink", every: bool, json: bool) -> None:
    """The plane's runs until Ctrl-C, below what is said of the plane itself."""
    seen = link.status()

    def views() -> Iterator[list[RunView]]:
        nonlocal seen
        for seen in link.follow("status", StatusView):
            yield link.runs() if every else seen.runs

    follow(RUNS, views(), json=json, above=lambda: [_plane_text(seen), *plane_lines(seen)])


def _plane_text(seen: StatusView) -> str:
    return f"plane {seen.plane_id}  {seen.url}  {seen.devices} devices enrolled, {seen.online} connected"


def _run_row(view: RunView) -> tuple[str, ...]:
    return (
        view.id,
        view.task,
        f"{view.state}, frozen" if view.frozen and view.state in RUN_OPEN else view.state,
        f"{view.rounds_sealed}/{view.rounds}",
        f"v{view.version_number}",
        format_duration(view.elapsed_ms),
        view.reason or "-",
    )


RUNS = Listing[RunView](
    heads=("RUN", "TASK", "STATE", "ROUNDS", "VERSION", "ELAPSED", "REASON"),
    row=_run_row,
    key=lambda view: view.id,
    passing=("elapsed_ms", "left_ms", "paused_ms", "round", "waiting", "bytes_down", "bytes_up"),
)


def _say_status(seen: StatusView, views: list[RunView], every: bool) -> None:
    from podium.cli.screen import lost_text, wait_text

    if frozen := frozen_text(seen.freeze):
        say(frozen)
    say(f"plane    {seen.plane_id}  {seen.url}  up {format_duration(seen.up_ms)}  podium {seen.version}")
    say(f"devices  {seen.devices} enrolled, {seen.online} connected")
    say(f"journal  {seen.journal_entries} entries, {seen.journal_pending} pending")
    if views:
        say("")
        for line in RUNS.lines(views):
            say(line)
    else:
        ended = "no run is open: podium status --all shows those that ended"
        note("there is no run yet: podium run TASK.toml starts one" if every else ended)
    for view in views:
        if paused := paused_text(view):
            say(f"run {view.id} {paused}")
        if view.waiting is not None:
            say(f"run {view.id} waits: {wait_text(view.waiting)}")
        if view.state in RUN_OPEN and view.round is not None and view.round.lost:
            say(f"run {view.id} lost in this round: {lost_text(view.round.lost)}")


@at_plane
def freeze(
    where: Where,
    revoke: Annotated[bool, typer.Option("--revoke", help="The leases at work end too; else they finish.")] = False,
    why: Why = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Grant no lease from now on, anywhere on the plane; said on every screen until `podium unfreeze`."""
    with where.link() as link:
        seen = link.status()
        at_work = sum(_at_work(view) for view in seen.runs)
        fate = "lose their lease" if revoke else "finish"
        confirm(f"freeze the plane: {len(seen.runs)} runs get no device, {at_work} devices at work {fate}", yes)
        done = link.freeze(revoke, why)
    say_json(done) if json else say(frozen_text(done))


@at_plane
def unfreeze(where: Where, why: Why = "", json: Json = False) -> None:
    """Grant leases again."""
    with where.link() as link:
        done = link.unfreeze(why)
    say_json(done) if json else say(frozen_text(done) or "the plane grants leases")
