"""A stored task whose terms a later release takes no longer: said at the start, asked of nobody, never at a check-in.

The later release is this one with its compiler of rules put away for one that refuses a clause.
"""

from pathlib import Path

import pytest

from podium.core.selection import eligible, rules
from podium.server.operators import submission
from podium.tasks.task import Select, Task
from podium.wire.operator import RunView
from podium.wire.problems import OperatorFault
from tests.e2e.cli_made import podium
from tests.e2e.test_stuck import explained, ruled
from tests.support.plane_cases import enrolled, plane

CLAUSE = "device.cores >= 4"


def narrower(task: Task) -> rules.Rules:
    """A compiler that knows the clause no more."""
    if CLAUSE in task.select.requires:
        raise OperatorFault("expression-invalid", what=f"select.requires: {CLAUSE}", why="no such fact")
    return rules.compile_rules(task)


def test_a_plane_with_an_open_run_of_such_a_task_says_so_and_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        enrolled(operator, 2)
        run = operator.submit(ruled(2, Select(requires=CLAUSE)))
    with monkeypatch.context() as later:
        later.setattr(eligible, "compile_rules", narrower)
        with pytest.raises(OperatorFault) as caught, plane(data):
            pass
        assert caught.value.code == "expression-invalid"
        assert caught.value.what.startswith(f"run {run} of one-hot goes on, and its task is refused: select.requires: ")
        assert f"podium stop {run}" in caught.value.next
    with plane(data):
        assert podium("stop", run, "--yes", "--data", data).code == 0
    monkeypatch.setattr(eligible, "compile_rules", narrower)
    monkeypatch.setattr(submission, "compile_rules", narrower)
    with plane(data) as (server, operator):
        assert operator.get(f"/api/v1/runs/{run}", RunView).state == "STOPPED"
        said = podium("retry", run, "--data", data)
        assert said.code == 2 and "expression-invalid" in said.err.splitlines()[0]
        told = explained(server, operator, run)
        assert told.cause == "task-refused" and CLAUSE in told.what and "no such fact" in told.what
        with pytest.raises(AssertionError):
            operator.submit(ruled(2, Select(requires=CLAUSE)))
        devices = enrolled(operator, 1)
        assert devices[0].check_in().reason == "no-task"
