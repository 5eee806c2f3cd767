"""How a simulated world begins: its setting, its fleet, and what a plane knows and hears first.

Decides: which devices there are, enrolled by a token or known already, and the run that they are to serve. Never: what
follows (world.py).
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from podium.core.events import AnyEvent, EnrolAsked, RunSubmitted, TokenIssued, VersionImported
from podium.core.rows import DeviceRow
from podium.sim.crowd import Crowd
from podium.sim.devices import Devices
from podium.sim.faults import Faults
from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.trace_files import read_availability, read_capacity
from podium.sim.traces import TRACES, availability_of
from podium.tasks.task import Task
from podium.wire.limits import Limits

RUN = "sim"
EXAMPLES_MAX = 10_000
TOKEN_MS = 365 * 86_400_000


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is like besides its task. `window_ms`: how much virtual time one batch of each kind holds.

    `until_ms`: a run that still goes on then is left so; 0: it goes on to its end. `model_bytes`: of a version.
    `labels`: what devices were enrolled with, by turns (unchecked worlds). `checked`: compare everything with what was
    promised; `trace`: when devices are there (sim/traces.py); `capacity`: a file of what they are. `rivals`: tasks on
    the same plan and data that compete for the same devices, as runs `RUN`-1, `RUN`-2 and so on. `gateways`: at how
    many they check in.
    """

    devices: int
    seed: int
    faults: frozenset[str] = frozenset()
    window_ms: int = 500
    trace: str = "flat"
    until_ms: int = 0
    model_bytes: int = 400_000
    labels: tuple[dict[str, str], ...] = ({},)
    checked: bool = True
    capacity: Path | None = None
    gateways: int = 1
    terms: FleetTerms = FleetTerms()
    rivals: tuple[Task, ...] = ()


def synthetic(task: Task, setting: Setting, limits: Limits, chance: random.Random, faults: Faults) -> Devices:
    """The devices of a world: their fleet after its terms, and what a lease of `task` asks of them."""
    names = () if setting.trace in TRACES else read_availability(Path(setting.trace)).names
    capacity = None if setting.capacity is None else read_capacity(setting.capacity, names)
    fleet = SimFleet(setting.devices, setting.terms, setting.seed, capacity)
    there = availability_of(setting.trace, fleet, setting.seed)
    load = Workload(
        download_bytes=setting.model_bytes,
        upload_bytes=0 if task.task.kind == "evaluate" else setting.model_bytes,
        epochs=int(task.local.get("epochs", 1)),
        examples_max=EXAMPLES_MAX,
    )
    crowd = Crowd(setting.devices, there, limits.session_ms, setting.seed)
    return Devices(task, fleet, crowd, load, chance, faults)


def enrolled(count: int, labels: Sequence[dict[str, str]]) -> Iterator[DeviceRow]:
    """The rows of `count` devices that a plane knows already, with `labels` by turns."""
    for number in range(count):
        yield DeviceRow(
            id=f"d{number}",
            number=number,
            name="",
            population="default",
            site="",
            labels=labels[number % len(labels)],
            public_key=f"p{number}",
            enrolled_ms=0,
            participated_ms=-1,
            state="active",
        )


def beginning(task: Task, count: int, rivals: Sequence[Task] = ()) -> Iterator[AnyEvent]:
    """A token, `count` devices enrolled by it, the first version, the run, and one of each of `rivals`."""
    person = "person:administrator"
    yield TokenIssued(
        at_ms=0,
        ticket=-1,
        actor=person,
        token_hash="t",
        population="default",
        site="",
        name="",
        labels={},
        uses=max(1, count),
        expires_ms=TOKEN_MS,
    )
    for number in range(count):
        name = f"d{number}"
        yield EnrolAsked(
            at_ms=0,
            ticket=-1,
            token_hash="t",
            device_id=name,
            public_key=f"p{number}",
            population="default",
            name="",
        )
    yield VersionImported(at_ms=0, actor=person, digest="sha256:0", size_bytes=0, statement="")
    for place, each in enumerate((task, *rivals)):
        run = f"{RUN}-{place}" if place else RUN
        digest = f"sha256:task-{place}" if place else "sha256:task"
        yield RunSubmitted(at_ms=0, ticket=-1, actor=person, run=run, task=each, task_digest=digest, base="sha256:0")
