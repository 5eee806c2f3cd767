"""A task written in Python is the task of a file; what it is submitted with; the lazy names of the package."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

import podium
from podium.plane.runs import first_model, moved_mark, run_ask
from podium.tasks.digest import read_task_bytes, task_digest
from podium.tasks.file import parse_task
from podium.tasks.task import ModelSource
from podium.wire.canonical import sha256_digest, unb64
from podium.wire.problems import OperatorFault
from podium.wire.tensors import read_arrays, write_arrays
from tests.unit.cli.test_cli_screen import RUN

IN_A_FILE = """
[task]
name = "heart"
plan = "podium_examples.hospital:train"
purpose = "a test"
[model]
init = "podium_examples.hospital:init"
[data]
datasets = ["heart"]
[select]
requires = "device.ram_mb >= 16"
when = "device.charging"
over = 1.5
separation = "24h"
[round]
concurrency = 6
goal = 4
minimum = 3
form_deadline = "10m"
report_deadline = "5m"
stall = "20s"
[local]
lr = 0.1
[aggregate]
norm_max = 10.0
[run]
rounds = 3
target = { metric = "accuracy", at_least = 0.9 }
deadline = "1h"
seed = 7
"""


def in_python(**changed: object) -> podium.Task:
    task = podium.Task(
        "heart",
        model=podium.Model(init="podium_examples.hospital:init"),
        plan="podium_examples.hospital:train",
        purpose="a test",
        datasets=("heart",),
        select=podium.Select(
            requires="device.ram_mb >= 16", when="device.charging", cohort=6, over=1.5, separation="24h"
        ),
        round=podium.Round(goal=4, minimum=3, deadline="5m", stall="20s"),
        aggregate=podium.FedAvg(norm_max=10.0),
        local={"lr": 0.1},
        rounds=3,
        target=("accuracy", 0.9),
        deadline="1h",
        seed=7,
    )
    return msgspec.structs.replace(task, **changed)


def test_the_same_task_in_python_and_in_a_file_has_the_same_digest() -> None:
    assert task_digest(in_python().whole()) == task_digest(parse_task(IN_A_FILE, "a file"))


def test_durations_may_be_text_or_ms() -> None:
    assert in_python(deadline=3_600_000).whole() == in_python().whole()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"deadline": "soon"}, "deadline"),
        ({"round": podium.Round(deadline="5 minutes")}, "round.deadline"),
        ({"select": podium.Select(over="twice")}, "select.over"),
        ({"kind": "analytics"}, "kind"),
    ],
)
def test_a_term_that_does_not_hold_is_named(changed: dict[str, object], named: str) -> None:
    with pytest.raises(OperatorFault) as refused:
        in_python(**changed).whole()
    assert refused.value.code == "task-invalid"
    assert refused.value.what.startswith(named)


def test_a_model_of_arrays_is_the_version_of_its_bytes() -> None:
    model = podium.Model.from_arrays({"w": np.arange(3, dtype=np.float32)})
    assert in_python(model=model).whole().model == ModelSource(version=sha256_digest(model.data))
    assert read_arrays(model.data)["w"].tolist() == [0.0, 1.0, 2.0]


def test_an_ask_holds_the_canonical_task_and_its_first_model() -> None:
    terms = parse_task(IN_A_FILE, "a file")
    ask = run_ask(terms, Path())
    sent = read_task_bytes(bytes(ask.task))
    # an installed plan is pinned; that of a source tree cannot be
    pinned = msgspec.structs.replace(sent.task, plan_digests=terms.task.plan_digests)
    assert msgspec.structs.replace(sent, task=pinned) == terms
    assert sorted(read_arrays(unb64(ask.model))) == ["bias", "weight"]
    assert ask.base == ""


def test_a_model_file_lies_beside_the_task(tmp_path: Path) -> None:
    data = write_arrays({"w": np.ones(2, np.float32)})
    (tmp_path / "model.safetensors").write_bytes(data)
    terms = msgspec.structs.replace(parse_task(IN_A_FILE, "a file"), model=ModelSource(file="model.safetensors"))
    assert first_model(terms, tmp_path) == data
    (tmp_path / "model.safetensors").write_bytes(data[:-1])
    for folder in (tmp_path, tmp_path / "elsewhere"):
        with pytest.raises(OperatorFault) as refused:
            first_model(terms, folder)
        assert refused.value.code == "file-unreadable"


def test_a_version_of_the_plane_needs_no_bytes_and_a_bad_init_is_refused() -> None:
    terms = parse_task(IN_A_FILE, "a file")
    version = ModelSource(version="sha256:" + "0" * 64)
    assert first_model(msgspec.structs.replace(terms, model=version), Path()) == b""
    assert run_ask(msgspec.structs.replace(terms, model=version), Path()).base == version.version
    for init, code in (("podium_examples.hospital:absent", "plan-missing"), ("builtins:len", "task-invalid")):
        with pytest.raises(OperatorFault) as refused:
            first_model(msgspec.structs.replace(terms, model=ModelSource(init=init)), Path())
        assert refused.value.code == code


def test_a_run_moves_when_its_counts_do_not_when_time_does() -> None:
    assert moved_mark(msgspec.structs.replace(RUN, elapsed_ms=1)) == moved_mark(RUN)
    assert moved_mark(msgspec.structs.replace(RUN, rounds_sealed=12)) != moved_mark(RUN)
    assert moved_mark(msgspec.structs.replace(RUN, round=None)) != moved_mark(RUN)


def test_every_name_of_the_package_is_there_and_nothing_else() -> None:
    for name in podium.__all__:
        assert getattr(podium, name) is not None
    with pytest.raises(AttributeError):
        _ = podium.absent


def test_the_command_line_loads_neither_plane_nor_device() -> None:
    code = "import sys, podium, podium.cli.main; print(*sorted(m for m in sys.modules if m.startswith('podium')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = ("podium.server", "podium.core", "podium.device", "podium.plane", "podium.sim", "podium.adapters")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_a_simulation_from_python_is_the_same_on_every_run() -> None:
    task = in_python(select=podium.Select(), round=podium.Round(goal=4, minimum=3))
    first = podium.simulate(task, devices=20, seed=3, faults="lapse,duplicate")
    assert (first.state, first.rounds_sealed) == ("FINISHED", 3)
    assert podium.simulate(task, devices=20, seed=3, faults="lapse,duplicate").digest == first.digest
    with pytest.raises(OperatorFault):
        podium.simulate(task, devices=20, faults="gremlins")
