"""Rounds of a real plane as OpenTelemetry traces in a real server that speaks OTLP: MLflow's; asked for them again."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from podium.server.main import PlaneServer
from podium.server.observe.traces import trace_id
from podium.wire import messages as m
from podium.wire.asks import StopAsk
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.mlflow_server import mlflow_server
from tests.support.plane_cases import FAST, Operator, administrator, enrolled, task

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Span, Trace

pytestmark = pytest.mark.long

Collect = Callable[[str, dict[str, str]], "list[Trace]"]
"""A name for the experiment and OTEL_* settings -> the traces of one traced plane's life."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["MlflowClient"]:
    """One server for all tests."""
    from mlflow import MlflowClient

    with mlflow_server(tmp_path_factory.mktemp("traces")) as url:
        yield MlflowClient(tracking_uri=url)


@pytest.fixture
def collect(tmp_path: Path, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch) -> Collect:
    """Live through three rounds and a stopped one, traced into an experiment of its own."""

    def collected(name: str, settings: dict[str, str]) -> "list[Trace]":
        experiment = client.create_experiment(name)
        asked = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": client.tracking_uri,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-mlflow-experiment-id={experiment}",
            **settings,
        }
        for variable in [variable for variable in os.environ if variable.startswith("OTEL_")]:
            monkeypatch.delenv(variable)
        for variable, text in asked.items():
            monkeypatch.setenv(variable, text)
        server = PlaneServer(tmp_path / name, limits=FAST)
        server.traced = True
        with server:
            live(administrator(server))
        return list(client.search_traces(locations=[experiment], max_results=100))

    return collected


def live(operator: Operator) -> None:
    """A run of three sealed rounds, in the first of which a device fails; then one that is stopped while it forms."""
    devices = enrolled(operator, 2)
    run = operator.submit(task(rounds=3))
    devices[0].lease(offer_to(devices[0]).lease, "decline", m.Decline(reason="busy"))
    for place in range(3):
        assert train(devices[1], offer_to(devices[1]), place).word == "stored"
    ended(operator, run)
    stopped = operator.submit(task(goal=2, rounds=1))
    operator.ask("POST", f"/api/v1/runs/{stopped}/stop", StopAsk())


def test_a_round_is_one_trace_with_a_span_per_lease_and_phase(collect: Collect) -> None:
    traces = collect("whole", {})
    by_round = {(told(root, "state"), told(root, "round")): trace for trace in traces for root in spans(trace, "round")}
    assert by_round.keys() == {("SEALED", "1"), ("SEALED", "2"), ("SEALED", "3"), ("ABANDONED", "1")}
    first = by_round["SEALED", "1"]
    (root,) = spans(first, "round")
    plane, run = root.attributes["podium.plane"], told(root, "run")
    assert first.info.trace_id == f"tr-{trace_id(str(plane), run, 1):032x}"
    declined, accepted = sorted(spans(first, "lease"), key=lambda span: told(span, "lease"))
    assert (told(declined, "state"), told(declined, "reason")) == ("DECLINED", "busy")
    assert (told(accepted, "state"), told(accepted, "lease")) == ("ACCEPTED", f"{run}.1.2")
    assert names_below(first, declined) == ["offered"]
    assert names_below(first, accepted) == ["offered", "held", "reported"]
    assert names_below(first, root) == ["forming", "reporting", "lease", "lease"]
    for span in first.data.spans:
        assert root.start_time_ns <= span.start_time_ns <= (span.end_time_ns or 0) <= (root.end_time_ns or 0)
    (fallen,) = spans(by_round["ABANDONED", "1"], "round")
    assert (fallen.status.status_code.value, fallen.status.description) == ("ERROR", "run-stopped")


def test_the_standard_variables_sample_by_round_and_switch_off(collect: Collect) -> None:
    ratio = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    traces = collect("half", ratio)
    bound = 2**63
    kept = {trace.info.trace_id for trace in traces}
    assert all(int(name.removeprefix("tr-"), 16) % 2**64 < bound for name in kept), "the draw is by the round's id"
    assert len(kept) == len(traces) <= 4
    assert collect("none", {"OTEL_TRACES_SAMPLER": "always_off"}) == []


def spans(trace: "Trace", name: str) -> "list[Span]":
    """The spans of that name."""
    return [span for span in trace.data.spans if span.name == name]


def told(span: "Span", name: str) -> str:
    """One of Podium's attributes, as text."""
    return str(span.attributes[f"podium.{name}"])


def names_below(trace: "Trace", parent: "Span") -> list[str]:
    """The names of its children, in order of their beginning."""
    below = [span for span in trace.data.spans if span.parent_id == parent.span_id]
    order = ("forming", "reporting", "lease", "offered", "held", "reported")
    return [span.name for span in sorted(below, key=lambda span: (order.index(span.name), span.start_time_ns))]
