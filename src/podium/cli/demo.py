"""podium demo: a real plane, real devices, real data, from the first version to the last, on this machine.

Decides: the scenarios, and what is measured: the first and the last version on each site's own test examples, by
evaluation runs, and the journal at the end. Never: shortcuts: devices speak the device protocol over HTTP.
Limits: loopback only; everything it started is ended before it returns.
"""

import contextlib
import importlib.resources
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from podium.cli.errors import run_exit_code
from podium.cli.output import decimals, note, say, say_table
from podium.wire.extras import how_to_install
from podium.wire.limits import Limits
from podium.wire.operator import RunView, VersionView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.cli.demo_devices import Member, Processes, Threads
    from podium.plane import Plane, Run
    from podium.server.journal.replay import AuditResult
    from podium.tasks.task import Task

Scenario = Literal["hospital", "digits"]
DIGITS_SITES = 10
IDLE_MS = 300
"""A demo's devices have nothing else to do: they ask again this soon."""


class SiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The last version on one site's test examples."""

    accuracy: float
    examples: int


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json FILE` holds. `seconds`: from the plane's start to the last version."""

    scenario: str
    rounds: int
    versions: list[str]
    metrics: dict[str, SiteResult]
    seconds: float
    journal_verified: bool


class _Trained(msgspec.Struct, frozen=True, kw_only=True):
    first: RunView
    run: RunView
    last: RunView
    versions: list[VersionView]
    seconds: float


def demo(
    scenario: Annotated[
        Scenario, typer.Option("--scenario", help="hospital: four; digits: a hundred devices.")
    ] = "hospital",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds to train.")] = 15,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Moves choices: the first model, the batches.")] = 42,
    data: Annotated[Path | None, typer.Option("--data", help="Keep everything here.", file_okay=False)] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the result here.", dir_okay=False)] = None,
) -> None:
    """Train one model over hospitals (or a hundred devices) that keep their data, through a real plane."""
    _need_server()
    if json is not None and not json.absolute().parent.is_dir():
        raise OperatorFault("usage", what=f"--json {json}", why=f"there is no directory {json.parent}")
    with contextlib.ExitStack() as kept:
        kept.enter_context(_terminated_as_interrupted())
        home = (
            data
            if data is not None
            else Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="podium-demo-"))) / "data"
        )
        done = _trained(scenario, _task(scenario, rounds, seed), home)
        _say_result(scenario, done)
        audit = _verified(home)
        say(f"journal verified: {audit.entries} entries, {audit.heads} signed heads")
    if data is not None:
        note(f"kept in {data}: podium audit verify --data {data}")
    if json is not None:
        _write(json, scenario, done)


def _need_server() -> None:
    try:
        import podium.server.main
    except ImportError as error:
        raise OperatorFault(
            "not-available", what="this machine has no plane", why=str(error), next=how_to_install("demo")
        ) from error
    del podium


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: what it started is ended too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _task(scenario: Scenario, rounds: int, seed: int) -> "Task":
    """The example's own task file, with the rounds and the seed asked for."""
    from podium.tasks.file import read_task

    with importlib.resources.as_file(importlib.resources.files(f"podium_examples.{scenario}") / "task.toml") as path:
        task = read_task(path)
    return msgspec.structs.replace(task, run=msgspec.structs.replace(task.run, rounds=rounds, seed=seed))


def _trained(scenario: Scenario, task: "Task", home: Path) -> _Trained:
    """Everything between the plane's start and its end."""
    from podium.cli.follow import follow_run
    from podium.cli.planes import make_directory
    from podium.device.plan import load_data
    from podium.plane import Plane
    from podium.tasks.task import ModelSource

    members = _members(scenario)
    load_data(members[0].dataset)  # where the data is missing, that is said before there is half a directory
    make_directory(home)
    started = time.monotonic()
    with (
        _logged(home),
        Plane.open(home, Limits(window_idle_ms=IDLE_MS)) as plane,
        _devices(scenario, plane, members, home / "devices") as devices,
    ):
        note(f"plane {plane.url} serves {home}; {len(members)} devices of {_sites(members)} sites")
        first = _evaluated(plane, task, len(members), devices.check)
        run = plane.submit(task)
        view = follow_run(run, devices.check)
        seconds = time.monotonic() - started
        if view.state != "FINISHED":
            note(f"the run ended as {view.state}: {view.reason}")
            raise typer.Exit(run_exit_code(view.state))
        measured = msgspec.structs.replace(task, model=ModelSource(version=view.base))
        last = _evaluated(plane, measured, len(members), devices.check)
        versions = _lineage(list(plane.versions()), view)
    return _Trained(first=first, run=view, last=last, versions=versions, seconds=seconds)


def _lineage(every: list[VersionView], run: RunView) -> list[VersionView]:
    """The versions from the run's first to its last, by their parents.

    Not by the run that made them: in a kept directory an earlier run may have made the very same bytes.
    """
    by_digest = {version.digest: version for version in every}
    line = [by_digest[run.base]]
    while line[-1].digest != run.first and line[-1].parent in by_digest:
        line.append(by_digest[line[-1].parent])
    return line[::-1]


@contextlib.contextmanager
def _logged(home: Path) -> Iterator[None]:
    from podium.server.logs import log_to, stop_logging

    handler = log_to(home / "plane.log")
    try:
        yield
    finally:
        stop_logging(handler)


def _members(scenario: Scenario) -> "list[Member]":
    from podium.cli.demo_devices import Member

    plans = (f"podium_examples.{scenario}:train", f"podium_examples.{scenario}:evaluate")
    if scenario == "hospital":
        from podium_examples.hospital.table import HOSPITALS

        return [
            Member(site=site, name=site, dataset=f"podium_examples.hospital:data?{site}", plans=plans)
            for site in HOSPITALS
        ]
    from podium_examples.digits.shards import DEVICES

    return [
        Member(
            site=f"site-{number % DIGITS_SITES}",
            name=f"device-{number}",
            dataset=f"podium_examples.digits:data?{number}",
            plans=plans,
        )
        for number in range(DEVICES)
    ]


def _devices(scenario: Scenario, plane: "Plane", members: "list[Member]", folder: Path) -> "Processes | Threads":
    from podium.cli.demo_devices import Processes, Threads

    folder.mkdir(exist_ok=True)
    start = Processes if scenario == "hospital" else Threads
    return start(plane.link, members, folder)


def _sites(members: "list[Member]") -> int:
    return len({member.site for member in members})


def _evaluated(plane: "Plane", task: "Task", devices: int, check: Callable[[], None]) -> RunView:
    """One evaluation of the task's model on every device; its view once it is over."""
    from podium.tasks.task import RunRules

    plan = task.task.plan.replace(":train", ":evaluate")
    head = msgspec.structs.replace(task.task, name=f"{task.task.name}-evaluate", kind="evaluate", plan=plan)
    terms = msgspec.structs.replace(
        task,
        task=head,
        round=msgspec.structs.replace(task.round, goal=devices, minimum=devices),
        run=RunRules(rounds=1, seed=task.run.seed, deadline=task.run.deadline, abandoned_max=1),
    )
    view = _over(plane.submit(terms), check)
    if view.state != "FINISHED":
        note(f"the evaluation ended as {view.state}: {view.reason}")
        raise typer.Exit(run_exit_code(view.state))
    return view


def _over(run: "Run", check: Callable[[], None]) -> RunView:
    for _ in run.views():
        check()
    return run.view()


def _say_result(scenario: Scenario, done: _Trained) -> None:
    """Accuracy of the first and the last version at each site, then the versions."""
    first, last = _accuracy(done.first), _accuracy(done.last)
    newest = done.versions[-1].number if done.versions else 0
    say(f"{scenario}: accuracy on each site's own test examples")
    say_table(
        ("SITE", "EXAMPLES", "FIRST v0", f"LAST v{newest}"),
        [
            (site, str(last[site].examples), decimals(first[site].accuracy), decimals(last[site].accuracy))
            for site in sorted(last)
        ],
    )
    say("")
    from podium.cli.models import VERSIONS

    for line in VERSIONS.lines(done.versions):
        say(line)
    say("")


def _accuracy(view: RunView) -> dict[str, SiteResult]:
    if view.round is None:
        return {}
    examples = view.round.site_examples
    return {
        site: SiteResult(accuracy=metrics["accuracy"], examples=int(examples[site]["accuracy"]))
        for site, metrics in view.round.site_metrics.items()
    }


def _verified(home: Path) -> "AuditResult":
    from podium.server.journal.audit import verify_data

    return verify_data(home)


def _write(path: Path, scenario: Scenario, done: _Trained) -> None:
    result = DemoResult(
        scenario=scenario,
        rounds=done.run.rounds_sealed,
        versions=[version.digest for version in done.versions],
        metrics=_accuracy(done.last),
        seconds=round(done.seconds, 3),
        journal_verified=True,  # a journal that does not verify has ended the demo with exit code 8
    )
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    except OSError as error:
        raise OperatorFault("usage", what=f"--json {path} cannot be written", why=str(error)) from error
