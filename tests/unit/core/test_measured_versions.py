"""A version's metrics are those measured on it, and its run and task are all whose rounds named it."""

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.core.effects import FinishRound
from podium.core.events import AggregateMade
from podium.core.models.lines import MEASURED_MAX, Lines, Place, part_of
from podium.core.rows import AliasRow
from podium.core.views.models import version_view
from podium.wire.operator import VersionView
from tests.support.core_acts import promote
from tests.support.core_drive import Drive
from tests.support.core_made import BASE, task

V1, V2 = "sha256:r.1", "sha256:r.2"


def one_round(drive: Drive, accuracy: float, digest: Callable[[FinishRound], str] | None = None) -> None:
    """The only device takes part; of a training round `digest` names the version that the sum becomes."""
    drive.work()
    drive.check_in(0)
    drive.wait(1_000)
    drive.trained(0, metrics={"accuracy": (accuracy, 1.0)})
    while drive.jobs:
        job = drive.jobs.pop(0)
        if isinstance(job, FinishRound) and digest is not None:
            made = drive.sum_of(job)
            drive.feed(
                AggregateMade(
                    at_ms=drive.now_ms,
                    run=job.run,
                    round=job.round,
                    digest=digest(job),
                    size_bytes=made.size_bytes,
                    statement=made.statement,
                    leases=job.leases,
                )
            )
        else:
            drive.do(job)


def seen(drive: Drive, version: str) -> VersionView:
    return version_view(drive.state, drive.state.versions[version], drive.now_ms)


def metrics(drive: Drive) -> Mapping[str, Mapping[str, float]]:
    return {version: seen(drive, version).metrics for version in (BASE, V1, V2)}


def two_rounds() -> Drive:
    drive = Drive()
    drive.begin(task(goal=1, rounds=2), 1)
    one_round(drive, 0.25)
    one_round(drive, 0.5)
    return drive


def test_a_round_measures_its_base_and_the_newest_version_borrows_nothing() -> None:
    drive = two_rounds()
    assert metrics(drive) == {BASE: {"accuracy": 0.25}, V1: {"accuracy": 0.5}, V2: {}}
    assert [seen(drive, version).measured_by for version in (BASE, V1, V2)] == [["r.1"], ["r.2"], []]
    drive.reload()
    assert metrics(drive) == {BASE: {"accuracy": 0.25}, V1: {"accuracy": 0.5}, V2: {}}


def test_an_evaluation_measures_too_and_the_newest_measurement_counts() -> None:
    drive = two_rounds()
    drive.submit(task(name="t-evaluate", goal=1, rounds=1, kind="evaluate"), "e", V2)
    one_round(drive, 0.75)
    assert metrics(drive)[V2] == {"accuracy": 0.75}
    drive.submit(task(name="t-evaluate", goal=1, rounds=1, kind="evaluate"), "f", V1)
    one_round(drive, 0.625)
    assert (metrics(drive)[V1], seen(drive, V1).measured_by) == ({"accuracy": 0.625}, ["f.1", "r.2"])
    drive.reload()
    assert seen(drive, V1).measured_by == ["f.1", "r.2"]


def test_a_round_that_was_given_up_measured_nothing() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=2), 1)
    drive.check_in(0)
    drive.wait(1_000)
    drive.trained(0, metrics={"accuracy": (0.25, 1.0)})
    drive.stop()
    drive.work()
    assert (drive.round().state, seen(drive, BASE).measured_by) == ("ABANDONED", [])


def test_what_release_0_1_0_wrote_on_a_version_is_not_shown() -> None:
    drive = two_rounds()
    drive.state.put(replace(drive.state.versions[V2], metrics={"accuracy": (0.5, 1.0)}))
    assert seen(drive, V2).metrics == {}


def digests(drive: Drive, run: str = "", name: str = "") -> list[str]:
    return [digest for *_, digest in drive.state.lines.versions(run, name)]


def test_a_run_and_a_task_have_the_versions_that_another_run_made_first() -> None:
    drive = two_rounds()
    for run, name in (("again", "t"), ("other", "u")):
        drive.submit(task(name=name, goal=1, rounds=2), run)
        for accuracy in (0.25, 0.5):
            one_round(drive, accuracy, lambda job: f"sha256:r.{job.round}")
    assert drive.state.versions.keys() == {BASE, V1, V2}
    assert digests(drive) == digests(drive, "r") == digests(drive, "again") == [BASE, V1, V2]
    assert digests(drive, name="t") == digests(drive, name="u") == digests(drive, "other") == [BASE, V1, V2]
    assert seen(drive, V1).run == "r", "who made it first"
    assert seen(drive, V1).measured_by == ["other.2", "again.2", "r.2"]
    assert digests(drive, "none") == digests(drive, name="none") == []
    drive.reload()
    assert digests(drive, "other") == [BASE, V1, V2]


def test_a_run_has_the_version_that_it_begins_with_at_once() -> None:
    drive = two_rounds()
    drive.submit(task(name="next", goal=1, rounds=1), "n", V2)
    assert digests(drive, "n") == digests(drive, name="next") == [V2]


def test_only_the_newest_measurements_are_remembered() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=MEASURED_MAX + 4, kind="evaluate"), 1)
    for number in range(MEASURED_MAX + 4):
        one_round(drive, float(number))
    assert seen(drive, BASE).measured_by == [f"r.{number}" for number in range(MEASURED_MAX + 4, 4, -1)]
    drive.reload()
    assert len(seen(drive, BASE).measured_by) == MEASURED_MAX


def test_an_alias_of_an_older_name_is_loaded_shown_and_left_where_it_is() -> None:
    drive = two_rounds()
    row = AliasRow(id="t@champion", version=V1, counter=1, actor="person:administrator", why="", at_ms=1)
    drive.folded["aliases", row.id] = row
    drive.state.put(row)
    drive.reload()
    assert seen(drive, V1).aliases == ["t@champion"]
    assert promote(drive, "t@champion", V2).code == "alias-unknown"
    assert drive.state.aliases["t@champion"].version == V1


places = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from("abcdef")), max_size=12, unique=True)


@given(places, st.integers(1, 4), st.booleans())
def test_pages_hold_every_version_once_in_order(those: list[Place], count: int, newest: bool) -> None:
    those.sort()
    told: list[Place] = []
    while found := part_of(those, told[-1] if told else None, newest, count):
        told += found
    assert told == those[:: -1 if newest else 1]


def test_no_index_names_a_version_twice() -> None:
    drive = two_rounds()
    lines = Lines()
    for _ in range(2):
        for row in drive.state.versions.values():
            lines.take_version(row, "t")
    assert [digest for *_, digest in lines.versions(task="t")] == [V1, V2]
    assert [digest for *_, digest in lines.versions()] == [BASE, V1, V2]
