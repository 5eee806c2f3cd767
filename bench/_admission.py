"""What the core takes to answer a check-in, by the size of its batch: eligibility of four clauses, window and reason.

Decides: two moments of a fleet of a million. idle: no run wants anybody; wanted: a round forms, a fifth of the devices
fit its rule of four clauses, and each that fits is weighed for one of a thousand seats. Batches as a gateway makes them
(`LIVE` rows: one check-in within `batch_ms`, and more the more it has to do) and as the simulator does (`SIMULATED`).
Limit: a bare numpy pass over the same columns in batches of the same size: four of them compared, all written.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from bench._rows import Row, valued
from podium.core.draws import uniform
from podium.core.events import CheckedIn, RunSubmitted
from podium.core.fleet.columns import Fleet
from podium.core.fleet.facts import standing_facts
from podium.core.fleet.telemetry import LEVELS, SWITCHES, Telemetry, telemetry
from podium.core.rows import VersionRow
from podium.core.step import Core
from podium.tasks.task import Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities

DEVICES, COHORT = 1_000_000, 1_000
LIVE, SIMULATED = (1, 8, 64, 512), 16_384
LIVE_US, SIMULATED_US = 10.0, 0.8
REPEATS, ROWS, BATCHES_MAX = 5, 65_536, 500
"""So often, in turns with the limit: batches of so many rows together, at most so many."""
BASE, PLAN = "sha256:base", "bench:train"
REQUIRES = "device.ram_mb >= 1024 && 'bench:train' in device.plans"
WHEN = "device.charging && device.battery > 0.6"
HELD = Capabilities(
    os="linux", architecture="arm64", variant="", ram_mb=2048, cores=4, accelerator="", agent="bench",
    runtimes={"numpy": "2.0"}, plans={PLAN: "sha256:plan"}, datasets={},
)  # fmt: skip


def rows() -> Iterator[Row]:
    """Two rows for each size of a batch: microseconds a check-in."""
    for wanted in (False, True):
        moment, core, fleet = "wanted" if wanted else "idle", core_of(wanted), enrolled(Fleet())
        for size in LIVE:
            yield _row(f"admit-live-{moment}-{size}", size, (core, fleet), LIVE_US)
        yield _row(f"admit-sim-{moment}", SIMULATED, (core, fleet), SIMULATED_US)
        assert not wanted or core.state.open["r", 1].nominees > 0, "nobody fitted"


def _row(name: str, size: int, held: tuple[Core, Fleet], target: float) -> Row:
    core, fleet = held
    ours, bare = [], []
    for _ in range(REPEATS):  # in turns, so that both see the same machine
        events = check_ins(size, core.state.now_ms + 1)
        ours.append(_us(core.step, events))
        bare.append(_us(partial(bare_pass, fleet), events))
    limit = ("bare-numpy-pass", statistics.median(bare))
    return valued(("select", name), statistics.median(ours), "us", limit, target)


def _us(take: Callable[[CheckedIn], object], events: Sequence[CheckedIn]) -> float:
    """Processor time a check-in."""
    began = time.process_time()
    for event in events:
        take(event)
    return (time.process_time() - began) * 1e6 / sum(len(event.at) for event in events)


def check_ins(size: int, at_ms: int) -> list[CheckedIn]:
    """Batches of `size` devices each, none twice in one, 2 ms apart; a fifth of the devices fit."""
    made, choices = [], np.random.default_rng(at_ms)
    for number in range(min(BATCHES_MAX, max(1, ROWS // size))):
        devices = np.unique(choices.integers(0, DEVICES, size))
        choices.shuffle(devices)
        count, at = len(devices), at_ms + 2 * number
        levels = {name: choices.random(count, np.float32) for name in LEVELS}
        switches = {name: choices.integers(0, 2, count, np.int8) for name in SWITCHES}
        made.append(
            CheckedIn(
                at_ms=at,
                at=np.full(count, at, np.int64),
                device=devices,
                epoch=np.zeros(count, np.int64),
                ticket=devices,
                telemetry=telemetry(count, levels, switches),
            )
        )
    return made


def bare_pass(fleet: Fleet, event: CheckedIn) -> int:
    """The least that a batch takes: read what decides, compare four columns, write what was told; how many fit."""
    devices, told = event.device, event.telemetry
    known = (fleet.epoch[devices] == event.epoch) & ~fleet.banned[devices] & ~fleet.live[devices]
    fit = known & (fleet.facts_id[devices] >= 0) & (told.charging > 0) & (told.battery > 0.6)
    fleet.seen_ms[devices] = event.at
    for name in Telemetry.__struct_fields__:
        getattr(fleet.telemetry, name)[devices] = getattr(told, name)
    return int(np.count_nonzero(fit))


def core_of(wanted: bool) -> Core:
    """A core with `DEVICES` devices in a session, and if `wanted` a run whose first round forms."""
    core = Core((), step=0, at_ms=0, limits=Limits())
    enrolled(core.state.fleet)
    if wanted:
        submit(core, Select(requires=REQUIRES, when=WHEN, over=1.0))
    return core


def submit(core: Core, select: Select) -> None:
    """Submit run "r", whose first round of a thousand devices forms, to `core`."""
    core.state.put(
        VersionRow(
            id=BASE, number=0, parent="", run="", round=0, task="", made_ms=0, size_bytes=1_000,
            statement="", contributors=0, metrics={},
        )
    )  # fmt: skip
    task = Task(
        task=Head(name="bench", plan=PLAN, purpose="a figure"),
        model=ModelSource(version=BASE),
        select=select,
        round=Round(goal=COHORT, minimum=COHORT),
        run=RunRules(rounds=1),
    )
    core.step(RunSubmitted(at_ms=0, ticket=1, actor="person:bench", run="r", task=task, task_digest="t", base=BASE))


def enrolled(fleet: Fleet) -> Fleet:
    """`fleet` with `DEVICES` devices, each in its first session, of ten sites at random."""
    devices = np.arange(DEVICES, dtype=np.int64)
    fleet._grow(DEVICES)
    fleet.size = DEVICES
    sets = [fleet.facts.hold(standing_facts(HELD, (), f"site-{site}", {}), DEVICES) for site in range(10)]
    of_site = (10 * uniform(1, "site", devices)).astype(np.int64)
    fleet.open_sessions(devices, np.zeros(DEVICES, np.int64), np.array(sets, np.int32)[of_site])
    return fleet
