"""podium task forecast: what a task would find, in a running plane's fleet or in a traced one, before it is run.

Decides: what is printed. Never: what is expected (podium.tasks.forecast), nor starts anything: a trace is arithmetic,
and a plane is only asked.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podium.cli.options import Json, Where, at_plane
from podium.cli.output import count_of_bytes, say, say_json
from podium.cli.simulations import WINDOW_MS, counted
from podium.cli.tasks import checked_task, forecast_lines, sizes
from podium.tasks.forecast import Forecast, Outlook, forecast
from podium.tasks.task import Task
from podium.wire.durations import format_duration


@at_plane
def forecast_task(
    where: Where,
    file: Annotated[Path, typer.Argument(metavar="TASK.toml", help="The task file.", dir_okay=False)],
    trace: Annotated[
        str,
        typer.Option(
            "--trace", metavar="flat|diurnal|FILE", help="A synthetic fleet that is there so, instead of a plane's."
        ),
    ] = "",
    devices: Annotated[str, typer.Option("--devices", help="Of a trace: how many, such as 1000 or 1e6.")] = "1e5",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of a trace: the fleet's seed.")] = 1,
    json: Json = False,
) -> None:
    """Forecast a task: devices by hour, rounds an hour, bytes, device-hours, waste, energy, go or no-go and why."""
    task = checked_task(file)
    down, up, _, _ = sizes(task, file.parent)
    seen = _traced(task, trace, (counted(devices), seed), (down, up)) if trace else _asked(where, task, (down, up))
    if json:
        say_json(seen)
        return
    for line in (*forecast_lines(seen), *outlook_lines(seen)):
        say(line)


def _traced(task: Task, trace: str, fleet: tuple[int, int], moved: tuple[int, int]) -> Forecast:
    from podium.sim.prospect import TraceAsk, trace_prospect

    ask = TraceAsk(
        trace=trace, devices=fleet[0], seed=fleet[1], down_bytes=moved[0], up_bytes=moved[1], answer_ms=WINDOW_MS
    )
    return forecast(task, *moved, trace_prospect(task, ask))


def _asked(where: Where, task: Task, moved: tuple[int, int]) -> Forecast:
    from podium.tasks.digest import task_bytes
    from podium.wire.asks import ForecastAsk

    ask = ForecastAsk(task=msgspec.Raw(task_bytes(task)), model_bytes=moved[0], update_bytes=moved[1])
    with where.link() as link:
        return link.forecast(ask)


def outlook_lines(seen: Forecast) -> list[str]:
    """What is expected, for people: the answer last, after what it rests on."""
    told = seen.expected
    if told is None:
        return []
    known = told.evidence
    error = f" (sampled: give or take {told.error_devices:,})" if told.error_devices else ""
    rest = f", of which {known.resting:,} rest" if known.resting else ""
    ends = f"the run in {format_duration(told.run_ms)}" if told.run_ms >= 0 else "the run never ends"
    lines = [
        f"fleet     {known.devices:,} devices, {known.fit:,} fit{error}, {known.now:,} of them there now{rest}",
        *(f"held      {count:,}: {name}" for name, count in known.held.items()),
        f"by hour   {_by_hour(told)}",
        f"pace      a round in {format_duration(max(1_000, known.round_ms))}, {ends}",
        f"moved     {_moved(told.round_down_bytes, told.round_up_bytes)} a round; "
        f"{_moved(told.run_down_bytes, told.run_up_bytes)} the run",
        f"work      {known.leases:,.1f} leases a round for {known.updates:,.1f} updates, "
        f"{told.device_hours:,.1f} device-hours the run",
        f"waste     {told.wasted_leases:,.0f} leases that bring nothing ({known.loss_rate:.1%} of leases are lost), "
        f"{told.wasted_device_hours:,.1f} of the device-hours",
        f"energy    about {told.energy_wh:,.1f} Wh: the device-hours at {known.power_w:.1f} W",
        f"rests on  {_rests_on(told)}",
        *(f"assumed   {each}" for each in known.assumed),
    ]
    return [*lines, f"{'go' if told.go else 'no-go':<9} {told.binds}: {told.why}"]


def _rests_on(told: Outlook) -> str:
    """What pace, work, waste and the answer are taken from."""
    known = told.evidence
    if known.source == "trace":
        return "rounds drawn of a synthetic fleet: no plane was asked, and nothing was simulated"
    if not known.rounds_seen:
        return "the task's own terms: no round of this plan has ended on this plane"
    return f"the fleet as it is now, and the last {known.rounds_seen:,} ended rounds of this plan"


def _moved(down: int, up: int) -> str:
    return " and ".join(
        f"{way} {'not known' if count < 0 else count_of_bytes(count)}" for way, count in (("down", down), ("up", up))
    )


def _by_hour(told: Outlook) -> str:
    """The fewest and the most devices of the day, with their hours, and how many rounds an hour has."""
    known = [
        (there, (told.evidence.hour + place) % 24) for place, there in enumerate(told.evidence.hours) if there >= 0
    ]
    (fewest, low), (most, high) = min(known), max(known)
    rates = sorted(told.rounds_per_hour)
    paced = f"{rates[0]:.1f}" + (f" to {rates[-1]:.1f}" if rates[-1] > rates[0] else "")
    there = f"{fewest:,} devices at {low:02} h to {most:,} at {high:02} h" if most > fewest else f"{most:,} devices"
    return f"{there}; {paced} rounds an hour"
