"""podium mlflow: a run with its metrics and versions in an MLflow tracking server.

Decides: what is printed, and when to look again. Never: what is written there (podium.plane.experiments).
"""

import contextlib
import sys
from typing import Annotated

import typer

from podium.cli.completing import RunName
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import note, say, say_json

Uri = Annotated[str, typer.Option("--uri", metavar="URI", help="MLflow's tracking URI, such as http://127.0.0.1:5000.")]


@at_plane
def mlflow(
    where: Where,
    run: RunName,
    uri: Uri,
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="MLflow's experiment; the task's name without it.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run is over.")] = False,
    json: Json = False,
) -> None:
    """Export a run to MLflow: parameters, versions as logged models, and what was measured on each at its step.

    Again: nothing is doubled. The step of a version is the number of the round that made it, 0 of the first.
    """
    from podium.plane.experiments import Experiments
    from podium.plane.runs import Run, RunMoved

    # the client says on stdout where its pages are; stdout is data here
    with where.link() as link, contextlib.redirect_stdout(sys.stderr):
        known = link.run(run).id
        experiments = Experiments(link, uri, experiment)
        done = experiments.export(known)
        for event in Run(link, known).watch() if follow and not done.over else ():
            if not isinstance(event, RunMoved):
                done = experiments.export(known)
                note(f"run {known}: {done.metrics} more metric values, {done.models} more models")
    if json:
        say_json(done)
    else:
        say(done.mlflow_run)
