"""Strategies of the users' own: found in real distributions, and refused by name when they are none."""

from pathlib import Path

import msgspec
import pytest

from podium.adapters.strategies import load_strategies
from podium.core.selection.strategies.registry import make_strategy
from podium.sim.run import simulate_task
from podium.tasks.task import Select
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

MODULE = """
from podium.core.selection.strategies.uniform import Uniform

class Nightly(Uniform, frozen=True):
    hour: float = 2.0

class Half:
    def groups(self, ask):
        return {}

def made():
    return Nightly()
"""


def install(where: Path, points: str, name: str = "acme") -> None:
    """A distribution on the path that has these entry points."""
    where.mkdir(exist_ok=True)
    (where / "acme_strategies.py").write_text(MODULE)
    info = where / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[podium.strategies]\n{points}\n")


def test_nothing_installed_gives_none() -> None:
    assert load_strategies() == {}


def test_an_installed_strategy_is_found_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acme.nightly = acme_strategies:Nightly")
    monkeypatch.syspath_prepend(str(tmp_path))
    makers = load_strategies()
    assert list(makers) == ["acme.nightly"]
    made = make_strategy(Select(strategy="acme.nightly", options={"hour": 3.0}), makers)
    assert getattr(made, "hour", None) == 3.0
    with pytest.raises(OperatorFault, match="options"):
        make_strategy(Select(strategy="acme.nightly", options={"minute": 3.0}), makers)


@pytest.mark.parametrize(
    ("points", "name", "why"),
    [
        ("nightly = acme_strategies:Nightly", "nightly", "with a dot"),
        ("acme.none = acme_strategies:Missing", "acme.none", "cannot be imported"),
        ("acme.gone = acme_nowhere:Nightly", "acme.gone", "cannot be imported"),
        ("acme.half = acme_strategies:Half", "acme.half", "name, nominate, choose"),
        ("acme.made = acme_strategies:made", "acme.made", "no class"),
    ],
)
def test_what_is_no_strategy_is_refused_by_name(
    points: str, name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, points)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(OperatorFault) as caught:
        load_strategies()
    assert f"entry point {name} " in caught.value.what
    assert why in caught.value.why


def test_two_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acme.nightly = acme_strategies:Nightly")
    install(tmp_path, "acme.nightly = acme_strategies:Nightly", "other")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(OperatorFault) as caught:
        load_strategies()
    assert "two packages" in caught.value.why


def test_a_simulation_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acme.nightly = acme_strategies:Nightly")
    monkeypatch.syspath_prepend(str(tmp_path))
    terms = task(goal=5, rounds=2)
    own = msgspec.structs.replace(terms, select=Select(strategy="acme.nightly", options={"hour": 3.0}))
    result = simulate_task(own, devices=30, seed=1)
    assert (result.state, result.rounds_sealed) == ("FINISHED", 2)
