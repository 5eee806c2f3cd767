"""The table of metrics and the registry made from it."""

import re

import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.effects import CheckinAnswers, Record, Step
from podium.core.selection.reasons import CODE, REASONS
from podium.core.state import State
from podium.server.metrics import SERIES_AT_ONCE_MAX, PlaneMetrics
from podium.server.observe.gauges import starving_ms
from podium.server.observe.table import BY_NAME, METRICS, OTHER, bounded, samples
from podium.server.observe.watch import Watch, facts
from podium.wire.limits import Limits
from podium.wire.problems import Bug, StoreFault
from tests.support.aggregation_rig import rows
from tests.support.scrape import series, value


def test_names_follow_prometheus_practices_and_every_label_is_bounded() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"podium(_[a-z]+)+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert (metric.buckets != ()) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))
        for unit in ("seconds", "bytes"):
            assert (metric.unit == unit) == (unit in metric.name.removesuffix("_total").split("_")), metric.name
        for label, values in metric.labels.items():
            assert label in {
                "route",
                "status",
                "side",
                "code",
                "reason",
                "state",
                "direction",
                "job",
                "key",
                "version",
                "fact",
            }
            assert values and len(set(values)) == len(values)
            assert not set(values) & {"", None}


def test_the_number_of_series_is_known_and_small() -> None:
    every = 0
    for metric in METRICS:
        combined = 1
        for values in metric.labels.values():
            combined *= len(values)
        every += combined * (len(metric.buckets) + 3 if metric.kind == "histogram" else 1)
    assert every < 2_000


def test_what_is_counted_is_scraped() -> None:
    metrics = PlaneMetrics()
    metrics.count("podium_refusals_total", side="device", code="mac-invalid")
    metrics.count("podium_refusals_total", 2, side="device", code="mac-invalid")
    metrics.count("podium_reloads_total")
    metrics.observe("podium_commit_seconds", 0.003)
    metrics.observe("podium_commit_seconds", 7.0)
    metrics.observe("podium_round_duration_seconds", 4.0, state="SEALED")
    found = series(metrics.render().decode())
    assert value(found, "podium_refusals_total", side="device", code="mac-invalid") == 3
    assert value(found, "podium_reloads_total") == 1
    assert value(found, "podium_commit_seconds_bucket", le="0.0025") == 0
    assert value(found, "podium_commit_seconds_bucket", le="0.005") == 1
    assert value(found, "podium_commit_seconds_bucket", le="+Inf") == 2
    assert value(found, "podium_commit_seconds_sum") == pytest.approx(7.003)
    assert value(found, "podium_round_duration_seconds_bucket", le="5.0", state="SEALED") == 1
    assert not [name for name in found if name.endswith("_created")]


def test_small_counters_begin_at_zero_and_large_ones_do_not() -> None:
    found = series(PlaneMetrics().render().decode())
    assert value(found, "podium_rounds_total", state="ABANDONED", reason="cohort-short") == 0
    assert len(found["podium_rounds_total"]) == 24 <= SERIES_AT_ONCE_MAX
    assert len(found["podium_checkins_total"]) == len(REASONS)
    assert "podium_refusals_total" not in found


def test_a_value_outside_its_set_is_other_and_an_unknown_name_is_a_bug() -> None:
    metric = BY_NAME["podium_refusals_total"]
    assert bounded(metric, {"side": "device", "code": "<script>"}) == {"side": "device", "code": OTHER}
    metrics = PlaneMetrics()
    for code in ("made-up", "made-up-too"):
        metrics.count("podium_refusals_total", side="device", code=code)
    assert value(series(metrics.render().decode()), "podium_refusals_total", side="device", code=OTHER) == 2
    with pytest.raises(Bug, match="no counter podium_none_total"):
        metrics.count("podium_none_total")
    with pytest.raises(Bug, match="no histogram podium_reloads_total"):
        metrics.observe("podium_reloads_total", 1.0)
    assert samples(BY_NAME["podium_commit_seconds"])[0] == "podium_commit_seconds_bucket"


