"""What a trace says, from rows alone; that it reaches a server is tested in tests/e2e."""

import pytest
from msgspec.structs import replace

from podium.core.rows import LeaseRow
from podium.core.state import State
from podium.server.observe.traces import Traces, lease_facts, lease_phases, round_facts, round_phases, trace_id
from podium.server.release import VERSION
from podium.wire.limits import Limits
from tests.support.aggregation_rig import rows

LEASE = LeaseRow(
    id="r.1.1",
    run="r",
    round=1,
    device="d0",
    site="north",
    base="sha256:aa11",
    state="ACCEPTED",
    reason="",
    generation=3,
    epoch=1,
    granted_ms=10,
    deadline_ms=99,
    ended_ms=40,
    report="secret-report",
    report_signature="signature",
    upload_bytes=7,
    weight=1.0,
    metrics={"loss": (1.0, 2.0)},
    held_ms=20,
    reported_ms=30,
)


def test_phases_meet_without_gaps() -> None:
    assert [*lease_phases(LEASE, 40)] == [("offered", 10, 20), ("held", 20, 30), ("reported", 30, 40)]
    assert [*lease_phases(replace(LEASE, reported_ms=-1), 35)] == [("offered", 10, 20), ("held", 20, 35)]
    assert [*lease_phases(replace(LEASE, held_ms=-1, reported_ms=-1), 15)] == [("offered", 10, 15)]
    row = replace(State(rows("sha256:aa11", "key"), Limits()).rounds["r", 1], opened_ms=5, reporting_ms=9, ended_ms=50)
    assert [*round_phases(row)] == [("forming", 5, 9), ("reporting", 9, 50)]
    assert [*round_phases(replace(row, reporting_ms=-1))] == [("forming", 5, 50)]
    assert round_facts(row, 12)["podium.cause"] == 12


def test_a_trace_tells_ids_and_no_content() -> None:
    facts = lease_facts(LEASE)
    assert (facts["podium.lease"], facts["podium.device"], facts["podium.site"]) == ("r.1.1", "d0", "north")
    assert not {"secret-report", "signature"} & {str(value) for value in facts.values()}


def test_a_rounds_trace_has_one_id_for_ever() -> None:
    assert trace_id("p1", "r", 1) == trace_id("p1", "r", 1)
    ids = {trace_id(plane, run, number) for plane in ("p1", "p2") for run in ("r", "s") for number in range(1, 50)}
    assert len(ids) == 4 * 49 and all(0 < each < 2**128 for each in ids)
    half = sum(each % 2**64 < 2**63 for each in ids)
    assert 70 < half < 126, "a ratio of one half keeps about half of the rounds"


def test_the_resource_is_podium_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource() -> dict[str, object]:
        traces = Traces(lambda: State([], Limits()), "p1")
        traces.close()
        return {**traces.resource.attributes}

    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert resource() == {"service.name": "podium", "service.version": VERSION, "service.instance.id": "p1"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ward")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    told = resource()
    assert (told["service.name"], told["deployment.environment"]) == ("ward", "test")
