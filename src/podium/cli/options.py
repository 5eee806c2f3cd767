"""Options that several verbs share, and which plane they mean.

Decides: the names and defaults of those options. Never: starts a plane.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

DATA = Path("podium-data")

Data = Annotated[Path, typer.Option("--data", help="The plane's data directory, on this machine.")]
Url = Annotated[str, typer.Option("--plane", metavar="URL", help="The plane's address, instead of --data.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="The credential for --plane.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def connect(data: Path, url: str, token_file: Path | None) -> "OperatorLink":
    """The plane that the options mean; `OperatorFault` as of podium.plane.finding."""
    from podium.plane.finding import connect_data, connect_url

    return connect_url(url, token_file) if url else connect_data(data)
