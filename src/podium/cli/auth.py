"""podium auth issue, list, revoke, can-i: credentials of services, and what this credential may do.

Decides: what is printed. Never: who may do what (core/access). A token is shown once, on stdout, and kept nowhere.
"""

from typing import Annotated

import typer

from podium.cli.confirming import confirm
from podium.cli.errors import DENIED
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Watch, Where, Yes, at_plane
from podium.cli.output import ago, note, say, say_json, short
from podium.wire.asks import ServiceAsk
from podium.wire.durations import format_duration, parse_duration
from podium.wire.operator import ServiceView
from podium.wire.problems import OperatorFault

app = typer.Typer(help="Credentials of services, and what one may do.", no_args_is_help=True)

SERVICES = Listing[ServiceView](
    heads=("SERVICE", "NAME", "MAY", "ISSUED", "BY", "LEFT"),
    row=lambda view: (
        short(view.id),
        view.name,
        ",".join(view.verbs),
        ago(view.age_ms),
        view.actor,
        "revoked" if view.revoked else format_duration(view.left_ms) if view.left_ms else "over",
    ),
    key=lambda view: view.id,
    passing=("age_ms", "left_ms"),
)


@app.command("issue")
@at_plane
def issue(
    where: Where,
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the journal calls it: service:NAME.")],
    verb: Annotated[list[str], typer.Option("--verb", help="What it may do, such as runs.read; repeat it.")],
    expires: Annotated[
        str, typer.Option("--expires", metavar="DURATION", help='Such as "24h"; else the longest.')
    ] = "",
    json: Json = False,
) -> None:
    """Make a credential for a service that may do only the verbs named; its token is shown this once."""
    try:
        expires_ms = int(parse_duration(expires)) if expires else 0
    except ValueError as error:
        raise OperatorFault("usage", what=f"--expires {expires}", why=str(error)) from error
    with where.link() as link:
        made = link.issue_service(ServiceAsk(name=name, verbs=tuple(verb), expires_ms=expires_ms))
    say_json(made) if json else say(made.token)
    known = short(made.id)
    note(f"service {known}: over in {format_duration(made.left_ms)}; podium auth revoke {known} ends it before")


@app.command("list")
@at_plane
def list_(where: Where, json: Json = False, watch: Watch = False) -> None:
    """Every service's credential, without its secret."""
    with where.link() as link:
        show(SERVICES, Rows(link, "services", ServiceView), json=json, watch=watch)


@app.command("revoke")
@at_plane
def revoke(
    where: Where,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Its id or a unique prefix.")],
    yes: Yes = False,
) -> None:
    """End a service's credential at once, those that it issued, and webhooks that they set; prints its id."""
    with where.link() as link:
        count = len(_ending(link.services(), service))
        confirm(
            f"revoke {count} credentials: service {service}, and what it issued, can do nothing more; webhooks that"
            " they set are told nothing more",
            yes,
        )
        say(link.revoke_service(service).id)


def _ending(services: list[ServiceView], service: str) -> set[str]:
    """The ids of living credentials that end with the one of that name, id or prefix."""
    found = [each.id for each in services if each.name == service or each.id.startswith(service)]
    for name in found:
        found.extend(each.id for each in services if each.issuer == name)
    return {each.id for each in services if each.id in found and each.left_ms}


@app.command("can-i")
@at_plane
def can_i(
    where: Where,
    verb: Annotated[str, typer.Argument(metavar="[VERB]", help="Such as runs.pause; none: every verb.")] = "",
    json: Json = False,
) -> None:
    """Say whether this credential may do a verb (exit code 4 if not), or list what it may."""
    from podium.core.access.roles import known

    if verb:
        known(verb)
    with where.link() as link:
        seen = link.who_am_i()
    if json:
        say_json(seen)
    elif verb:
        say("yes" if verb in seen.verbs else "no")
    else:
        for each in seen.verbs:
            say(each)
    if verb and verb not in seen.verbs:
        note(f"{seen.actor} may {', '.join(seen.verbs) or 'nothing'}")
        raise typer.Exit(DENIED)
