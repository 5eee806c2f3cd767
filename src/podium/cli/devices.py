"""podium device enroll, run, list: one device on this machine, and the fleet.

Decides: what a device's state directory remembers besides the agent's own files: where its plane is. Never: how a
device works (podium.device). `device run` needs no plane's credential, only the state that enrolment left.
"""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer

from podium.cli.options import DATA, Data, Json, TokenFile, Url, connect
from podium.cli.output import note, printable, say, say_json, say_table
from podium.wire.asks import TokenAsk
from podium.wire.durations import format_duration
from podium.wire.operator import DeviceView
from podium.wire.problems import OperatorFault

app = typer.Typer(help="One device on this machine, and the fleet.", no_args_is_help=True)

PLACE_FILE = "place.json"
State = Annotated[Path, typer.Option("--state", help="The device's own directory.", file_okay=False)]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`STATE/place.json`: where the plane of this device is."""

    url: str


@app.command("enroll")
def enroll(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="What `podium device token` or `podium dev` printed.")],
    state: State,
    plane: Annotated[str, typer.Option("--plane", metavar="URL", help="Where the plane is.")] = "",
    data: Data = DATA,
    name: Annotated[str, typer.Option("--name", help="How people call it.")] = "",
) -> None:
    """Enrol a device: its key is made here and never leaves; prints its id."""
    from podium.device import Device
    from podium.plane.finding import read_plane_file

    url = plane or read_plane_file(data).url
    with Device(url, token=token, state=state, name=name or state.absolute().name) as device:
        identity = device.enrol()
    keep_place(state, url)
    say(identity.device_id)


def keep_place(state: Path, url: str) -> None:
    """Remember in a device's state directory where its plane is."""
    draft = state / f"{PLACE_FILE}.new"
    draft.write_bytes(msgspec.json.encode(Place(url=url)))
    draft.replace(state / PLACE_FILE)


def _place(state: Path) -> str:
    path = state / PLACE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Place).url
    except FileNotFoundError as error:
        what = f"no device is enrolled in {state}"
        raise OperatorFault("usage", what=what, next=f"podium device enroll TOKEN --state {state}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=str(error)) from error


@app.command("run")
def run(
    state: State,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", metavar="SPEC", help="module:function or module:function?argument.")
    ] = None,
    plan: Annotated[
        list[str] | None,
        typer.Option("--plan", metavar="NAME", help="An installed plan it offers, besides those that are registered."),
    ] = None,
    plane: Annotated[str, typer.Option("--plane", metavar="URL", help="The plane's address, if it has moved.")] = "",
    tell: Annotated[
        list[str] | None, typer.Option("--tell", metavar="DATASET", help="Tell how many examples of it there are.")
    ] = None,
) -> None:
    """Serve the plane until SIGTERM or Ctrl-C: check in, train, upload, come back when told to."""
    import logging
    import sys

    from podium.device import Device
    from podium.device.plan import load_data

    url = plane or _place(state)
    held = {name: data for spec in dataset or [] for name, data in load_data(spec).items()}
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    with Device(url, data=held, state=state) as device:
        device.plans = (*device.plans, *(name for name in plan or [] if name not in device.plans))
        device.told = frozenset(tell or [])

        def ask(number: int, frame: FrameType | None) -> None:
            device.stop()

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)
        device.run_forever()
    note("the device has stopped; it goes on where it was when it runs again")


@app.command("token")
def token(
    site: Annotated[str, typer.Option("--site", help="The organisation that owns the device.")] = "",
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many devices may enrol with it.")] = 1,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="A label of the devices.")
    ] = None,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Make an enrolment token; it is shown this once."""
    labels = dict(part.split("=", 1) for part in label or [] if "=" in part)
    if len(labels) != len(label or []):
        raise OperatorFault("usage", what=f"--label {' '.join(label or [])}", why="write NAME=VALUE, each name once")
    with connect(data, plane, token_file) as link:
        say(link.token(TokenAsk(site=site, uses=uses, labels=labels)).token)


@app.command("list")
def list_(json: Json = False, data: Data = DATA, plane: Url = "", token_file: TokenFile = None) -> None:
    """Every enrolled device, in order of enrolment."""
    with connect(data, plane, token_file) as link:
        views = link.devices()
    if json:
        say_json(views)
    else:
        say_table(("DEVICE", "NAME", "SITE", "STATE", "SEEN", "LEASE", "LAST FAILURE"), [_row(view) for view in views])


@app.command("logs")
def logs(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="An id, a unique prefix, or a name.")],
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """The last failure of a device as it told it: its code, and its plan's traceback."""
    with connect(data, plane, token_file) as link:
        view = named(link.devices(), name)
    if not view.failure:
        note(f"device {view.id} has told of no failure")
        return
    say(view.failure)
    say(printable(view.failure_detail))


def named(views: list[DeviceView], name: str) -> DeviceView:
    """The device of that id, unique name or unique prefix; `OperatorFault(not-found | id-ambiguous)`."""
    found = [view for view in views if name in (view.id, view.name)] or [
        view for view in views if name and view.id.startswith(name)
    ]
    if not found:
        raise OperatorFault("not-found", what=f"no device is called {name}", next="podium device list shows them")
    if len(found) > 1:
        why = ", ".join(view.id for view in found[:3])
        raise OperatorFault("id-ambiguous", what=f"{name} names {len(found)} devices", why=why)
    return found[0]


def _row(view: DeviceView) -> tuple[str, ...]:
    seen = "never" if view.seen_ms < 0 else f"{format_duration(view.seen_ms)} ago"
    state = f"{view.state}, {'online' if view.online else 'away'}"
    return (view.id, view.name or "-", view.site or "-", state, seen, view.lease or "-", view.failure or "-")
