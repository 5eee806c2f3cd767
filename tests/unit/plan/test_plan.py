"""Plans by name: what is found, what is told when not, and which bytes the digest covers."""

import csv
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.device.plan import (
    Plan,
    PlanConfig,
    Progress,
    Result,
    distribution_digest,
    granted,
    load_data,
    load_init,
    load_plan,
    source_digest,
)
from podium.wire.problems import OperatorFault

PLAN = '''
"""A plan."""
from podium.device.plan import Progress, Result

def train(model, data, config):
    yield Progress(0, 1)
    yield Result(weights=dict(model), weight=1.0, metrics={"loss": (0.5, 1.0)})

def init(seed):
    import numpy
    return {"w": numpy.full(2, seed, "float32")}

def data(argument="all"):
    return {"words": list(argument)}

def wrong_data():
    return ["words"]

def broken_data():
    raise ValueError("no such disk")

constant = 3
'''


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    load_plan.cache_clear()
    yield tmp_path
    load_plan.cache_clear()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def hexed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def install(place: Path, files: dict[str, bytes], name: str = "acme_plans", version: str = "1.2.0") -> Path:
    """`files` as an installer leaves a wheel's: with its dist-info and RECORD."""
    info = f"{name}-{version}.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\n",
    }
    for path, content in whole.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    with (place / info / "RECORD").open("w", encoding="utf-8", newline="") as record:
        csv.writer(record).writerows([[path, "", ""] for path in [*whole, f"{info}/RECORD"]])
    return place / info


def test_a_source_tree_is_a_dev_plan_whose_digest_covers_the_whole_package(place: Path) -> None:
    (place / "acme" / "words").mkdir(parents=True)
    (place / "acme" / "__init__.py").write_bytes(b"")
    (place / "acme" / "words" / "__init__.py").write_text(PLAN)
    (place / "acme" / "table.csv").write_bytes(b"1,2\n")
    (place / "acme" / "__pycache__").mkdir()
    (place / "acme" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"made here")
    plan = load_plan("acme.words:train")
    lines = (
        f"acme/__init__.py\0{hexed(b'')}\n"
        f"acme/table.csv\0{hexed(b'1,2' + bytes([10]))}\n"
        f"acme/words/__init__.py\0{hexed(PLAN.encode())}\n"
    )
    assert (plan.name, plan.version, plan.dev) == ("acme.words:train", "dev", True)
    assert plan.digest == "sha256:" + hexed(lines.encode())
    assert load_plan("acme.words:train") is plan
    (place / "acme" / "table.csv").write_bytes(b"1,3\n")
    assert source_digest(place / "acme") != plan.digest


def test_a_module_on_its_own_is_digested_alone(place: Path) -> None:
    (place / "lonely_plan.py").write_text(PLAN)
    (place / "other.py").write_text("")
    assert load_plan("lonely_plan:train").digest == "sha256:" + hexed(
        f"lonely_plan.py\0{hexed(PLAN.encode())}\n".encode()
    )


def test_an_installed_plan_has_the_version_and_digest_of_its_distribution(place: Path) -> None:
    info = install(place, {"acme_plans/__init__.py": PLAN.encode(), "acme_plans/table.csv": b"1,2\n"})
    plan = load_plan("acme_plans:train")
    paths = ["acme_plans-1.2.0.dist-info/METADATA", "acme_plans-1.2.0.dist-info/WHEEL"]
    paths += ["acme_plans/__init__.py", "acme_plans/table.csv"]
    lines = "".join(f"{path}\0{hexed((place / path).read_bytes())}\n" for path in paths)
    assert (plan.version, plan.dev) == ("1.2.0", False)
    assert plan.digest == "sha256:" + hexed(lines.encode())
    distribution = importlib.metadata.Distribution.at(info)
    assert distribution_digest(distribution) == plan.digest


