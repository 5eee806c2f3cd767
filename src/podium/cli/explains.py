"""podium explain: why a run or a device stands where it stands, and what to do next.

Decides: what is printed, and what a name means: a run of that name goes before a device. Never: which cause binds.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli import completing
from podium.cli.advice import advised
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import printable, say, say_json
from podium.wire.explained import Explanation
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink


@at_plane
def explain(
    where: Where,
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|DEVICE",
            help="An id, a unique prefix, a task's or a device's name, or @last.",
            autocompletion=completing.runs_and_devices,
        ),
    ] = "@last",
    json: Json = False,
) -> None:
    """Why is nothing happening: the cause that binds a run or a device, the others, and what to do next."""
    with where.link() as link:
        told = _explained(link, name)
    if json:
        say_json(told)
        return
    say(f"{told.kind} {told.subject}  {told.state}".rstrip())
    say(f"cause  {told.cause}")
    say(f"what   {printable(told.what)}")
    for place, each in enumerate(told.causes):
        if place:
            say(f"also   {each.code}: {printable(each.text)}")
        if each.alone:
            say(f"       without it {each.alone:,} more could take part")
    for line in (*funnel_lines(told), *shape_lines(told)):
        say(line)
    for step in told.next:
        say(f"next   {advised(printable(step))}")


def funnel_lines(told: Explanation) -> list[str]:
    """How far its devices got, a line a stage, and under it what keeps those that got no further."""
    lines = [f"funnel of round {told.funnel_of}, each device once"] if told.funnel else []
    for stage in told.funnel:
        lines.append(f"{stage.devices:>9,}  {stage.name}: {stage.means}")
        for loss in stage.left:
            what = printable(f"{loss.code} {loss.what}".rstrip())
            change = f" -> {advised(printable(loss.change))}" if loss.change else ""
            lines.append(f"{'':9}    {loss.devices:,} no further: {what}{change}")
    return lines


def shape_lines(told: Explanation) -> list[str]:
    """The session shapes of a run's newest leases, the most first."""
    shown = ", ".join(f"{shape} {count:,}" for shape, count in told.shapes.items())
    return [f"shapes {shown}"] if shown else []


def _explained(link: "OperatorLink", name: str) -> Explanation:
    """The run of that name, or else the device; `OperatorFault` as the run's if neither is there."""
    try:
        return link.explain("run", name)
    except OperatorFault as no_run:
        if no_run.code != "run-unknown":
            raise
        try:
            return link.explain("device", name)
        except OperatorFault as no_device:
            if no_device.code != "not-found":
                raise
            what = f"no run and no device is called {name}"
            next = "podium status and podium device list show them"
            raise OperatorFault("not-found", what=what, next=next) from no_run
