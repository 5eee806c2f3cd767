"""Runs of a real plane in a real MLflow server: parameters, metrics by round, versions as models; never twice."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from podium.plane.experiments import Experiments, Exported, safe
from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.mlflow_server import mlflow_server
from tests.support.plane_cases import enrolled, plane, task

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; each uses an experiment of its own."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def test_a_run_is_exported_as_it_goes_and_again_without_doubling(tmp_path: Path, server: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    with plane(tmp_path / "data") as (_, operator), connect_data(tmp_path / "data") as link:
        (device,) = enrolled(operator, 1, site="north")
        run = operator.submit(task(rounds=3))
        assert train(device, offer_to(device), 0).word == "stored"
        waiting = offer_to(device)
        first = Experiments(link, server).export(run)
        assert (first.models, first.over) == (1, False)
        assert client.get_run(first.mlflow_run).info.status == "RUNNING"
        assert train(device, waiting, 1).word == "stored"
        assert train(device, offer_to(device), 2).word == "stored"
        view = ended(operator, run)
        second = Experiments(link, server).export(run)
        assert (second.mlflow_run, second.models, second.over) == (first.mlflow_run, 2, True)
        again = Experiments(link, server).export(run)
        assert again == Exported(mlflow_run=first.mlflow_run, metrics=0, models=0, over=True)

        told = client.get_run(first.mlflow_run)
        assert told.info.status == "FINISHED"
        assert told.data.params["task_digest"] == view.task_digest and told.data.params["purpose"] == "tests"
        assert told.data.params["plan"] == task().task.plan
        accuracy = client.get_metric_history(first.mlflow_run, "accuracy")
        steps = sorted((metric.step, metric.value) for metric in accuracy)
        assert steps == [(0, 0.75), (1, 0.75), (2, 0.75)], "a round measures its base, and no round measured v3"
        by_site = client.get_metric_history(first.mlflow_run, "site/north/accuracy")
        assert sorted(metric.step for metric in by_site) == [0, 1, 2]
        took = client.get_metric_history(first.mlflow_run, "podium/seconds")
        assert sorted(metric.step for metric in took) == [1, 2, 3]
        experiment = client.get_experiment_by_name("one-hot")
        assert experiment is not None and len(client.search_runs([experiment.experiment_id])) == 1
        check_models(link, client, first.mlflow_run, experiment.experiment_id, run)


def test_a_run_that_learnt_what_another_did_has_its_versions_too(tmp_path: Path, server: str) -> None:
    from mlflow import MlflowClient

    with plane(tmp_path / "data") as (_, operator), connect_data(tmp_path / "data") as link:
        (device,) = enrolled(operator, 1)
        for _ in range(2):
            run = operator.submit(task(rounds=2))
            for place in range(2):
                assert train(device, offer_to(device), place).word == "stored"
            ended(operator, run)
        done = Experiments(link, server, "again").export(run)
        assert all(version.run != run for version in link.versions(run))
        assert (done.models, done.over) == (2, True)
        client = MlflowClient(tracking_uri=server)
        outputs = client.get_run(done.mlflow_run).outputs
        assert outputs is not None and sorted(each.step for each in outputs.model_outputs) == [1, 2]
        accuracy = client.get_metric_history(done.mlflow_run, "accuracy")
        assert sorted(metric.step for metric in accuracy) == [0, 1]


def check_models(link: OperatorLink, client: object, known: str, experiment: str, run: str) -> None:
    """Every version of the run is one ready model, with its bytes and its statement."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    assert isinstance(client, MlflowClient)
    models = {model.tags["podium.digest"]: model for model in client.search_logged_models([experiment])}
    versions = [version for version in link.versions(run) if version.run == run]
    assert len(versions) == 3 and models.keys() == {version.digest for version in versions}
    for version in versions:
        model = models[version.digest]
        assert (str(model.status), model.source_run_id) == ("READY", known)
        assert model.tags["podium.parent"] == version.parent and model.tags["podium.number"] == str(version.number)
        folder = Path(download_artifacts(artifact_uri=model.artifact_location, tracking_uri=client.tracking_uri))
        kept = (folder / "model.safetensors").read_bytes()
        assert "sha256:" + hashlib.sha256(kept).hexdigest() == version.digest
        assert (folder / "statement.json").read_bytes() == link.statement(version.digest)
        values = {(metric.key, metric.step, metric.value) for metric in model.metrics or ()}
        seen = {("accuracy", version.number, 0.75), ("site/north/accuracy", version.number, 0.75)}
        assert values == (seen if version.number < 3 else set()), "the newest version is not measured yet"
    outputs = client.get_run(known).outputs
    assert outputs is not None and {each.step for each in outputs.model_outputs} == {1, 2, 3}


