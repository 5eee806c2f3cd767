"""The runs of the bench's directory: the digits example at its ten thousandth round, one of wide rounds, many short.

Decides: how long a run's history is and what each of its rows holds: as many sites, metrics, lost leases and versions
as a run of its kind leaves. The run of the digits is open, and its newest version's bytes are there: devices that have
digits go on with it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from podium.core.rows import AliasMoveRow, AliasRow, AnyRow, LeaseRow, RoundRow, RunRow, TaskRow, VersionRow
from podium.tasks.digest import task_digest
from podium.tasks.file import read_task
from podium.tasks.task import Task
from podium.wire.durations import Duration
from podium.wire.tensors import write_arrays
from podium_examples.digits import init

RUN, WIDE = "digits00001", "wide0000001"
ROUNDS, ROUND_MS = 10_000, 3_000
ACCEPTED, LOST, LEASED_ROUNDS = 40, {"LAPSED:stall": 3, "REFUSED:norm": 1, "SUPERSEDED": 2}, 1_000
"""Of each round of `RUN`; the leases of the last `LEASED_ROUNDS` are there."""
WIDE_ROUNDS, WIDE_LEASES = 100, 1_000
SHORT_RUNS, SHORT_ROUNDS = 200, 10
MOVES = 60
BUSY, BUSY_LEASES = 777, 25
"""The number of a device that has many leases, and how many."""
DIGITS_SITES = 10
HOUR = 3_600_000
BASE = write_arrays(init(42))
"""The newest version's bytes: the open round is prepared from them."""

Kept = Iterator[tuple[str, AnyRow]]
"""The kind of a record, and the row that it carries."""
Sums = dict[str, tuple[float, float]]


def device_id(number: int) -> str:
    """The id of a device."""
    return "d" + hashlib.sha256(b"%d" % number).hexdigest()[:16]


def digits_task() -> Task:
    """The digits example's own task, for as long as the bench lasts."""
    task = read_task(Path(__file__).resolve().parents[1] / "examples" / "digits" / "task.toml")
    terms = msgspec.structs.replace(task.run, rounds=2 * ROUNDS, deadline=Duration(1_000 * HOUR))
    return msgspec.structs.replace(task, run=terms)


def runs(at_ms: int, devices: int, sites: int) -> Kept:
    """Every row of every run: at_ms is now, on the plane's clock; leases go to the first `devices` devices."""
    yield from _short_runs(at_ms)
    yield from _wide_run(at_ms, devices, sites)
    yield from _digits_run(at_ms, devices)


def _named(name: str) -> tuple[str, TaskRow]:
    task = digits_task()
    task = msgspec.structs.replace(task, task=msgspec.structs.replace(task.task, name=name))
    return task_digest(task), TaskRow(id=task_digest(task), task=task)


def _version(run: str, number: int) -> str:
    newest = run == RUN and number == ROUNDS - 1
    return "sha256:" + hashlib.sha256(BASE if newest else f"{run} {number}".encode()).hexdigest()


def _sums(share: float) -> Sums:
    """What a run measures by the time that `share` of its rounds are over."""
    return {"accuracy": (160 * (0.1 + 0.8 * share), 160.0), "loss": (160 * (2.3 - 1.8 * share), 160.0)}


def _of_sites(share: float, count: int) -> dict[str, Sums]:
    return {f"site-{site:03d}": _sums(share * (0.9 + site / (10 * count))) for site in range(count)}


def _version_row(run: str, task: str, number: int, at_ms: int) -> VersionRow:
    return VersionRow(
        id=_version(run, number),
        number=number,
        parent=_version(run, number - 1) if number else "",
        run=run if number else "",
        round=number,
        task=task,
        made_ms=at_ms,
        size_bytes=len(BASE),
        statement=_version(run, number),
        contributors=ACCEPTED if number else 0,
        metrics={},
    )


def _run_row(id: str, task: str, started_ms: int, ended_ms: int, sealed: int, metrics: Sums) -> RunRow:
    is_open = ended_ms < 0
    return RunRow(
        id=id,
        task=task,
        state="RUNNING" if is_open else "FINISHED",
        reason="",
        actor="person:administrator",
        started_ms=started_ms,
        deadline_ms=started_ms + 1_000 * HOUR,
        ended_ms=ended_ms,
        base=_version(id, sealed),
        first=_version(id, 0),
        rounds_sealed=sealed,
        rounds_opened=sealed + is_open,
        abandoned_in_row=0,
        loss_rate=0.1,
        metrics=metrics,
        bytes_down=sealed * ACCEPTED * len(BASE),
        bytes_up=sealed * ACCEPTED * len(BASE),
    )


def _round_row(run: str, number: int, opened_ms: int, sums: Sums, by_site: dict[str, Sums]) -> RoundRow:
    """A sealed round; every fifth lost nothing."""
    outcomes = {"ACCEPTED": ACCEPTED if run != WIDE else WIDE_LEASES - sum(LOST.values()), **LOST}
    return RoundRow(
        run=run,
        number=number,
        state="SEALED",
        reason="",
        base=_version(run, number - 1),
        manifest=_version(run, number),
        key_id=_version(run, number)[7:23],
        opened_ms=opened_ms,
        form_deadline_ms=opened_ms + HOUR,
        reporting_ms=opened_ms + ROUND_MS // 3,
        report_deadline_ms=opened_ms + HOUR,
        ended_ms=opened_ms + ROUND_MS,
        leases_made=sum(outcomes.values()),
        outcomes=outcomes,
        version=_version(run, number),
        metrics=sums,
        site_metrics=by_site,
    )


