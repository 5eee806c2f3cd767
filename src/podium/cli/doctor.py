"""podium doctor: is everything well here? Every check, what it found, why that matters, what to do next.

Decides: which checks are made, and the exit code: 1 if one fails. Never: what is well (checkup.py, reach.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.advice import advised
from podium.cli.options import DATA, Json, Where, at_plane, default_data
from podium.cli.output import say, say_json

if TYPE_CHECKING:
    from podium.cli.checkup import Finding

FAILED = 1


@at_plane
def doctor(
    where: Where,
    task: Annotated[
        Path | None, typer.Option("--task", metavar="TASK.toml", help="Try its plan too.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Look at the installation, the data directory and the plane that serves it; exit code 1 if something fails."""
    from podium.cli.checkup import FAIL

    found = []
    for finding in examine(where, task):
        found.append(finding)
        if not json:
            say_finding(finding)
    if json:
        say_json(found)
    if any(finding.state == FAIL for finding in found):
        raise typer.Exit(FAILED)


def examine(where: Where, task: Path | None) -> "Iterator[Finding]":
    """Every check that `where` and `task` ask for, in turn."""
    from podium.cli import checkup, reach

    yield from checkup.installation()
    elsewhere = bool(where.url) and where.data == default_data()
    if not elsewhere and (shut := checkup.shut(where.data)):
        yield shut
        return
    if where.data.is_dir() and not elsewhere:
        for check in (checkup.directory, checkup.journal, checkup.keys, checkup.backup):
            yield from check(where.data)
    elif not where.url:
        given = "" if where.data == DATA else f" --data {where.data}"
        yield checkup.Finding(
            check="directory",
            state=checkup.FAIL,
            what=f"there is no plane's data in {where.data}",
            why="a plane that served there would have made it",
            next=f"check --data, or start one: podium serve{given}",
        )
        return
    yield from reach.plane(where)
    if task is not None:
        yield from checkup.plan(task)


def say_finding(finding: "Finding") -> None:
    """One check as people read it; why and next only where there is something to do."""
    say(f"{finding.state:4}  {finding.check:11}  {finding.what}")
    if finding.why and finding.state != "ok":
        say(f"{'':19}why:  {finding.why}")
    if finding.next and finding.state != "ok":
        say(f"{'':19}next: {advised(finding.next)}")
