"""A run as MLflow knows runs: parameters, metrics per version, every version as a logged model; a person's side of it.

Decides: what becomes a parameter, a metric, a tag or an artefact, and at which step: a version and what was measured on
it stand at the number of the round that made it, the version that the run began with at 0. What a round measures is its
base, so that is one step before its own; how the round itself went stands at its own number.
Never: anything of the plane, which it only reads.
Everything is found again by its id before it is made, so exporting twice, or going on after being killed, doubles
nothing: the run by its tags, a metric by its step, a logged model by its digest. One exporter of a run at a time.
Limits: a version whose bytes the plane has collected is logged with its digest and statement alone.
Source: MLflow 3's LoggedModel; its client library is the extra `mlflow`.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from podium.plane.link import OperatorLink
from podium.tasks.digest import read_task_bytes
from podium.tasks.task import Task
from podium.wire.extras import how_to_install
from podium.wire.operator import RUN_OPEN, RoundView, RunView, VersionView
from podium.wire.problems import OperatorFault

RUN_TAG = "podium.run"
PLANE_TAG = "podium.plane"
DIGEST_TAG = "podium.digest"
STATES = {"FINISHED": "FINISHED", "STOPPED": "KILLED", "TIMED_OUT": "FAILED", "ABANDONED": "FAILED"}
"""A run's last state -> MLflow's."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What one export added: MLflow's id of the run, metric values, logged models; and whether the run is over."""

    mlflow_run: str
    metrics: int
    models: int
    over: bool


