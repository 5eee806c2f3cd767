"""podium device list, show, logs, cordon, uncordon, drain, ban, unban: the fleet seen and marked.

Decides: what is printed, and that a mark first says how many devices it touches. Never: what a mark does (the core).
"""

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from podium.cli import completing
from podium.cli.advice import advised
from podium.cli.completing import DeviceName
from podium.cli.confirming import confirm
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Labels, Watch, Where, Why, Yes, at_plane, labels_of
from podium.cli.output import ago, count_of_bytes, decimals, note, printable, say, say_json, say_pairs, say_table
from podium.cli.standing import plane_lines
from podium.wire.asks import MarkAsk
from podium.wire.operator import Condition, DeviceDetail, DeviceView, LeaseView
from podium.wire.problems import OperatorFault

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DEVICE]...", help="Ids, unique prefixes or names.", autocompletion=completing.devices),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which and how many it would be.")]
OfState = Literal["active", "cordoned", "banned"]


def _row(view: DeviceView) -> tuple[str, ...]:
    state = f"{view.state}, {'online' if view.online else 'away'}"
    return (
        view.id,
        printable(view.name) or "-",
        view.site or "-",
        state,
        ago(view.seen_ms),
        view.lease or "-",
        view.failure or "-",
    )


DEVICES = Listing[DeviceView](
    heads=("DEVICE", "NAME", "SITE", "STATE", "SEEN", "LEASE", "LAST FAILURE"),
    row=_row,
    key=lambda view: view.id,
    passing=("seen_ms", "enrolled_age_ms"),
)


@at_plane
def list_(
    where: Where,
    label: Labels = None,
    state: Annotated[OfState | None, typer.Option("--state", help="Only those in it.")] = None,
    online: Annotated[bool, typer.Option("--online", help="Only those that are connected.")] = False,
    json: Json = False,
    watch: Watch = False,
) -> None:
    """Enrolled devices, in order of enrolment. Labels are those of the token; site and name count as labels."""
    labels = labels_of(label)
    with where.link() as link:
        query = _query(labels, state or "", online)
        rows = Rows(link, "devices", DeviceView, query, keep=lambda view: matches(view, labels))
        show(DEVICES, rows, json=json, watch=watch, above=lambda: plane_lines(link.status()))


def _query(labels: dict[str, str], state: str, online: bool) -> dict[str, str]:
    """What the plane itself can choose by, so that a large fleet is not sent to be thrown away; `matches` is exact."""
    plain = [
        f"{key}={value}" for key, value in labels.items() if key not in ("site", "name") and "," not in key + value
    ]
    query = {"state": state, "online": "true" if online else "", "label": ",".join(plain)}
    return query | {key: labels[key] for key in ("site", "name") if labels.get(key)}


def matches(view: DeviceView, labels: dict[str, str]) -> bool:
    """Whether every label holds of a device; "site" and "name" are labels too."""
    own = {**view.labels, "site": view.site, "name": view.name}
    return all(own.get(name) == value for name, value in labels.items())


@at_plane
def show_(where: Where, name: DeviceName, json: Json = False) -> None:
    """One device: what it told of itself, its last leases, its last failure."""
    with where.link() as link:
        detail = link.device(name)
    say_json(detail) if json else _say_detail(detail)


