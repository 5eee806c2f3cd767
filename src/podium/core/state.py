"""What the core remembers: the durable rows, and what is volatile by design, each in one place.

Decides: nothing. `put` is the only way a row enters, at load and in a step alike, so a reload gives the same state.
Volatile by design (lost with the process, rebuilt by what devices say next): what `Fleet` was told since it was last
kept (fleet/snapshot.py; the shell puts it back beside the rows, and no decision of before depends on it), `OpenRound`'s
nominations, reservations, slices and reasons, `news`, `refusals`, `counted`, `progress` and the deadlines that it
moved; what was learned of arrivals (`arrivals`, `pace`, `quotas`) and of classes of devices; which claims are in doubt
since when (`claims`). What was learned and measured of each device (`learned`, `claims`), what runs know of devices
(`experience`, `losses`) and what these `spent` is made of the lease rows, each as it is put: a load makes it again.
Limits: ended leases are remembered up to `LEASES_REMEMBERED_MAX`; of a store that gave only these, a load knows only
what they tell.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import islice

from podium.core.access.privacy import PrivacyBudget, Unlimited
from podium.core.deadlines import NONE, Deadlines
from podium.core.fleet.claims import Claims
from podium.core.fleet.columns import Fleet
from podium.core.fleet.learned import Ended, Learned
from podium.core.fleet.roster import UNKNOWN, Roster
from podium.core.models.lines import Lines
from podium.core.open_round import OpenRound
from podium.core.pacing.arrivals import Arrivals
from podium.core.pacing.pace import Pace
from podium.core.pacing.windows import PaceView
from podium.core.rounds.buffered import round_of, take_over
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED, ROUND_OPEN
from podium.core.rows import (
    LEASES_REMEMBERED_MAX,
    PAST_HOPE,
    AliasMoveRow,
    AliasRow,
    AnyRow,
    DeviceRow,
    FreezeRow,
    LeaseRow,
    ReleaseRow,
    RoundRow,
    RunRow,
    ServiceRow,
    TaskRow,
    TokenRow,
    VersionRow,
    WebhookRow,
    load_order,
)
from podium.core.selection.budgets import Spent
from podium.core.selection.eligible import Eligibility
from podium.core.selection.experience import Experience, heeds
from podium.core.selection.losses import Losses
from podium.core.selection.quotas import Quotas
from podium.core.selection.strategies.registry import make_strategy
from podium.core.selection.strategies.strategy import Maker, Strategy
from podium.tasks.task import Budgets
from podium.wire.limits import Limits
from podium.wire.operator import RUN_OPEN
from podium.wire.problems import Bug, DeviceFault

ROWS_AT_ONCE = 2_048
"""Device rows that a load holds as rows; put away in columns, they take a tenth of that."""
FREEZE = "plane"
"""The key of the one freeze row."""
_UNBOUNDED = Budgets()
_REPORTED = (*LEASE_STORED, "REFUSED")


class State:
    """All rows by key, their indexes, and the volatile memory."""

    def __init__(
        self,
        rows: Iterable[AnyRow],
        limits: Limits,
        strategies: Mapping[str, Maker] | None = None,
        privacy: PrivacyBudget | None = None,
    ) -> None:
        """`strategies`: the users' own by name; `privacy`: what is left to spend, without one there is no bound."""
        self.limits = limits
        self.privacy = privacy or Unlimited()
        self._own_strategies = strategies or {}
        self._strategies: dict[str, Strategy] = {}
        self.experience: dict[str, Experience] = {}  # by run
        self.spent: dict[str, Spent] = {}  # by task
        self.losses: dict[str, Losses] = {}  # by run
        self.now_ms = 0
        self.never = int(NONE)
        self.tokens: dict[str, TokenRow] = {}
        self.tasks: dict[str, TaskRow] = {}
        self.runs: dict[str, RunRow] = {}
        self.rounds: dict[tuple[str, int], RoundRow] = {}
        self.leases: dict[str, LeaseRow] = {}
        self.versions: dict[str, VersionRow] = {}
        self.lines = Lines()
        self.aliases: dict[str, AliasRow] = {}
        self.alias_moves: dict[str, AliasMoveRow] = {}
        self.releases: dict[str, ReleaseRow] = {}
        self.freezes: dict[str, FreezeRow] = {}
        self.services: dict[str, ServiceRow] = {}
        self.webhooks: dict[str, WebhookRow] = {}
        self.hooks_until: dict[str, int] = {}  # webhook that a service set -> when its credential is over, in ms
        self.open: dict[tuple[str, int], OpenRound] = {}
        self.outcomes: dict[str, Counter[str]] = {}  # run -> how the leases of its ended rounds ended
        self.fleet = Fleet()
        self.devices = Roster(self.fleet)
        self.arrivals = Arrivals()
        self.pace = Pace(limits)
        self.quotas = Quotas(limits)
        self.pace_views: dict[str, PaceView] = {}  # by run of who takes part, as rounds/wants.py made them last
        self.learned = Learned()
        self.claims = Claims()
        self.live_lease: dict[int, str] = {}
        self.lease_deadlines = Deadlines()
        self.eligibilities: dict[str, Eligibility] = {}
        self.progress: dict[str, tuple[int, int]] = {}  # lease -> (steps done, bytes moved)
        self.news: dict[int, str] = {}
        self.refusals: dict[tuple[str, str], int] = {}
        self.counted: dict[str, int] = {}
        self.counted_since_ms = 0
        self._ended: deque[str] = deque()
        others = _enrolled(self.devices, rows)
        # lease -> its device's number: looked up often, by id it takes microseconds
        self._holders = _holders(self.devices, others)
        for row in sorted(others, key=load_order):
            self.put(row)

    def put(self, row: AnyRow) -> None:
        """Let `row` be the present row of its key."""
        match row:
            case LeaseRow():
                self._put_lease(row)
            case RoundRow():
                self._put_round(row)
            case DeviceRow():
                if row.number == len(self.devices):
                    self.pace_views.clear()
                self.devices.put(row)
            case RunRow():
                self.pace_views.clear()
                self._put_run(row)
            case TokenRow():
                self.tokens[row.id] = row
            case TaskRow():
                self.tasks[row.id] = row
            case VersionRow():
                self.versions[row.id] = row
                self.lines.take_version(row, self.tasks[row.task].task.task.name if row.task else "")
            case AliasRow():
                self.aliases[row.id] = row
            case _:
                self._put_act(row)

    def _put_act(self, row: AliasMoveRow | ReleaseRow | FreezeRow | ServiceRow | WebhookRow) -> None:
        """Rows of what people did to the plane as a whole."""
        match row:
            case AliasMoveRow():
                self.alias_moves[row.key()] = row
            case ReleaseRow():
                self.releases[row.id] = row
            case FreezeRow():
                self.pace_views.clear()
                self.freezes[row.id] = row
            case ServiceRow():
                self.services[row.id] = row
            case WebhookRow():
                self._put_webhook(row)

    def _put_webhook(self, row: WebhookRow) -> None:
        self.webhooks[row.id] = row
        self.hooks_until.pop(row.id, None)
        if row.credential and not row.removed and not row.ended:
            self.hooks_until[row.id] = self.services[row.credential].expires_ms

    def _put_run(self, row: RunRow) -> None:
        self.runs[row.id] = row
        if row.state not in RUN_OPEN:
            self.experience.pop(row.id, None)
            self.losses.pop(row.id, None)
        elif row.id not in self.losses:
            self.losses[row.id] = Losses()
            if heeds(self.tasks[row.task].task.select):
                self.experience[row.id] = Experience()
        if row.ended_ms >= 0:
            self.learned.forget(row.id)

    def _put_round(self, row: RoundRow) -> None:
        key = (row.run, row.number)
        before = self.rounds.get(key)
        self.rounds[key] = row
        if before is None or (before.state, before.reporting_ms) != (row.state, row.reporting_ms):
            self.pace_views.clear()
        if before is None or (before.base, before.state) != (row.base, row.state):
            self._put_line(row)
        if row.state in ROUND_OPEN and key not in self.open:
            self.open[key] = OpenRound()
            take_over(self, row)
        elif row.state not in ROUND_OPEN:
            if before is None or before.state in ROUND_OPEN:
                ended = self.outcomes.setdefault(row.run, Counter())
                for name, count in row.outcomes.items():
                    ended[name.partition(":")[0]] += count
            for lease in self.open.pop(key).leases if key in self.open else ():
                self._forget_later(lease)

    def _put_line(self, row: RoundRow) -> None:
        """The round's versions belong to its run and task; a version that it makes may come right after it."""
        for digest in (row.base, row.version):
            if digest in self.versions:
                self.lines.take_named(self.versions[digest], row.run, self.task_of(row.run).task.task.name)
        if row.state == "SEALED" and row.metrics:
            self.lines.take_measured(row)

    def _put_lease(self, row: LeaseRow) -> None:
        before = self.leases.get(row.id)
        self.leases[row.id] = row
        device = self.holder(row)
        if row.state in LEASE_LIVE:
            if self.live_lease.setdefault(device, row.id) != row.id:
                raise Bug(f"device {row.device} holds {self.live_lease[device]} and {row.id}")
            if before is None:
                self.fleet.live[device] = True
        elif self.live_lease.get(device) == row.id:
            del self.live_lease[device]
            self.fleet.live[device] = False
            self.lease_deadlines.drop(row.id)
        if before is None:
            self.fleet.epoch[device] = max(int(self.fleet.epoch[device]), row.epoch)
        _learn(self, device, row, before)
        work = self.open.get(round_of(self, row))
        if work is None:
            if before is None:
                self._forget_later(row.id)
            return
        work.put(device, row, before)

    def _forget_later(self, lease: str) -> None:
        self._ended.append(lease)
        while len(self._ended) > LEASES_REMEMBERED_MAX:
            oldest = self._ended.popleft()
            self.leases.pop(oldest, None)
            self._holders.pop(oldest, None)

    def count(self, name: str, at_ms: int, by: int = 1) -> None:
        """Count quiet traffic; the first count by time starts its minute at its `at_ms`."""
        self.counted_since_ms = min(self.counted_since_ms, at_ms) if self.counted else at_ms
        self.counted[name] = self.counted.get(name, 0) + by

    def frozen(self) -> bool:
        """Whether a person froze the plane: no lease is granted."""
        row = self.freezes.get(FREEZE)
        return row is not None and row.frozen

    def leases_left(self) -> int:
        """How many more leases may be live, over all rounds: `leases_live_max` less those there are."""
        return max(0, self.limits.leases_live_max - len(self.live_lease))

    def task_of(self, run: str) -> TaskRow:
        """The task of a run."""
        return self.tasks[self.runs[run].task]

    def bytes_of(self, version: str) -> int:
        """The size of a version, 0 of one that is not known."""
        return self.versions[version].size_bytes if version in self.versions else 0

    def eligibility_of(self, task: TaskRow) -> Eligibility:
        """What a task asks of devices, compiled; kept while the process lives."""
        if task.id not in self.eligibilities:
            self.eligibilities[task.id] = Eligibility(task.task)
        return self.eligibilities[task.id]

    def strategy_of(self, task: TaskRow) -> Strategy:
        """Who takes part in a task, kept while the process lives; `OperatorFault(task-invalid)` if there is none."""
        if task.id not in self._strategies:
            self._strategies[task.id] = make_strategy(task.task.select, self._own_strategies)
        return self._strategies[task.id]

    def device_number(self, device_id: str) -> int:
        """The column index of a device; `DeviceFault(device-unknown)`."""
        number = self.devices.number(device_id)
        if number == UNKNOWN:
            raise DeviceFault("device-unknown", what=f"device {device_id}")
        return number

    def take_holder(self, lease: LeaseRow, device: int) -> None:
        """`lease`, which is new, is of `device`: nobody need look it up by id."""
        self._holders[lease.id] = device

    def holder(self, lease: LeaseRow) -> int:
        """The number of the device that holds or held `lease`."""
        number = self._holders.get(lease.id)
        if number is None:
            number = self._holders[lease.id] = self.device_number(lease.device)
        return number

    def lease(self, lease_id: str) -> LeaseRow:
        """The present row of a lease; `DeviceFault(lease-unknown)`."""
        row = self.leases.get(lease_id)
        if row is None:
            raise DeviceFault("lease-unknown", what=f"lease {lease_id}")
        return row

    def open_rounds_of(self, run: str) -> list[RoundRow]:
        """The open rounds of a run, oldest first."""
        return [self.rounds[key] for key in sorted(self.open) if key[0] == run]