def checkin_answers(*reasons: str) -> CheckinAnswers:
    """A batch that got these."""
    count = len(reasons)
    zeros = np.zeros(count, np.int64)
    codes = np.array([CODE[reason] for reason in reasons], np.int16)
    return CheckinAnswers(ticket=zeros, reason=codes, window_ok_ms=zeros, window_else_ms=zeros, offers={}, news={})


def test_claims_that_contradict_are_counted_by_fact() -> None:
    metrics = PlaneMetrics()
    batch = replace(checkin_answers("no-task", "full"), against={"download_mb_s": 2, "latency_ms": 1})
    Watch(metrics).step(Step(number=1, at_ms=0, records=(), sends=(batch,), wake_ms=-1))
    found = series(metrics.render().decode())
    assert value(found, "podium_claims_contradicted_total", fact="download_mb_s") == 2
    assert value(found, "podium_claims_contradicted_total", fact="latency_ms") == 1
    assert value(found, "podium_claims_contradicted_total", fact="upload_mb_s") == 0


def test_check_ins_are_counted_once_per_batch_and_reason() -> None:
    calls: list[tuple[str, int, str]] = []

    class Counted(PlaneMetrics):
        def count(self, name: str, by: int = 1, **labels: str) -> None:
            calls.append((name, by, labels["reason"]))

    batch = checkin_answers(*["no-task"] * 3000, "offered", *["full"] * 2)
    Watch(Counted()).step(Step(number=1, at_ms=0, records=(), sends=(batch,), wake_ms=-1))
    assert sorted(calls) == [
        ("podium_checkins_total", 1, "offered"),
        ("podium_checkins_total", 2, "full"),
        ("podium_checkins_total", 3000, "no-task"),
    ]


def test_the_journal_is_counted_and_heals_after_an_unknown_outcome() -> None:
    watch = Watch(PlaneMetrics())
    watch.begin(10)
    record = Record(at_ms=0, tree="plane", kind="counted", subject="traffic", actor="plane")
    watch.step(Step(number=1, at_ms=0, records=(record, record), sends=(), wake_ms=-1))
    assert watch.journal(10) == (12, 2)
    assert watch.journal(12) == (12, 0)
    watch.failed(StoreFault("store-unknown"))
    assert watch.journal(15) == (15, 0), "three entries were durable after all"


def test_a_line_about_a_record_bears_its_ids_and_its_cause() -> None:
    state = State(rows("sha256:aa11", "key"), Limits())
    lease = next(iter(state.leases.values()), None)
    run = state.runs["r"]
    row = state.rounds["r", 1]
    record = Record(at_ms=0, tree="t", kind="round-abandoned", subject="r.1", actor="plane", why={"reason": "why"})
    told = facts(replace(record, rows=(row, run)), 41)
    assert told == {"cause": 41, "actor": "plane", "run": "r", "round": 1, "state": row.state, "reason": "why"}
    assert lease is None or facts(replace(record, rows=(lease,)), 1)["lease"] == lease.id


def test_a_forming_round_starves_from_its_parent_on_and_a_paused_run_does_not() -> None:
    state = State(rows("sha256:aa11", "key"), Limits())
    row = state.rounds["r", 1]
    window = state.task_of("r").task.round.form_deadline
    state.put(replace(row, state="FORMING", form_deadline_ms=1_000 + window))
    assert starving_ms(state, 61_000) == 60_000
    state.put(replace(row, state="REPORTING", reporting_ms=2_000, leases_made=0))
    assert starving_ms(state, 61_000) == 59_000
    state.put(replace(row, state="REPORTING", reporting_ms=2_000, leases_made=1))
    assert starving_ms(state, 61_000) == 0
    state.put(replace(row, state="FORMING", form_deadline_ms=1_000 + window))
    state.put(replace(state.runs["r"], state="PAUSED"))
    assert starving_ms(state, 61_000) == 0
