"""podium webhook set, list, remove, dead, retry: who is told of records.

Decides: what is printed; the secret is shown once, on stdout. Never: where a webhook may go (the plane).
"""

from typing import Annotated

import typer

from podium.cli.confirming import confirm
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Watch, Where, Yes, at_plane
from podium.cli.output import ago, note, printable, say, say_json
from podium.wire.asks import WebhookAsk
from podium.wire.operator import DeadLetterView, WebhookView

app = typer.Typer(help="Who is told of records, as signed CloudEvents.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id or a unique prefix.")]

WEBHOOKS = Listing[WebhookView](
    heads=("WEBHOOK", "ORIGIN", "KINDS", "BY", "DELIVERED", "DEAD", "FAILING"),
    row=lambda view: (
        view.id,
        view.origin,
        ",".join(view.kinds) or "all",
        view.actor,
        str(view.delivered),
        str(view.dead),
        printable(view.failing) or "-",
    ),
    key=lambda view: view.id,
    passing=(),
)
DEAD = Listing[DeadLetterView](
    heads=("WEBHOOK", "EVENT", "KIND", "GIVEN UP", "WHY"),
    row=lambda view: (view.webhook, view.event, view.kind, ago(view.age_ms), printable(view.why)),
    key=lambda view: f"{view.webhook}/{view.event}",
    passing=("age_ms",),
)


@app.command("set")
@at_plane
def set_(
    where: Where,
    url: Annotated[str, typer.Argument(metavar="URL", help="https, to another host.")],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only records of this kind, such as round-sealed; repeat it.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell an address of records from now on; prints the secret that signs them, this once. The address is not shown
    again, only its origin: what follows that is often a secret too."""
    with where.link() as link:
        made = link.set_webhook(WebhookAsk(url=url, kinds=tuple(kind or ())))
    say_json(made) if json else say(made.secret)
    note(f"webhook {made.id}: verify with that secret, as Standard Webhooks says")


@app.command("list")
@at_plane
def list_(where: Where, json: Json = False, watch: Watch = False) -> None:
    """Every webhook, and how its deliveries go."""
    with where.link() as link:
        show(WEBHOOKS, Rows(link, "webhooks", WebhookView), json=json, watch=watch)


@app.command("remove")
@at_plane
def remove(where: Where, name: Name, yes: Yes = False) -> None:
    """Tell nobody there any more; prints its id. Its dead letters go with it."""
    with where.link() as link:
        dead = sum(view.dead for view in link.webhooks() if view.id.startswith(name))
        confirm(f"remove 1 webhook and its {dead} dead letters: {name} hears of nothing more", yes)
        say(link.remove_webhook(name).id)


@app.command("dead")
@at_plane
def dead(
    where: Where,
    name: Annotated[str, typer.Argument(metavar="[WEBHOOK]", help="Only those of this webhook.")] = "",
    json: Json = False,
    watch: Watch = False,
) -> None:
    """Deliveries that were given up, oldest first."""
    with where.link() as link:
        show(DEAD, Rows(link, "dead-letters", DeadLetterView, {"webhook": name}), json=json, watch=watch)


@app.command("retry")
@at_plane
def retry(where: Where, name: Name) -> None:
    """Try every dead letter of a webhook once more; prints how many there are."""
    with where.link() as link:
        say(str(link.retry_webhook(name).dead))