def _short_runs(at_ms: int) -> Kept:
    digest, task = _named("trial")
    yield "task-kept", task
    for place in range(SHORT_RUNS):
        id, began = f"trial{place:06d}", at_ms - 48 * HOUR + place * 60_000
        yield "version-made", _version_row(id, digest, 0, began)
        for number in range(1, SHORT_ROUNDS + 1):
            share, opened = number / SHORT_ROUNDS, began + number * ROUND_MS
            yield "version-made", _version_row(id, digest, number, opened)
            yield "round-sealed", _round_row(id, number, opened, _sums(share), _of_sites(share, DIGITS_SITES))
        ended = began + (SHORT_ROUNDS + 1) * ROUND_MS
        yield "run-finished", _run_row(id, digest, began, ended, SHORT_ROUNDS, _sums(1.0))


def _wide_run(at_ms: int, devices: int, sites: int) -> Kept:
    """A run of a thousand leases and of every site in each round."""
    digest, task = _named("wide")
    began = at_ms - 24 * HOUR
    yield "task-kept", task
    yield "version-made", _version_row(WIDE, digest, 0, began)
    for number in range(1, WIDE_ROUNDS + 1):
        share, opened = number / WIDE_ROUNDS, began + number * ROUND_MS
        yield "version-made", _version_row(WIDE, digest, number, opened)
        round_row = _round_row(WIDE, number, opened, _sums(share), _of_sites(share, sites))
        yield "round-sealed", round_row
        yield from _leases(round_row, devices, sites)
    ended = began + (WIDE_ROUNDS + 1) * ROUND_MS
    yield "run-finished", _run_row(WIDE, digest, began, ended, WIDE_ROUNDS, _sums(1.0))


def _digits_run(at_ms: int, devices: int) -> Kept:
    digest, task = _named("digits")
    began = at_ms - ROUNDS * ROUND_MS
    yield "task-kept", task
    yield "version-made", _version_row(RUN, digest, 0, began)
    for number in range(1, ROUNDS):
        share, opened = number / ROUNDS, began + number * ROUND_MS
        yield "version-made", _version_row(RUN, digest, number, opened)
        round_row = _round_row(RUN, number, opened, _sums(share), _of_sites(share, DIGITS_SITES))
        yield "round-sealed", round_row
        if number >= ROUNDS - LEASED_ROUNDS:
            yield from _leases(round_row, devices, DIGITS_SITES)
    yield "run-submitted", _run_row(RUN, digest, began, -1, ROUNDS - 1, _sums(1.0))
    yield "round-opened", _open_round(at_ms)
    yield from _aliases(at_ms)


def _open_round(at_ms: int) -> RoundRow:
    return RoundRow(
        run=RUN,
        number=ROUNDS,
        state="FORMING",
        reason="",
        base=_version(RUN, ROUNDS - 1),
        manifest="",
        key_id="",
        opened_ms=at_ms - 1_000,
        form_deadline_ms=at_ms + HOUR,
        reporting_ms=-1,
        report_deadline_ms=-1,
        ended_ms=-1,
        leases_made=0,
        outcomes={},
        version="",
        metrics={},
        site_metrics={},
    )


def _aliases(at_ms: int) -> Kept:
    """`latest`, which follows the run, and three that people moved often."""
    newest = _version(RUN, ROUNDS - 1)
    yield "alias-moved", _alias("digits@latest", newest, ROUNDS - 1, at_ms)
    for place, name in enumerate(("candidate", "canary", "production")):
        alias, before = f"digits@{name}", ""
        for counter in range(1, MOVES + 1):
            version = _version(RUN, (ROUNDS - 200 + 3 * counter - place) % ROUNDS)
            move = AliasMoveRow(
                alias=alias,
                counter=counter,
                version=version,
                before=before,
                actor="person:administrator",
                why="measured better",
                at_ms=at_ms - HOUR + counter,
            )
            yield "alias-moved", move
            before = version
        yield "alias-moved", _alias(alias, before, MOVES, at_ms)


def _alias(id: str, version: str, counter: int, at_ms: int) -> AliasRow:
    return AliasRow(id=id, version=version, counter=counter, actor="person:administrator", why="", at_ms=at_ms)


def _leases(of: RoundRow, devices: int, sites: int) -> Kept:
    """The leases of a sealed round, as its outcomes count them."""
    busy = of.run == RUN and of.number >= ROUNDS - BUSY_LEASES
    ends = [(name, place) for name, count in of.outcomes.items() for place in range(count)]
    for place, (outcome, _) in enumerate(ends):
        state, _, reason = outcome.partition(":")
        holder = (of.number * 1_000 + place) * 7_919 % devices
        granted, stored = of.reporting_ms + place, state in ("ACCEPTED", "REFUSED", "SUPERSEDED")
        yield (
            f"lease-{state.lower()}",
            LeaseRow(
                id=f"{of.run}.{of.number}.{place + 1}",
                run=of.run,
                round=of.number,
                device=device_id(BUSY if busy and not place else holder),
                site=f"site-{holder % sites:03d}",
                base=of.base,
                state=state,
                reason=reason,
                generation=4,
                epoch=1,
                granted_ms=granted,
                held_ms=granted + 20,
                reported_ms=granted + 500 + place if stored else -1,
                deadline_ms=granted + HOUR,
                ended_ms=of.ended_ms,
                report="e30" * 140 if stored else "",
                report_signature="x" * 86 if stored else "",
                upload_bytes=len(BASE) if stored else 0,
                weight=14.0,
                metrics=_sums(0.5) if stored else {},
                norm=1.0 + place / 100 if stored else -1.0,
            ),
        )
