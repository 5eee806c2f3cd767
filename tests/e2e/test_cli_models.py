"""What trained runs leave, seen and steered from the command line: versions, aliases, comparisons, exports, devices."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.e2e.cli_made import Dev, dev, device_running, podium, task_file
from tests.e2e.test_cli_tasks import completed


@dataclass(frozen=True)
class Trained:
    """A plane with two finished runs of one task, of two and of one round, by one device."""

    plane: Dev
    first: str
    second: str
    versions: tuple[str, ...]

    def podium(self, *words: str | Path) -> str:
        """What a verb against it prints; it must end well."""
        said = self.plane.podium(*words)
        assert said.code == 0, said.err
        return said.out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    with dev(folder / "data") as plane, device_running(plane, folder / "cleveland", "cleveland"):
        ids = []
        for rounds, rate in (("2", "0.1"), ("1", "0.2")):
            task = task_file(folder, goal="1", minimum="1", rounds=rounds, lr=rate)
            said = plane.podium("run", task, "--watch")
            assert said.code == 0, said.err
            ids.append(said.out.split()[0])
        listed = json.loads(plane.podium("model", "list", "--run", ids[0], "--json").out)
        yield Trained(plane, ids[0], ids[1], tuple(each["digest"] for each in listed))


def test_a_version_shows_its_lineage_and_metrics(trained: Trained) -> None:
    said = trained.podium("model", "show", trained.versions[2])
    assert f"version   v2 {trained.versions[2]}" in said
    assert f"lineage   v1 {trained.versions[1][7:19]} <- v0 {trained.versions[0][7:19]}\n" in said
    assert "released  no: podium model release --data" in said
    assert f"run {trained.first} round 2, 1 devices" in said
    told = json.loads(trained.podium("model", "show", trained.versions[2], "--json"))
    assert told["lineage"] == [trained.versions[1], trained.versions[0]]
    assert trained.plane.podium("model", "show", "beef").code == 3


def test_versions_are_compared_tensor_by_tensor(trained: Trained, tmp_path: Path) -> None:
    told = json.loads(trained.podium("model", "diff", trained.versions[0], trained.versions[2], "--json"))
    assert [each["tensor"] for each in told] == ["bias", "weight"]
    assert all(each["l2"] >= each["max_abs"] > 0 for each in told)
    file = tmp_path / "m.safetensors"
    trained.podium("model", "pull", trained.versions[2], "--out", file)
    same = podium("model", "diff", file, file, "--data", tmp_path / "no-plane")
    assert same.code == 0, same.err
    assert [line.split()[-3:-1] for line in same.out.splitlines()[1:]] == [["0", "0"], ["0", "0"]]
    (tmp_path / "text").write_text("no model")
    wrong = podium("model", "diff", tmp_path / "text", file)
    assert (wrong.code, "error[P2051 file-unreadable]" in wrong.err) == (2, True)


def test_an_alias_is_moved_rolled_back_and_keeps_its_history(trained: Trained) -> None:
    one, two = trained.versions[1:]
    moved = trained.podium("model", "promote", one, "candidate", "--why", "it is good")
    assert moved == f"heart@candidate v1 {one}\n"
    again = trained.plane.podium("model", "promote", two[:19], "heart@candidate")
    assert (again.out, f"before: v1 {one}" in again.err) == (f"heart@candidate v2 {two}\n", True)
    back = trained.podium("model", "rollback", "candidate", "--why", "it is not")
    assert back == f"heart@candidate v1 {one}\n"
    forth = trained.podium("model", "rollback", "heart@candidate", "--to", two)
    assert forth == f"heart@candidate v2 {two}\n"
    history = json.loads(trained.podium("model", "alias", "history", "candidate", "--json"))
    assert [(each["counter"], each["version"]) for each in history] == [(4, two), (3, one), (2, two), (1, one)]
    assert (history[1]["why"], history[3]["why"]) == ("it is not", "it is good")
    listed = trained.podium("model", "alias", "list")
    assert "heart@candidate  v2" in listed
    assert "heart@latest" in listed
    shown = trained.podium("model", "show", one)
    assert "heart@candidate came to it " in shown
    assert f"heart@candidate left it for {two[7:19]}" in shown
    assert trained.plane.podium("model", "alias", "history", "nothing").code == 3


def test_aliases_and_numbers_of_versions_are_completed(trained: Trained) -> None:
    trained.podium("model", "promote", trained.versions[1], "canary")
    here = {"PODIUM_DATA": str(trained.plane.data)}
    assert {"heart@canary", "heart@latest"} <= set(completed("podium", "model", "rollback", "heart", **here))
    offered = completed("podium", "model", "promote", "v1", "h", **here)
    assert "heart@canary" in offered and "heart@latest" not in offered
    assert completed("podium", "model", "show", "v", **here) == ["v0", "v1", "v2"]
    assert "heart@canary" in completed("podium", "model", "show", "heart", **here)


@pytest.mark.parametrize(
    ("alias", "code", "said"),
    [
        ("production", 5, "error[P2017 not-released]"),
        ("latest", 5, "error[P2018 alias-managed]"),
        ("other@candidate", 2, "is not one of task other"),
        ("No Name", 2, "error[P2063 alias-unknown]"),
    ],
)
def test_an_alias_that_may_not_move_says_why(trained: Trained, alias: str, code: int, said: str) -> None:
    done = trained.plane.podium("model", "promote", trained.versions[1], alias)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_runs_stand_side_by_side_with_the_terms_that_differ(trained: Trained) -> None:
    told = json.loads(trained.podium("compare", trained.first, trained.second, "--json"))
    assert [each["rounds_sealed"] for each in told] == [2, 1]
    assert [each["terms"] for each in told] == [
        {"local.lr": "0.1", "run.rounds": "2"},
        {"local.lr": "0.2", "run.rounds": "1"},
    ]
    assert all(0 <= each["metrics"]["accuracy"] <= 1 for each in told)
    said = trained.podium("compare", trained.first, trained.second)
    assert ["local.lr", "0.1", "0.2"] in [line.split() for line in said.splitlines()]
    assert trained.plane.podium("compare", trained.first).code == 2


def test_a_run_is_written_as_files_that_other_programs_read(trained: Trained, tmp_path: Path) -> None:
    said = trained.podium("export", trained.first, "--out", tmp_path / "out")
    written = {Path(line).name for line in said.splitlines()}
    assert written == {path.name for path in (tmp_path / "out").iterdir()}
    assert {"rounds.csv", "leases.csv", "metrics.csv", "run.json", "leases.svg", "metric-accuracy.svg"} <= written
    tables = {}
    for name in ("rounds", "leases", "metrics"):
        with (tmp_path / "out" / f"{name}.csv").open(newline="") as file:
            tables[name] = list(csv.DictReader(file))
    assert [(row["round"], row["state"], row["accepted"]) for row in tables["rounds"]] == [
        ("1", "SEALED", "1"),
        ("2", "SEALED", "1"),
    ]
    assert {(row["lost"], row["losses"]) for row in tables["rounds"]} == {("0", "")}
    assert all(float(row["examples"]) > 0 for row in tables["metrics"])
    assert [row["version"] for row in tables["rounds"]] == list(trained.versions[1:])
    assert [row["state"] for row in tables["leases"]] == ["ACCEPTED", "ACCEPTED"]
    assert {row["metric"] for row in tables["metrics"]} >= {"accuracy", "loss"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["id"] == trained.first
    for path in (tmp_path / "out").glob("*.svg"):
        assert ElementTree.fromstring(path.read_text()).get("role") == "img"
    assert trained.podium("export", trained.first, "--out", tmp_path / "out") == said, "the same run's again"
    mixed = trained.plane.podium("export", trained.second, "--out", tmp_path / "out")
    assert (mixed.code, f"other than an export of run {trained.second}" in mixed.err) == (2, True)
    (tmp_path / "file").touch()
    assert trained.plane.podium("export", trained.first, "--out", tmp_path).code == 2
    assert trained.plane.podium("export", trained.first, "--out", tmp_path / "file" / "below").code == 2


def test_a_device_shows_what_it_told_and_its_last_leases(trained: Trained) -> None:
    said = trained.podium("device", "show", "cleveland")
    assert "state " in said
    assert "active, online" in said
    assert said.count("ACCEPTED") == 3
    detail = json.loads(trained.podium("device", "show", "cleveland", "--json"))
    assert (detail["device"]["name"], len(detail["leases"])) == ("cleveland", 3)
    none = trained.plane.podium("device", "logs", "cleveland")
    assert (none.code, none.out, "has told of no failure" in none.err) == (0, "", True)


def test_the_task_of_a_run_is_shown_as_it_was_submitted(trained: Trained) -> None:
    said = trained.plane.podium("task", "show", trained.second)
    assert said.code == 0, said.err
    assert "lr = 0.2" in said.out
    views = {each["id"]: each for each in json.loads(trained.podium("status", "--all", "--json"))["runs"]}
    assert f"digest {views[trained.second]['task_digest']}" in said.err