class Experiments:
    """Writes the runs of one plane to one MLflow tracking server."""

    def __init__(self, link: OperatorLink, uri: str, experiment: str = "") -> None:
        """`uri`: an MLflow tracking URI. `experiment`: its name; "" for the name of each run's task.

        `OperatorFault(not-available)` if the client library is not installed.
        """
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise OperatorFault(
                "not-available",
                what="the MLflow client is not installed",
                why=str(error),
                next=how_to_install("mlflow"),
            ) from error
        self._link = link
        self._mlflow = MlflowClient(tracking_uri=uri)
        self._uri = uri
        self._experiment = experiment
        self._plane = link.status().plane_id

    def export(self, run: str) -> Exported:
        """Bring MLflow up to what the plane knows of `run` now.

        `OperatorFault`: run-unknown, id-ambiguous; mlflow-failed when the server does not take it (nothing is lost: do
        it again).
        """
        from mlflow.exceptions import MlflowException

        view = self._link.run(run)
        try:
            return self._export(view)
        except MlflowException as error:
            raise OperatorFault(
                "mlflow-failed", what=f"exporting run {view.id} to {self._uri}", why=str(error)
            ) from error

    def _export(self, view: RunView) -> Exported:
        experiment = self._experiment_id(self._experiment or view.task)
        known = self._run_id(experiment, view)
        rounds = sorted(self._link.rounds(view.id), key=lambda row: row.number)
        steps = steps_of(view, rounds)
        logged = self._logged(experiment, known)
        models = 0
        for version in self._link.versions(view.id):
            if steps.get(version.digest, 0) and version.digest not in logged:
                logged[version.digest] = self._model(experiment, known, view, version, steps[version.digest])
                models += 1
        ended = [row for row in rounds if row.ended_age_ms >= 0]
        added = sum(self._round(known, row, steps, logged.get(row.base)) for row in ended)
        over = view.state not in RUN_OPEN
        if over and self._mlflow.get_run(known).info.status == "RUNNING":
            self._mlflow.set_terminated(known, STATES[view.state])
        return Exported(mlflow_run=known, metrics=added, models=models, over=over)

    def _experiment_id(self, name: str) -> str:
        found = self._mlflow.get_experiment_by_name(name)
        return found.experiment_id if found is not None else self._mlflow.create_experiment(name)

    def _run_id(self, experiment: str, view: RunView) -> str:
        """MLflow's id of the run, made if it is not there; its parameters are told (again: they never change)."""
        from mlflow.entities import Param

        wanted = f"tags.`{RUN_TAG}` = '{view.id}' and tags.`{PLANE_TAG}` = '{self._plane}'"
        found = self._mlflow.search_runs([experiment], wanted, max_results=1)
        if found:
            known = str(found[0].info.run_id)
        else:
            tags = {RUN_TAG: view.id, PLANE_TAG: self._plane, "podium.actor": view.actor}
            began = int(time.time() * 1000) - view.elapsed_ms
            known = str(self._mlflow.create_run(experiment, began, tags, f"{view.task} {view.id}").info.run_id)
        data = self._link.task(view.id)
        told = parameters(view, read_task_bytes(data))
        self._mlflow.log_batch(known, params=[Param(name, value) for name, value in told.items()])
        if not self._mlflow.list_artifacts(known):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "task.json").write_bytes(data)
                self._mlflow.log_artifacts(known, folder)
        return known

    def _round(self, known: str, row: RoundView, steps: dict[str, int], model: str | None) -> int:
        """Log what is not there yet of an ended round: what it measured and how it went; how many values were added.

        `model`: the logged model of its base, which what was measured is of as well; None of one that was brought in.
        """
        from mlflow.entities import Metric

        at = int(time.time() * 1000) - row.ended_age_ms
        told = [Metric(name, value, at, steps[row.base], model) for name, value in measured(row).items()]
        told += [Metric(name, value, at, row.number) for name, value in went(row).items()]
        missing = [metric for metric in told if metric.step not in self._steps(known, metric.key)]
        if missing:
            self._mlflow.log_batch(known, metrics=missing)
        return len(missing)

    def _steps(self, known: str, name: str) -> set[int]:
        return {metric.step for metric in self._mlflow.get_metric_history(known, name)}

    def _logged(self, experiment: str, known: str) -> dict[str, str]:
        """Digest -> MLflow's id of the versions that are logged wholly."""
        found: dict[str, str] = {}
        token: str | None = None
        while True:
            page = self._mlflow.search_logged_models([experiment], f"source_run_id = '{known}'", page_token=token)
            ready = [model for model in page if str(model.status) == "READY"]
            found |= {str(model.tags.get(DIGEST_TAG)): str(model.model_id) for model in ready}
            token = page.token
            if not token:
                return found

    def _model(self, experiment: str, known: str, view: RunView, version: VersionView, step: int) -> str:
        """Log a version at `step`: its bytes and its signed statement as artefacts, its lineage as tags; its id."""
        from mlflow.entities import LoggedModelOutput

        unready = self._mlflow.search_logged_models(
            [experiment], f"source_run_id = '{known}' and tags.`{DIGEST_TAG}` = '{version.digest}'"
        )
        # one that was begun and not finished is gone on with
        model = (
            unready[0]
            if unready
            else self._mlflow.create_logged_model(
                experiment,
                name=f"{safe(view.task).replace('/', '_').replace('.', '_')}-v{version.number}",
                source_run_id=known,
                tags=lineage(version, step),
                model_type="safetensors",
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            self._fetch(Path(folder), version)
            self._mlflow.log_model_artifacts(model.model_id, folder)
        outputs = self._mlflow.get_run(known).outputs
        if outputs is None or model.model_id not in {each.model_id for each in outputs.model_outputs}:
            self._mlflow.log_outputs(known, [LoggedModelOutput(model.model_id, step)])
        self._mlflow.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id)

    def _fetch(self, folder: Path, version: VersionView) -> None:
        (folder / "statement.json").write_bytes(self._link.statement(version.digest))
        try:
            (folder / "model.safetensors").write_bytes(self._link.blob(version.digest))
        except OperatorFault as fault:
            if fault.code != "not-found":
                raise
            (folder / "collected.txt").write_text(f"The plane has collected the bytes of {version.digest}.\n")


def parameters(view: RunView, task: Task) -> dict[str, str]:
    """The parameters of a run: what it was asked, by whom it is known, and its terms' digest."""
    return {
        "task": view.task,
        "task_digest": view.task_digest,
        "kind": view.kind,
        "plan": task.task.plan,
        "purpose": view.purpose,
        "rounds": str(view.rounds),
        "goal": str(task.round.goal),
        "first_version": view.first,
        "retry_of": view.retry_of or "none",
    }


def steps_of(view: RunView, rounds: Sequence[RoundView]) -> dict[str, int]:
    """Version -> its step: the number of the first of the run's `rounds` (in order) that made it, 0 for the first."""
    steps = {view.first: 0}
    for row in rounds:
        if row.version:
            steps.setdefault(row.version, row.number)
    return steps


def measured(row: RoundView) -> dict[str, float]:
    """Metric name -> value on the base of an ended round: pooled, and at each site."""
    told = {safe(name): value for name, value in row.metrics.items()}
    for site, metrics in row.site_metrics.items():
        told |= {f"site/{safe(site)}/{safe(name)}": value for name, value in metrics.items()}
    return told


def went(row: RoundView) -> dict[str, float]:
    """Metric name -> value of how an ended round went."""
    return {
        "podium/seconds": row.took_ms / 1000,
        "podium/accepted": float(row.leases.get("accepted", 0)),
        "podium/lost": float(sum(row.lost.values())),
        "podium/abandoned": float(row.state == "ABANDONED"),
    }


def lineage(version: VersionView, step: int) -> dict[str, str]:
    """The tags of a logged model that round `step` of the exported run made."""
    return {
        DIGEST_TAG: version.digest,
        "podium.number": str(version.number),
        "podium.parent": version.parent,
        "podium.round": str(step),
        "podium.contributors": str(version.contributors),
        "podium.statement": version.statement,
        "podium.task_digest": version.task,
    }


def safe(name: str) -> str:
    """`name` in the characters that MLflow takes in names."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)