def test_what_an_installer_adds_changes_nothing_and_an_edit_shows(place: Path) -> None:
    info = install(place, {"acme_plans/__init__.py": PLAN.encode()})
    distribution = importlib.metadata.Distribution.at(info)
    before = distribution_digest(distribution)
    for name in ("INSTALLER", "REQUESTED", "direct_url.json"):
        (info / name).write_bytes(b"how it came here")
    (place / "bytecode.pyc").write_bytes(b"made here")
    with (info / "RECORD").open("a", encoding="utf-8") as record:
        for path in (f"{info.name}/INSTALLER", f"{info.name}/REQUESTED", f"{info.name}/direct_url.json"):
            record.write(f"{path},,\n")
        record.write("bytecode.pyc,,\n../../../bin/acme,sha256=x,10\n")
    assert distribution_digest(distribution) == before
    (place / "acme_plans" / "__init__.py").write_text(PLAN + "# edited after it was installed\n")
    assert distribution_digest(distribution) != before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent_plans:train", "No module named 'absent_plans'"),
        ("here_plans:absent", "here_plans has no function absent"),
        ("here_plans:constant", "here_plans has no function constant"),
        ("here_plans", "module:function"),
        (":train", "module:function"),
        ("broken_plans:train", "SyntaxError"),
        ("raising_plans:train", "NameError"),
        ("dependent_plans:train", "No module named 'absent_library'"),
        ("sys:exit", "no file to digest"),
    ],
)
def test_a_plan_that_cannot_be_loaded_says_why(place: Path, name: str, why: str) -> None:
    (place / "here_plans.py").write_text(PLAN)
    (place / "broken_plans.py").write_text("def train(:\n")
    (place / "raising_plans.py").write_text("undefined\n")
    (place / "dependent_plans.py").write_text("import absent_library\n")
    with pytest.raises(OperatorFault) as caught:
        load_plan(name)
    assert caught.value.code == "plan-missing"
    assert name in caught.value.what
    assert why in caught.value.why


def test_a_plan_yields_progress_and_one_result(place: Path) -> None:
    (place / "here_plans.py").write_text(PLAN)
    plan: Plan = load_plan("here_plans:train")
    config = PlanConfig(local={"lr": 0.1}, round=1, seed=0, task="words", kind="train")
    model = load_init("here_plans:init")(7)
    progress, result = plan.function(model, {}, config)
    assert progress == Progress(0, 1)
    assert isinstance(result, Result)
    assert result.weights is not None
    assert np.array_equal(result.weights["w"], np.array([7, 7], np.float32))
    assert result.metrics == {"loss": (0.5, 1.0)}
    assert Result(weights=None, weight=1.0).metrics == {}
    assert msgspec.structs.asdict(config)["kind"] == "train"


def test_a_data_source_takes_what_follows_the_question_mark(place: Path) -> None:
    (place / "here_plans.py").write_text(PLAN)
    assert load_data("here_plans:data") == {"words": ["a", "l", "l"]}
    assert load_data("here_plans:data?xy") == {"words": ["x", "y"]}
    assert load_data("here_plans:data?a?b") == {"words": ["a", "?", "b"]}
    for spec, why in (
        ("here_plans:wrong_data", "does not return"),
        ("here_plans:broken_data", "ValueError: no such disk"),
        ("here_plans:broken_data?x", "TypeError"),
        ("here_plans:absent", "has no function"),
    ):
        with pytest.raises(OperatorFault) as caught:
            load_data(spec)
        assert caught.value.code == "plan-missing"
        assert why in caught.value.why


def test_a_plan_gets_only_the_datasets_that_its_task_names() -> None:
    held = {"words": [1, 2], "photos": [3]}
    assert granted(held, ["words"]) == {"words": [1, 2]}
    assert granted(held, []) == {}
    with pytest.raises(KeyError):
        granted(held, ["letters"])


@pytest.mark.long
def test_two_builds_and_two_installs_of_one_source_agree(place: Path) -> None:
    """Hatchling builds reproducibly; two environments that install the wheel have one digest."""
    root = Path(__file__).parents[3]
    digests = []
    for side in ("one", "two"):
        source = place / side / "source"
        source.mkdir(parents=True)
        for name in ("pyproject.toml", "LICENSE", "README.md"):
            if (root / name).exists():
                shutil.copy(root / name, source / name)
        (source / "README.md").touch()
        shutil.copytree(root / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
        built, target = place / side / "built", place / side / "target"
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(built), str(source)], check=True)
        wheel = next(built.glob("podium-*.whl"))
        subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
        info = next(target.glob("podium-*.dist-info"))
        digests.append(distribution_digest(importlib.metadata.Distribution.at(info)))
    assert digests[0] == digests[1]
