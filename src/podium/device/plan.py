"""Plans: named, installed functions that train or measure, and the digest of what is installed.

Decides: how a plan, an init function or a data source is found by name, what a plan is given and yields, and the digest
that a site approves. Never: runs a plan (device/agent.py), ships code, or judges whether a digest is allowed.
Limits: the digest covers the files of the plan's own distribution, not those of the libraries it imports.

A plan is `def train(model, data, config) -> Iterator[Progress | Result]`: `model` maps canonical tensor names to
arrays of the base version (not to be written to), `data` maps dataset names to the plan's own dataset objects, only
those that the task names. It yields `Progress` as it goes and one `Result` last.
"""

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from functools import cache
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.wire.problems import OperatorFault

Tensors = Mapping[str, NDArray[np.generic]]
"""Canonical tensor name -> array."""

Datasets = Mapping[str, Sized]
"""What a data source gives: dataset name -> an object of the plan's own kind whose `len` is its examples."""

_INSTALLER_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_IMPORT_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What importing or calling somebody's module may raise, short of exhaustion and interruption."""


class Progress(msgspec.Struct, frozen=True):
    """A plan's word that it moves: `done` of `total` steps. It renews the lease."""

    done: int
    total: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan made, yielded once, last.

    `weights`: the trained tensors themselves (the agent subtracts the base), None of an evaluation.
    `weight`: examples behind them, above 0. `metrics`: of the model as it came, before it was trained, since the plane
    shows them as that version's: name -> (numerator, denominator > 0), sums that add up over devices.
    """

    weights: Tensors | None
    weight: float
    metrics: dict[str, tuple[float, float]] = {}


class PlanConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is told. `local` is the task's [local] as it stands.

    `round` is 1-based; `seed` >= 0 is the task's run.seed, the same on every device: it moves choices such as batches,
    never privacy noise. `task` is the task's name, `kind` "train" or "evaluate".
    """

    local: dict[str, int | float | str | bool]
    round: int
    seed: int
    task: str
    kind: str


class PlanFunction(Protocol):
    """The signature of a plan."""

    def __call__(self, model: Tensors, data: Datasets, config: PlanConfig, /) -> Iterator[Progress | Result]:
        """Yield `Progress` as it goes and one `Result` last; what it raises ends the lease as plan-raised."""
        ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An installed plan: its name `module:function`, the version and digest of its distribution, and the function.

    `dev`: it is no installed distribution but a source tree (an editable install); `version` is then "dev".
    """

    name: str
    version: str
    digest: str
    dev: bool
    function: PlanFunction


@cache
def load_plan(name: str) -> Plan:
    """Import the plan `name` once per process; `OperatorFault(plan-missing)` says why it cannot be."""
    module, function = _function(name, "plan")
    file = getattr(module, "__file__", None)
    if file is None:
        raise _missing(name, "plan", f"{module.__name__} has no file to digest")
    path = Path(file).resolve()
    distribution = _distribution(path)
    if distribution is None:
        return Plan(
            name=name,
            version="dev",
            digest=source_digest(_top(module, path)),
            dev=True,
            function=cast(PlanFunction, function),
        )
    return Plan(
        name=name,
        version=distribution.version,
        digest=distribution_digest(distribution),
        dev=False,
        function=cast(PlanFunction, function),
    )


def load_init(name: str) -> Callable[[int], dict[str, NDArray[np.generic]]]:
    """The init function `module:function`: from a seed >= 0 to the tensors of a new model.

    `OperatorFault(plan-missing)` says why it cannot be imported.
    """
    _, function = _function(name, "init function")
    return cast(Callable[[int], dict[str, NDArray[np.generic]]], function)


def load_data(spec: str) -> Datasets:
    """Call the data source `module:function` or `module:function?argument` and return its datasets.

    A data source takes the argument (text) or nothing, and returns dataset name -> object with `len`, its examples.
    `OperatorFault`: plan-missing if it cannot be imported or called; its own faults pass.
    """
    name, mark, argument = spec.partition("?")
    _, function = _function(name, "data source")
    try:
        datasets = function(argument) if mark else function()
    except OperatorFault:
        raise
    except _IMPORT_ERRORS as error:
        raise _missing(spec, "data source", f"{type(error).__name__}: {error}") from error
    if not isinstance(datasets, Mapping) or not all(isinstance(item, Sized) for item in datasets.values()):
        raise _missing(spec, "data source", "it does not return dataset name -> object with a length")
    return cast(Datasets, datasets)


def granted(data: Datasets, names: Sequence[str]) -> dict[str, Sized]:
    """The datasets of `data` that a task names: all that its plan gets. `KeyError` if the device holds one not."""
    return {name: data[name] for name in names}


def distribution_digest(distribution: importlib.metadata.Distribution) -> str:
    """ "sha256:<hex>" over the files that the wheel brought, each as path, NUL, hex SHA-256 of its bytes, newline.

    What the installer made (bytecode, scripts outside the root, its notes in dist-info) is left out, so that two
    machines that installed the same wheel agree. The bytes are read, not believed from RECORD: an edit shows.
    """
    files = {
        file.as_posix(): Path(str(distribution.locate_file(file)))
        for file in distribution.files or []
        if ".." not in file.parts and file.suffix != ".pyc" and not _installers(file)
    }
    return _files_digest(files)


def source_digest(top: Path) -> str:
    """The same digest over a source tree: a package's folder without bytecode, or one module file."""
    if top.is_file():
        return _files_digest({top.name: top})
    files = (path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return _files_digest({path.relative_to(top.parent).as_posix(): path for path in files})


def _installers(file: PurePosixPath) -> bool:
    return file.parent.suffix == ".dist-info" and file.name in _INSTALLER_FILES


def _files_digest(files: Mapping[str, Path]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return "sha256:" + whole.hexdigest()


def _distribution(path: Path) -> importlib.metadata.Distribution | None:
    """The installed distribution that brought the file at `path`; None for a source tree."""
    for distribution in importlib.metadata.distributions():
        root = Path(str(distribution.locate_file(""))).resolve()
        if not path.is_relative_to(root):
            continue
        inside = path.relative_to(root).as_posix()
        if any(file.as_posix() == inside for file in distribution.files or []):
            return distribution
    return None


def _top(module: ModuleType, path: Path) -> Path:
    """The folder of the top package that holds `module`, or the file of a module on its own."""
    depth = module.__name__.count(".") + (path.name == "__init__.py")
    return path.parents[depth - 1] if depth else path


def _function(name: str, role: str) -> tuple[ModuleType, Callable[..., object]]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise _missing(name, role, "it is not of the form module:function")
    try:
        module = importlib.import_module(module_name)
    except _IMPORT_ERRORS as error:
        raise _missing(name, role, f"{type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise _missing(name, role, _unknown(module, function_name))
    return module, function


def misspelt(name: str) -> str:
    """Why `name` ("module:function") is no function of its module; "" if it is, or if that does not import here."""
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except _IMPORT_ERRORS:
        return ""
    return "" if callable(getattr(module, function_name, None)) else _unknown(module, function_name)


def _unknown(module: ModuleType, function: str) -> str:
    from difflib import get_close_matches  # here: few ever need it

    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    nearest = get_close_matches(function, names, 1, 0.0)
    return f"{module.__name__} has no function {function}" + (f"; the nearest is {nearest[0]}" if nearest else "")


def _missing(name: str, role: str, why: str) -> OperatorFault:
    next = "" if role == "plan" else f"mend the name of the {role}, or install the packages it needs"
    return OperatorFault("plan-missing", what=f"cannot load the {role} {name}", why=why, next=next)