def _enrolled(devices: Roster, rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Put the devices of `rows`, which need not be held all at once if they come by number; the other rows."""
    others: list[AnyRow] = []
    late: list[DeviceRow] = []
    every = iter(rows)
    while batch := list(islice(every, ROWS_AT_ONCE)):
        found = [row for row in batch if isinstance(row, DeviceRow)]
        if len(found) < len(batch):
            others += [row for row in batch if not isinstance(row, DeviceRow)]
        first = len(devices)
        if [row.number for row in found] == list(range(first, first + len(found))):
            devices.extend(found)
        else:
            late += found
    for row in sorted(late, key=lambda row: row.number):
        devices.put(row)
    return others


def _holders(devices: Roster, rows: Iterable[AnyRow]) -> dict[str, int]:
    """By lease of `rows` the number of its device, all looked up at once; without those of unknown devices."""
    leases = [row for row in rows if isinstance(row, LeaseRow)]
    numbers = devices.numbers([row.device for row in leases])
    return {row.id: number for row, number in zip(leases, numbers, strict=True) if number != UNKNOWN}


def _learn(state: State, device: int, row: LeaseRow, before: LeaseRow | None) -> None:
    """Let whoever heeds it know what a lease's row tells of its device: its run, its task, and the end of a lease all.

    That the plane took a lease back says nothing of its device.
    """
    if row.run in state.experience:
        state.experience[row.run].take(device, row, before)
    task = state.task_of(row.run)
    if task.task.select.budgets != _UNBOUNDED:
        spent = state.spent.setdefault(task.id, Spent())
        spent.take(device, row, before, state.bytes_of(row.base))
    if row.ended_ms >= 0 and row.run in state.losses and (before is None or before.state != row.state):
        state.losses[row.run].take(device, row, int(task.task.round.stall), state.limits.window_max_ms)
    if row.state in LEASE_LIVE or (before is not None and before.state not in LEASE_LIVE):
        return
    reported = row.state in _REPORTED
    if reported or row.state in ("DECLINED", "FAILED", "LAPSED") or row.reason == PAST_HOPE:
        took = row.reported_ms - row.granted_ms if row.reported_ms >= 0 else math.nan
        at_ms, group = row.reported_ms if row.reported_ms >= 0 else row.ended_ms, int(state.fleet.facts_id[device])
        rates = (row.download_mb_s, row.upload_mb_s)
        state.learned.note(row.run, Ended(device, group, not reported, took, rates, at_ms))
        state.claims.learn(device, row)
