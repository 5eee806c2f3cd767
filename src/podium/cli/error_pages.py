"""podium error: the page of a problem code, offline.

Decides: how it is laid out. Never: what it says (wire/problems.py, wire/advice.toml).
"""

from typing import Annotated

import typer

from podium.cli import completing
from podium.cli.options import Json
from podium.cli.output import say, say_json, say_table
from podium.wire.problems import KINDS, OperatorFault


def error(
    code: Annotated[
        str,
        typer.Argument(
            metavar="[CODE]", help="A code, or its number: P2041. None: all.", autocompletion=completing.codes
        ),
    ] = "",
    json: Json = False,
) -> None:
    """What a problem code means, and what to do about it; without one, every code."""
    from podium.wire.advice import advice

    found = [_code(code)] if code else sorted(KINDS, key=lambda each: KINDS[each].number)
    if json:
        say_json([{"code": each, "number": KINDS[each].number, "title": KINDS[each].title} for each in found])
    elif code:
        kind, told = KINDS[found[0]], advice()[found[0]]
        say(f"P{kind.number} {found[0]}: {kind.title}\n\ncause  {told.cause}\ndo     {told.do}\nHTTP   {kind.status}")
    else:
        say_table(("NUMBER", "CODE", "WHAT"), [(f"P{KINDS[each].number}", each, KINDS[each].title) for each in found])


def _code(given: str) -> str:
    """The code that `given` is or numbers; `OperatorFault(not-found)`."""
    for code, kind in KINDS.items():
        if given.lower() in (code, f"p{kind.number}", str(kind.number)):
            return code
    raise OperatorFault("not-found", what=f"there is no problem code {given}", next="podium error lists them")
