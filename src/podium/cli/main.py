"""The command line: every verb, and how a process of it ends.

Decides: which module a verb lives in, and what becomes of an error: text on stderr and an exit code. Never: what a verb
does. Loading it loads no part of the server: verbs load what they need.
"""

import os
import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from podium.cli import (
    advice,
    aliases,
    audits,
    auth,
    benches,
    comparing,
    completing,
    databases,
    demo,
    devices,
    doctor,
    error_pages,
    experiments,
    explains,
    exports,
    fleet,
    forecasts,
    keys,
    models,
    planes,
    releases,
    runs,
    simulations,
    tasks,
    versions,
    webhooks,
)
from podium.cli.errors import FAILED, INTERRUPTED, exit_code, of_missing, say_bug, say_error
from podium.wire.problems import OperatorFault, PodiumError

if TYPE_CHECKING:
    from typer.core import TyperCommand, TyperGroup

PLANE, RUNS, NOUNS, BESIDE = "The plane", "Runs", "What a plane holds", "Beside a plane"
"""The panels of `podium --help`."""

app = typer.Typer(
    name="podium",
    help="A federated learning orchestration plane. stdout is data, stderr is progress.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo", rich_help_panel=PLANE)(demo.demo)
app.command("dev", rich_help_panel=PLANE)(planes.dev)
app.command("serve", rich_help_panel=PLANE)(planes.serve)
app.command("status", rich_help_panel=PLANE)(runs.status)
app.command("run", rich_help_panel=RUNS)(runs.run)
app.command("watch", rich_help_panel=RUNS)(runs.watch)
app.command("stop", rich_help_panel=RUNS)(runs.stop)
app.command("pause", rich_help_panel=RUNS)(runs.pause)
app.command("resume", rich_help_panel=RUNS)(runs.resume)
app.command("retry", rich_help_panel=RUNS)(runs.retry)
app.command("freeze", rich_help_panel=PLANE)(runs.freeze)
app.command("unfreeze", rich_help_panel=PLANE)(runs.unfreeze)
app.command("explain", rich_help_panel=RUNS)(explains.explain)
app.command("compare", rich_help_panel=RUNS)(comparing.compare)
app.command("export", rich_help_panel=RUNS)(exports.export)
app.command("simulate", rich_help_panel=BESIDE)(simulations.simulate)
app.command("bench", rich_help_panel=BESIDE)(benches.bench)
app.command("completion", rich_help_panel=BESIDE)(completing.completion)
app.command("error", rich_help_panel=BESIDE)(error_pages.error)
app.command("mlflow", rich_help_panel=RUNS)(experiments.mlflow)
tasks.app.command("forecast")(forecasts.forecast_task)
app.add_typer(tasks.app, name="task", rich_help_panel=NOUNS)
fleet.add_to(devices.app)
app.add_typer(devices.app, name="device", rich_help_panel=NOUNS)
models.app.command("show")(versions.show)
models.app.command("diff")(versions.diff)
models.app.command("release")(releases.release)
models.app.command("promote")(aliases.promote)
models.app.command("rollback")(aliases.rollback)
models.app.add_typer(aliases.app, name="alias")
app.add_typer(models.app, name="model", rich_help_panel=NOUNS)
app.add_typer(audits.app, name="audit", rich_help_panel=NOUNS)
app.add_typer(auth.app, name="auth", rich_help_panel=NOUNS)
app.add_typer(keys.app, name="key", rich_help_panel=NOUNS)
app.add_typer(webhooks.app, name="webhook", rich_help_panel=NOUNS)
app.command("doctor", rich_help_panel=PLANE)(doctor.doctor)
app.add_typer(databases.app, name="db", rich_help_panel=NOUNS)


def _say_version(asked: bool) -> None:
    if asked:
        from podium import __version__

        sys.stdout.write(f"podium {__version__}\n")
        raise typer.Exit()


@app.callback()
def podium(
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """A federated learning orchestration plane. stdout is data, stderr is progress."""


def main() -> None:
    """Run the verb of the command line and end the process with its exit code (docs/reference/cli.md)."""
    sys.excepthook = say_bug
    sys.exit(_ended())


def _ended() -> int:
    completing.prepare()
    advice.forget()
    try:
        command = cast("TyperGroup", typer.main.get_command(app))
        _plain(command)
        code = command.main(prog_name="podium", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except PodiumError as error:
        say_error(error)
        return exit_code(error)
    except ModuleNotFoundError as error:
        if (missing := of_missing(error)) is None:
            raise
        say_error(missing)
        return exit_code(missing)
    except typer.TyperException as error:
        fault = OperatorFault("usage", what=error.format_message(), next=f"podium {_verb()}--help")
        say_error(fault)
        return exit_code(fault)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of stdout has gone; what is still buffered must not raise again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _plain(command: "TyperCommand | TyperGroup") -> None:
    """A switch takes no value, and its help names no type of one."""
    for each in command.get_params(typer.Context(command)):
        if getattr(each, "is_flag", False):
            each.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _plain(inner)


def _verb() -> str:
    """The verb as typed ("run", "device token"), followed by a space; "" if there is none of that name."""
    verb, known = "", typer.main.get_command(app)
    for word in sys.argv[1:3]:
        commands = getattr(known, "commands", {})
        if word not in commands:
            break
        verb, known = f"{verb}{word} ", commands[word]
    return verb


if __name__ == "__main__":
    main()