class Cut(Exception):
    """The exporter was killed here."""


WRITES = (
    "create_experiment",
    "create_run",
    "log_batch",
    "log_artifacts",
    "create_logged_model",
    "log_model_artifacts",
    "log_outputs",
    "finalize_logged_model",
    "set_terminated",
)


def cut_after_each_write(patch: pytest.MonkeyPatch) -> list[str]:
    """Kill the exporter after the first write of each kind; the names of those writes, as they come."""
    from mlflow import MlflowClient

    cuts: list[str] = []

    def fused(name: str, write: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            result = write(*given, **named)
            if name not in cuts and (name != "log_batch" or "metrics" in named):  # parameters are not cut
                cuts.append(name)
                raise Cut(name)
            return result

        return call

    for name in WRITES:
        patch.setattr(MlflowClient, name, fused(name, getattr(MlflowClient, name)))
    return cuts


def test_an_export_that_was_cut_off_is_gone_on_with(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    with plane(tmp_path / "data") as (_, operator), connect_data(tmp_path / "data") as link:
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        ended(operator, run)
        experiments = Experiments(link, server, "cut off")
        cuts = cut_after_each_write(monkeypatch)
        done = None
        while done is None and len(cuts) < 50:
            with contextlib.suppress(Cut):
                done = experiments.export(run)
        assert done is not None and set(cuts) == set(WRITES)
        assert done.over and (done.metrics, done.models) == (0, 0)
        client = MlflowClient(tracking_uri=server)
        experiment = client.get_experiment_by_name("cut off")
        assert experiment is not None
        assert len(client.search_runs([experiment.experiment_id])) == 1
        (model,) = client.search_logged_models([experiment.experiment_id])
        assert str(model.status) == "READY"
        for name in client.get_run(done.mlflow_run).data.metrics:
            assert len(client.get_metric_history(done.mlflow_run, name)) == 1, name


def test_a_version_whose_bytes_are_gone_is_logged_by_its_statement(tmp_path: Path, server: str) -> None:
    from mlflow import MlflowClient

    with plane(tmp_path / "data") as (serving, operator), connect_data(tmp_path / "data") as link:
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        view = ended(operator, run)
        assert serving.plane is not None
        serving.plane.parts.blobs.delete(view.base)
        done = Experiments(link, server, "collected").export(run)
        client = MlflowClient(tracking_uri=server)
        experiment = client.get_experiment_by_name("collected")
        assert experiment is not None and done.models == 1
        (model,) = client.search_logged_models([experiment.experiment_id])
        names = {each.path for each in client.list_logged_model_artifacts(model.model_id)}
        assert names == {"statement.json", "collected.txt"}


def test_the_verb_exports_and_says_where_it_cannot(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plane(tmp_path / "data") as (_, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        ended(operator, run)
        verb = ("mlflow", "@last", "--experiment", "by verb", "--data", str(tmp_path / "data"))
        done = podium(*verb, "--uri", server, "--follow", "--json")
        assert done.code == 0, done.err
        said = msgspec.json.decode(done.out, type=Exported)
        assert (said.models, said.over) == (1, True)
        assert podium(*verb, "--uri", server).out.strip() == said.mlflow_run
        monkeypatch.setitem(os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        away = podium(*verb, "--uri", "http://127.0.0.1:1")
        assert away.code == 1 and "mlflow-failed" in away.err


def test_names_that_mlflow_does_not_take_are_mended() -> None:
    assert safe("loss/top-5 %[a]") == "loss/top-5 __a_"
