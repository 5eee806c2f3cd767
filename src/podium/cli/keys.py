"""podium key list, rotate: the keys of the root document, and letting another one sign.

Decides: what a person is told before a rotation, and where a new release key goes: into a file here, its public half to
the plane. Never: what a rotation does (podium.server.operators.keys).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from podium.cli.confirming import confirm
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Watch, Where, Yes, at_plane
from podium.cli.output import note, say, say_json
from podium.wire.asks import RotateAsk
from podium.wire.operator import KeyView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

app = typer.Typer(help="The keys that sign for the plane.", no_args_is_help=True)

KEYS = Listing[KeyView](
    heads=("KEY", "ROLE", "STATE", "ROOT"),
    row=lambda view: (view.id, view.role, view.state, f"version {view.root_version}"),
    key=lambda view: f"{view.role}/{view.id}",
    passing=(),
)


@app.command("list")
@at_plane
def list_(where: Where, json: Json = False, watch: Watch = False) -> None:
    """Every key of the root document: its role, whether it signs today, the document's version."""
    with where.link() as link:
        show(KEYS, Rows(link, "keys", KeyView), json=json, watch=watch)


@app.command("rotate")
@at_plane
def rotate(
    where: Where,
    role: Annotated[Literal["online", "release"], typer.Option("--role", help="Whose key.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where the new release key goes; it stays here.", dir_okay=False),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let a new key sign for a role, after saying what that touches; prints the new key's id."""
    if (out is None) is (role == "release"):
        raise OperatorFault("usage", what=f"--role {role}", why="--out is for the release key, which needs it")
    if out is not None and out.exists():
        raise OperatorFault("usage", what=f"{out} is there already", why="a key is not written over another file")
    with where.link() as link:
        confirm(impact(link, role), yes)
        public = "" if out is None else _new_release_key(out)
        made = link.rotate_key(RotateAsk(role=role, public_key=public))
    say_json(made) if json else say(made.id)
    if out is not None:
        note(f"the release key is in {out}: move it offline")


def impact(link: "OperatorLink", role: str) -> str:
    """What rotating the key of `role` touches now, in a sentence or two."""
    if role == "release":
        return (
            "the release key before signs no release any more; released versions stay released; "
            "devices refuse a plane restored from a backup of before: take a new one"
        )
    status = link.status()
    rounds = [view.round for view in status.runs if view.round is not None and view.round.state != "SEALED"]
    away = status.devices - status.online
    return (
        f"{len(rounds)} open rounds go on: their manifests still verify; {status.online} sessions go on, and their "
        f"devices learn of the new key by their next session, within an hour; {away} devices when they come back; "
        "the private key before is erased, and devices refuse a plane restored from a backup of before: take a new one"
    )


def _new_release_key(out: Path) -> str:
    """Make a release key in the file `out`; its public key."""
    from podium.crypto.sign import public_key
    from podium.server.identity import SECRET_BYTES, write_release_key
    from podium.wire.canonical import b64

    seed = os.urandom(SECRET_BYTES)
    write_release_key(out, seed)
    return b64(public_key(seed))
