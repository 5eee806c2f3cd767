"""Options that several verbs share, and which plane they mean.

Decides: the names and defaults of those options. Never: starts a plane.
"""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, NamedTuple, ParamSpec

import typer

from podium.cli.advice import VARIABLES, remember
from podium.cli.output import note
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

DATA = Path("podium-data")


def _typed(context: typer.Context, param: typer.CallbackParam, value: Path | None) -> Path | None:
    """The value of --data or --token-file; remembered for what is advised, if it was typed."""
    if _source(context, str(param.name)) == "COMMANDLINE":
        remember(context, str(param.name), value)
    return value


def _address(context: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """The value of --plane. A --data that was typed goes before an address that only the environment says."""
    source = _source(context, "plane")
    if source == "COMMANDLINE":
        remember(context, "plane", value)
    return "" if source == "ENVIRONMENT" and _source(context, "data") == "COMMANDLINE" else value


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return source.name if source is not None else ""


def data_option(says: str) -> Any:
    """--data of a verb that means by it what `says`; typer's option, whose own function is typed so."""
    return typer.Option("--data", envvar=VARIABLES["data"], callback=_typed, metavar="DIR", help=says)


Data = Annotated[Path, data_option("The plane's data directory, on this machine.")]
Url = Annotated[
    str,
    typer.Option(
        "--plane",
        envvar=VARIABLES["plane"],
        callback=_address,
        metavar="URL",
        help="The plane's address, instead of --data.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar=VARIABLES["token_file"],
        callback=_typed,
        metavar="FILE",
        help="The credential for --plane.",
        dir_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C: redrawn, or a line for each change.")]
Labels = Annotated[
    list[str] | None, typer.Option("-l", "--label", metavar="KEY=VALUE", help="Only those; all that are given hold.")
]
Why = Annotated[str, typer.Option("--why", help="Kept in the journal.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

P = ParamSpec("P")


def default_data() -> Path:
    """What --data means where nobody types it."""
    return Path(os.environ.get(VARIABLES["data"]) or DATA)


class Where(NamedTuple):
    """Which plane a verb means: by its directory, or by its address and a credential."""

    data: Path
    url: str
    token_file: Path | None

    def link(self) -> "OperatorLink":
        """A connection to it, closed by its `with`; `OperatorFault` as of podium.plane.finding."""
        return connect(self.data, self.url, self.token_file)


def at_plane(verb: Callable[Concatenate[Where, P], None]) -> Callable[..., None]:
    """`verb` with the options --data, --plane and --token-file in the place of its first parameter, which they become.

    Every verb that talks to a plane has them, by the same names; typer reads them from the signature made here.
    """
    signature = inspect.signature(verb, eval_str=True)
    own = list(signature.parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (("data", DATA, Data), ("plane", "", Url), ("token_file", None, TokenFile))
    ]

    @functools.wraps(verb)
    def called(data: Path, plane: str, token_file: Path | None, *args: P.args, **given: P.kwargs) -> None:
        verb(Where(data, plane, token_file), *args, **given)

    whole = signature.replace(parameters=[*own, *common])
    vars(called)["__signature__"] = whole
    called.__annotations__ = {each.name: each.annotation for each in whole.parameters.values()}
    return called


def gathered(kind: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the first parameter of a verb is a `kind`, a NamedTuple whose fields become options in its place.

    A field's annotation is the option (`Annotated[..., typer.Option(...)]`), its default the option's.
    """
    fields = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(kind, eval_str=True).parameters.values()
    ]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(verb, eval_str=True)
        own = list(signature.parameters.values())[1:]

        @functools.wraps(verb)
        def called(*args: Any, **given: Any) -> None:
            options = {each.name: given.pop(each.name, each.default) for each in fields}
            verb(kind(**options), *args, **given)

        vars(called)["__signature__"] = signature.replace(parameters=[*own, *fields])
        return called

    return decorate


def connect(data: Path, url: str, token_file: Path | None) -> "OperatorLink":
    """The plane that the options mean; `OperatorFault` as of podium.plane.finding."""
    from podium.plane.finding import connect_data, connect_url

    link = connect_url(url, token_file) if url else connect_data(data)
    link.on_away = lambda away: note(f"the plane is away ({away.code}); it is asked again for a minute")
    return link


def labels_of(given: list[str] | None) -> dict[str, str]:
    """The KEY=VALUE options as a dict; `OperatorFault(usage)` for what is not of that form, or a key given twice."""
    labels = dict(part.split("=", 1) for part in given or [] if "=" in part and not part.startswith("="))
    if len(labels) != len(given or []):
        raise OperatorFault("usage", what=f"-l {' -l '.join(given or [])}", why="write KEY=VALUE, each key once")
    return labels
