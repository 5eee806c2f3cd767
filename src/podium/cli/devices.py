"""podium device token, enroll, run: one device on this machine. The fleet's verbs are in fleet.py.

Decides: what a device's state directory remembers besides the agent's own files: where its plane is. Never: how a
device works (podium.device). `device run` needs no plane's credential, only the state that enrolment left.
"""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer

from podium.cli.options import DATA, Data, Url, Where, at_plane, labels_of
from podium.cli.output import note, say
from podium.wire.asks import TokenAsk
from podium.wire.facts import QUALITIES
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
    plane: Url = "",
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
    tell_quality: Annotated[
        list[str] | None,
        typer.Option(
            "--tell-quality", metavar="FACT", help="Tell label_coverage, missing_rate or freshness_h of the data."
        ),
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
        device.told, device.tells = frozenset(tell or []), _qualities(tell_quality or [])

        def ask(number: int, frame: FrameType | None) -> None:
            device.stop()

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)
        device.run_forever()
    note("the device has stopped; it goes on where it was when it runs again")


def _qualities(named: list[str]) -> frozenset[str]:
    unknown = sorted(set(named) - QUALITIES.keys())
    if unknown:
        raise OperatorFault("usage", what=f"--tell-quality {unknown[0]}", why=f"it is one of {', '.join(QUALITIES)}")
    return frozenset(named)


@app.command("token")
@at_plane
def token(
    where: Where,
    site: Annotated[str, typer.Option("--site", help="The organisation that owns the device.")] = "",
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many devices may enrol with it.")] = 1,
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", metavar="NAME=VALUE", help="A label of the devices.")
    ] = None,
) -> None:
    """Make an enrolment token; it is shown this once."""
    with where.link() as link:
        say(link.token(TokenAsk(site=site, uses=uses, labels=labels_of(label))).token)
