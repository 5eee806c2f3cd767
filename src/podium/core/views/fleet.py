"""What a person may see of devices: list rows, and one device whole.

Decides: what counts as online. Never: what a device keeps to itself. Reads only.
"""

import math

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import NEVER
from podium.core.fleet.facts import DATASETS, NOT_TOLD, Fact, momentary_facts
from podium.core.rounds.runs import PRIOR_LOSS
from podium.core.rows import DeviceRow, LeaseRow
from podium.core.state import State
from podium.core.views.runs import ONLINE_MS, finalised
from podium.core.views.shapes import shape_of
from podium.wire.operator import DeviceDetail, DeviceView, LeaseView


def device_view(state: State, row: DeviceRow, now_ms: int) -> DeviceView:
    """A device as the fleet list shows it."""
    seen = int(state.fleet.seen_ms[row.number])
    return DeviceView(
        id=row.id,
        name=row.name,
        population=row.population,
        site=row.site,
        labels=row.labels,
        state=row.state,
        online=seen != NEVER and seen >= now_ms - ONLINE_MS,
        seen_ms=now_ms - seen if seen != NEVER else -1,
        lease=state.live_lease.get(row.number, ""),
        failure=row.failure,
        failure_detail=row.failure_detail,
        enrolled_age_ms=now_ms - row.enrolled_ms,
    )


def lease_view(row: LeaseRow, now_ms: int) -> LeaseView:
    """A lease as lists show it."""
    return LeaseView(
        id=row.id,
        run=row.run,
        round=row.round,
        device=row.device,
        site=row.site,
        state=row.state,
        reason=row.reason,
        granted_age_ms=_age(row.granted_ms, now_ms),
        held_age_ms=_age(row.held_ms, now_ms),
        reported_age_ms=_age(row.reported_ms, now_ms),
        ended_age_ms=_age(row.ended_ms, now_ms),
        upload_bytes=row.upload_bytes,
        weight=row.weight,
        norm=row.norm,
        metrics=finalised(row.metrics),
        shape=shape_of(row.state, row.reason),
        staleness=row.staleness,
    )


def device_detail(state: State, row: DeviceRow, leases: list[LeaseRow], now_ms: int) -> DeviceDetail:
    """One device with its facts; `leases`: its last ones, newest first."""
    facts, now = state.fleet.facts_of(row.number), momentary_facts(state.fleet.telemetry, row.number)
    learned = state.learned.reliability()
    number, group = np.array([row.number]), state.fleet.facts_id[[row.number]].astype(np.int64)
    usual = float(learned.duration_ms(number, group)[0])
    return DeviceDetail(
        device=device_view(state, row, now_ms),
        enrolled_age_ms=now_ms - row.enrolled_ms,
        participated_age_ms=_age(row.participated_ms, now_ms),
        facts={name: _told(name, value) for name, value in sorted(facts.items())},
        leases=[lease_view(lease, now_ms) for lease in leases],
        momentary={name: _told(name, value) for name, value in sorted(now.items())},
        momentary_age_ms=_age(int(state.fleet.seen_ms[row.number]), now_ms) if now else -1,
        loss_rate=round(float(learned.loss_rate(number, group, PRIOR_LOSS)[0]), 4),
        usual_ms=-1.0 if math.isnan(usual) else round(usual, 1),
    )


def online(state: State, now_ms: int) -> int:
    """How many devices were heard within `ONLINE_MS`."""
    return int(np.count_nonzero(online_devices(state, now_ms)))


def online_devices(state: State, now_ms: int) -> NDArray[np.bool_]:
    """By device number: whether it was heard within `ONLINE_MS`."""
    seen = state.fleet.seen_ms[: state.fleet.size]
    heard: NDArray[np.bool_] = (seen >= now_ms - ONLINE_MS) & (seen != NEVER)
    return heard


def _age(at_ms: int, now_ms: int) -> int:
    return now_ms - at_ms if at_ms >= 0 else -1


def _told(name: str, value: Fact) -> str:
    """A fact as text; of a table "name=value" each. A device that keeps to itself how many examples it has tells 0."""
    if isinstance(value, dict):
        kept = name == DATASETS
        return ", ".join(f"{key}={NOT_TOLD if kept and not each else each}" for key, each in sorted(value.items()))
    if isinstance(value, float):
        return f"{value:.4g}"  # a column's float32
    return str(value).lower() if isinstance(value, bool) else str(value)
