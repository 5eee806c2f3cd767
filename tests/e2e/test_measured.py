"""Which version a metric is of, in the API, the command line and the console; and versions that two runs learnt."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from msgspec.structs import replace

from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.tasks.digest import task_bytes
from podium.tasks.task import ModelSource
from podium.wire import messages as m
from podium.wire.asks import RunAsk
from podium.wire.operator import RunMade, VersionView
from podium.wire.problems import OperatorFault
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.console_browser import Browser
from tests.support.plane_cases import Operator, enrolled, plane, task


@dataclass
class Learnt:
    """A plane on which two runs learnt the same three versions, one of another name among them."""

    server: PlaneServer
    operator: Operator
    link: OperatorLink
    first: str
    again: str
    renamed: str

    def podium(self, *words: str) -> str:
        """The output of a command that goes well."""
        done = podium(*words, "--data", str(self.server.data))
        assert done.code == 0, done.err
        return done.out

    def browser(self) -> Browser:
        """An administrator, signed in."""
        return signed_in(self.server)


def signed_in(server: PlaneServer) -> Browser:
    """An administrator at the console."""
    return Browser(server.url).sign_in((server.data / "administrator.token").read_text().strip())


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learnt]:
    with plane(tmp_path_factory.mktemp("learnt") / "data") as (server, operator), connect_data(server.data) as link:
        (device,) = enrolled(operator, 1, site="north")
        made = task(goal=1, rounds=2)
        other = replace(made, task=replace(made.task, name="renamed"))
        runs = []
        for each in (made, made, other):
            runs.append(operator.submit(each))
            for place in range(2):
                train(device, offer_to(device), place)
            assert ended(operator, runs[-1]).state == "FINISHED"
        yield Learnt(server, operator, link, *runs)


def test_a_version_has_what_was_measured_on_it_and_the_newest_has_nothing(learnt: Learnt) -> None:
    versions = learnt.link.versions(learnt.first)
    assert [bool(each.metrics) for each in versions] == [True, True, False]
    for number, each in enumerate(versions[:2], start=1):
        rounds = [f"{run}.{number}" for run in (learnt.renamed, learnt.again, learnt.first)]
        assert each.measured_by == rounds
        measured = learnt.link.round(learnt.renamed, number)
        assert (measured.base, measured.metrics) == (each.digest, each.metrics)
    assert learnt.link.run(learnt.first).measured_number == 1
    newest = versions[2]
    listed = learnt.podium("model", "list", "--run", learnt.first).splitlines()
    assert "not measured yet" in listed[-1] and sum("not measured yet" in line for line in listed) == 1
    assert "accuracy 0.75" in listed[1], "the first version was measured"
    said = learnt.podium("model", "show", newest.digest)
    assert "metrics   not measured yet" in said and "no round has begun with it" in said
    said = learnt.podium("model", "show", versions[1].digest)
    assert "metrics   accuracy 0.75" in said and f"measured  by round 2 of run {learnt.renamed}" in said


def test_an_evaluation_measures_a_version(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator), connect_data(server.data) as link:
        (device,) = enrolled(operator, 1)
        trained = operator.submit(task())
        train(device, offer_to(device), 0)
        version = ended(operator, trained).base
        assert link.version(version).metrics == {}
        asked = RunAsk(task=msgspec.Raw(task_bytes(task(kind="evaluate"))), base=version)
        run = operator.post("/api/v1/runs", asked, RunMade).run
        offer = offer_to(device)
        assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
        nothing = hashlib.sha256(b"").hexdigest()
        manifest = device.manifest(offer)
        report = device.update(offer, manifest, {}, None, length=0, sha256=nothing, sealed_key="").report
        assert device.report(offer.lease, report).word == "stored"
        assert ended(operator, run).measured_number == 1
        view = link.version(version)
        assert (view.metrics, view.measured_by) == ({"accuracy": 0.75}, [f"{run}.1"])
        assert not link.round(run, 1).version
        page = signed_in(server).page(f"/models/{version}")
        assert "an evaluation" in page and "Not measured yet" not in page


def test_a_run_and_a_task_have_versions_that_another_run_made_first(learnt: Learnt) -> None:
    every = [each.digest for each in learnt.link.versions()]
    assert len(every) == 3
    for query in ({"run": learnt.again}, {"run": learnt.renamed}, {"task": "one-hot"}, {"task": "renamed"}):
        assert [each.digest for each in learnt.link.versions(**query)] == every, query
    assert learnt.link.versions(learnt.again, task="renamed") == []
    assert learnt.link.versions(task="none") == []
    newest = learnt.link.first_of("versions", VersionView, 2, run=learnt.again, newest="true", limit=1)
    assert [each.digest for each in newest] == every[:0:-1], "page by page"
    told = json.loads(learnt.podium("model", "list", "--run", learnt.again, "--json"))
    assert [each["digest"] for each in told] == every and told[1]["run"] == learnt.first
    assert len(learnt.podium("model", "list", "-l", "task=renamed").splitlines()) == 4
    with pytest.raises(OperatorFault, match="the query's after"):
        learnt.link.versions(after="sha256:none")


def test_runs_are_compared_and_exported_by_what_was_measured(learnt: Learnt, tmp_path: Path) -> None:
    said = learnt.podium("compare", learnt.first, learnt.again)
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    assert (rows["version"][0], rows["measured"][0], rows["measured"][2]) == ("v2", "v1", "v1")
    learnt.podium("export", learnt.first, "--out", str(tmp_path))
    with (tmp_path / "metrics.csv").open(encoding="utf-8") as opened:
        measured = {(row["round"], row["measured"]) for row in csv.DictReader(opened)}
    assert measured == {(str(number), each.digest) for number, each in enumerate(learnt.link.versions()[:2], start=1)}


def test_the_models_page_is_of_a_task_over_all_its_runs(learnt: Learnt) -> None:
    browser = learnt.browser()
    for path in ("/models", "/models?task=renamed", "/models?task=one-hot", f"/models?run={learnt.again}"):
        page = browser.page(path)
        assert page.count("/models?task=one-hot") >= 1 and page.count("/models?task=renamed") >= 1, path
        assert "2 versions with accuracy" in page and "1 not measured yet" in page, path
        assert all(f'<a href="/models/{each.digest}">' in page for each in learnt.link.versions()), path
        assert f'href="/runs/{learnt.first}"' in page, "the run that made it first is named"
    page = browser.page(f"/models?run={learnt.again}")
    assert f"podium model list --run {learnt.again}" in page and "Only the versions of" in page
    assert "podium model list --label task=renamed" in browser.page("/models")
    empty = browser.page(f"/models?task={quote('<b>')}")
    assert "No run has made a version yet" in empty and "<b>" not in empty


def test_the_pages_say_which_version_was_measured(learnt: Learnt) -> None:
    browser = learnt.browser()
    versions = learnt.link.versions()
    page = browser.page(f"/models/{versions[2].digest}")
    assert "not measured yet" in page and "Not measured yet." in page
    page = browser.page(f"/models/{versions[1].digest}")
    assert "measured on this version" in page and page.count("training from it, before it trained") == 3
    assert f'href="/runs/{learnt.again}/rounds/2"' in page
    page = browser.page(f"/runs/{learnt.first}")
    assert "on v1; first" in page and "those of the version it began with, measured before training" in page
    page = browser.page(f"/runs/{learnt.first}/rounds/2")
    assert "of the base version, before training" in page and "Metrics of the base version, measured before" in page
    assert f'href="/models/{versions[1].digest}"' in page
    assert 'accuracy</span> 0.75 <span class="soft">on v1' in browser.page("/runs")


def test_an_alias_that_nobody_knows_is_refused_with_the_nearest(learnt: Learnt) -> None:
    version = learnt.link.versions()[1].digest
    for name, known in (("prod", "production"), ("candidat", "candidate")):
        done = podium("model", "promote", version, name, "--data", str(learnt.server.data))
        assert done.code == 2 and "alias-unknown" in done.err and f"one-hot@{known}" in done.err, done.err
        browser = learnt.browser()
        answer = browser.send(f"/models/{version}/promote", alias=f"one-hot@{name}", why="")
        assert (answer.status, b"alias-unknown" in answer.data) == (422, True)
    asked = replace(task(), model=ModelSource(alias="one-hot@prod"))
    with pytest.raises(AssertionError, match="alias-unknown"):
        learnt.operator.submit(asked)
    assert [each.alias for each in learnt.link.aliases()] == ["one-hot@latest", "renamed@latest"]
