"""A person's word before something is destroyed.

Decides: that what is affected is said first, and that without a terminal only --yes counts. Never: what is destroyed.
"""

import sys

import typer

from podium.cli.output import note
from podium.wire.problems import OperatorFault


def confirm(what: str, yes: bool) -> None:
    """Say `what` a verb is about to do, and go on only with --yes or a person's word.

    `OperatorFault(usage)` where there is no terminal to ask at; `typer.Abort` if the person says no.
    """
    note(what)
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorFault("usage", what="this verb asks before it destroys", why="there is no terminal", next="--yes")
    if not typer.confirm("go on?", err=True):
        raise typer.Abort()