def _say_detail(detail: DeviceDetail) -> None:
    view = detail.device
    say_pairs(
        [
            ("device", view.id),
            ("name", printable(view.name)),
            ("site", view.site),
            ("labels", " ".join(f"{key}={value}" for key, value in sorted(view.labels.items()))),
            ("state", f"{view.state}, {'online' if view.online else 'away'}"),
            ("seen", ago(view.seen_ms)),
            ("enrolled", ago(detail.enrolled_age_ms)),
            ("took part", ago(detail.participated_age_ms)),
            ("lease", view.lease),
            ("lost", f"{detail.loss_rate:.0%} of its leases, by what was seen" if detail.loss_rate >= 0 else ""),
            ("takes", f"{detail.usual_ms / 1000:.1f} s from grant to report" if detail.usual_ms >= 0 else ""),
            *((f"measured {key}", value) for key, value in sorted(detail.measured.items())),
            ("failure", advised(f"{view.failure}: podium device logs {view.id}") if view.failure else ""),
            *((f"fact {key}", printable(value)) for key, value in sorted(detail.facts.items())),
            *((f"now {key}", printable(value)) for key, value in sorted(detail.momentary.items())),
            ("now told", ago(detail.momentary_age_ms) if detail.momentary else ""),
        ]
    )
    if detail.conditions:
        say("")
        say_table(("CONDITION", "HOLDS", "REASON", "SINCE", "ABOUT"), list(map(_condition, detail.conditions)))
    if detail.leases:
        say("")
        say_table(("LEASE", "RUN", "ROUND", "STATE", "GRANTED", "UPLOAD", "METRICS"), list(map(_lease, detail.leases)))


def _condition(told: Condition) -> tuple[str, ...]:
    since = ago(told.since_age_ms) if told.since_age_ms >= 0 else "-"
    return told.name, "yes" if told.holds else "no", told.reason, since, printable(told.about) or "-"


def _lease(view: LeaseView) -> tuple[str, ...]:
    return (
        view.id,
        view.run,
        str(view.round),
        f"{view.state} ({view.reason})" if view.reason else view.state,
        ago(view.granted_age_ms),
        count_of_bytes(view.upload_bytes),
        " ".join(f"{name} {decimals(value)}" for name, value in sorted(view.metrics.items())) or "-",
    )


@at_plane
def logs(where: Where, name: DeviceName) -> None:
    """The last failure of a device as it told it: its code, and its plan's traceback."""
    with where.link() as link:
        view = link.device(name).device
    if not view.failure:
        note(f"device {view.id} has told of no failure")
        return
    say(view.failure)
    say(printable(view.failure_detail))


def _marker(mark: str, does: str) -> Callable[..., None]:
    """A verb that marks devices as `mark`; `does`: what a person confirms, before "N devices"."""

    @at_plane
    def verb(
        where: Where,
        device: Names = None,
        label: Labels = None,
        dry_run: DryRun = False,
        why: Why = "",
        yes: Yes = False,
    ) -> None:
        labels = labels_of(label)
        if bool(device) is bool(labels):
            raise OperatorFault("usage", what="which devices are meant is not clear", why="name them, or choose by -l")
        ask = MarkAsk(mark=mark, devices=tuple(device or ()), labels=labels, dry_run=True, why=why)
        with where.link() as link:
            would = link.mark(ask)
            told = f"{does} {would.changed} of {would.matched} devices, {would.at_work} of them at work"
            if not would.matched:
                note("no device is so labelled: podium device list shows sites, podium device show DEVICE its labels")
            if dry_run or not would.changed:
                note(f"{told}; nothing was changed")
            else:
                confirm(told, yes)
                would = link.mark(MarkAsk(mark=mark, devices=ask.devices, labels=labels, why=why))
        for each in would.devices:
            say(each)
        if would.changed > len(would.devices):
            note(f"and {would.changed - len(would.devices)} more")

    return verb


_MARKS = (
    ("cordon", "cordoned", "cordon", "Give devices no further lease; one at work finishes. Prints their ids."),
    ("uncordon", "uncordoned", "uncordon", "Let cordoned devices be given leases again. Prints their ids."),
    (
        "drain",
        "drained",
        "cordon and end the lease of",
        "Cordon devices and end their lease at once. Prints their ids.",
    ),
    ("ban", "banned", "ban", "Refuse devices at the door; the lease of one at work ends. Prints their ids."),
    ("unban", "unbanned", "unban", "Let banned devices in again. Prints their ids."),
)


def add_to(app: typer.Typer) -> None:
    """Give the noun `app` (podium device) the verbs of this file."""
    app.command("list")(list_)
    app.command("show")(show_)
    app.command("logs")(logs)
    for verb, mark, does, told in _MARKS:
        app.command(verb, help=told)(_marker(mark, does))
