"""Lists: columns, JSON, and a line for each change and none for passing time."""

import dataclasses
import json
from collections.abc import Sequence

import msgspec
import pytest
import typer

from podium.cli.aliases import ALIASES
from podium.cli.audits import ENTRIES
from podium.cli.auth import SERVICES
from podium.cli.fleet import DEVICES, _query, matches
from podium.cli.lists import Listing, changes, show
from podium.cli.models import _fits
from podium.cli.options import labels_of
from podium.cli.output import ago, say_pairs
from podium.cli.runs import RUNS
from podium.device.link import PlaneAway
from podium.wire.operator import AliasView, EntryView, ServiceView, VersionView
from podium.wire.problems import OperatorFault
from tests.e2e.test_cli_failing import a_device
from tests.unit.cli.test_cli_screen import RUN


class Row(msgspec.Struct, frozen=True):
    name: str
    count: int
    seen_ms: int = 0


ROWS = Listing[Row](
    heads=("NAME", "COUNT"),
    row=lambda each: (each.name, str(each.count)),
    key=lambda each: each.name,
    passing=("seen_ms",),
)


def test_changes_are_what_came_changed_and_went() -> None:
    seen: list[Sequence[Row]] = [
        [Row("a", 1), Row("b", 1)],
        [Row("a", 1, seen_ms=900), Row("b", 2)],
        [Row("b", 2), Row("c", 1)],
        [],
    ]
    told = [(sign, each.name, each.count) for sign, each in changes(ROWS, iter(seen))]
    assert told == [
        ("+", "a", 1),
        ("+", "b", 1),
        ("~", "b", 2),
        ("+", "c", 1),
        ("-", "a", 1),
        ("-", "b", 2),
        ("-", "c", 1),
    ]


def test_a_list_is_columns_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, lambda: [Row("a", 1)], json=False, watch=False)
    assert capsys.readouterr().out == "NAME  COUNT\na     1\n"
    show(ROWS, lambda: [Row("a", 1)], json=True, watch=False)
    assert json.loads(capsys.readouterr().out) == [{"name": "a", "count": 1, "seen_ms": 0}]


def test_a_row_that_is_no_longer_among_the_newest_has_not_gone() -> None:
    newest = dataclasses.replace(ROWS, newest=True)
    seen: list[Sequence[Row]] = [[Row("a", 1), Row("b", 1)], [Row("b", 1), Row("c", 1)]]
    assert [(sign, each.name) for sign, each in changes(newest, iter(seen))] == [("+", "a"), ("+", "b"), ("+", "c")]


class Fetches:
    """Gives each of `answers` in turn, raising those that are errors."""

    def __init__(self, *answers: list[Row] | BaseException) -> None:
        self.answers = list(answers)

    def __call__(self) -> list[Row]:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("as_json", "said"),
    [
        (False, ["+  a  1", "~  a  2"]),
        (
            True,
            [
                '{"change":"+","row":{"name":"a","count":1,"seen_ms":0}}',
                '{"change":"~","row":{"name":"a","count":2,"seen_ms":0}}',
            ],
        ),
    ],
)
def test_a_followed_list_is_a_line_for_each_change_and_ctrl_c_leaves_it(
    as_json: bool, said: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podium.cli.lists.WATCH_MS", 0)
    away = PlaneAway("GET got no answer", "it restarts")
    fetch = Fetches([Row("a", 1)], away, [Row("a", 1)], [Row("a", 2)], KeyboardInterrupt())
    with pytest.raises(typer.Exit) as left:
        show(ROWS, fetch, json=as_json, watch=True)
    assert left.value.exit_code == 130
    seen = capsys.readouterr()
    assert (seen.out.splitlines(), seen.err) == (said, "left the list\n")


def test_a_plane_that_stays_away_ends_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.cli.lists.WATCH_MS", 0)
    monkeypatch.setattr("podium.cli.lists.AWAY_MS", -1)
    with pytest.raises(PlaneAway):
        show(ROWS, Fetches(PlaneAway("GET got no answer", "gone")), json=False, watch=True)


def test_no_row_of_a_list_changes_by_time_alone() -> None:
    device = a_device("d1", "va")
    assert DEVICES.mark(device) == DEVICES.mark(msgspec.structs.replace(device, seen_ms=5, enrolled_age_ms=9))
    assert DEVICES.mark(device) != DEVICES.mark(msgspec.structs.replace(device, online=False))
    assert RUNS.mark(RUN) == RUNS.mark(msgspec.structs.replace(RUN, elapsed_ms=5, left_ms=9, round=None))
    assert RUNS.mark(RUN) != RUNS.mark(msgspec.structs.replace(RUN, frozen=True))


def test_what_people_wrote_cannot_steer_a_terminal() -> None:
    alias = AliasView(
        alias="a@b", version="sha256:00", number=1, counter=2, actor="person:x", why="\x1b[31m", age_ms=1_000
    )
    assert ALIASES.row(alias)[-1] == "?[31m"
    assert DEVICES.row(a_device("d1", "v\x07a"))[1] == "v?a"


@pytest.mark.parametrize(
    ("left_ms", "revoked", "said"), [(60_000, False, "00:01:00"), (0, False, "over"), (60_000, True, "revoked")]
)
def test_a_credential_says_how_long_it_holds(left_ms: int, revoked: bool, said: str) -> None:
    view = ServiceView(
        id="s1", name="ci", verbs=["runs.read"], actor="person:x", age_ms=0, left_ms=left_ms, revoked=revoked
    )
    assert SERVICES.row(view)[-1] == said


def test_labels_are_key_and_value_each_key_once() -> None:
    assert labels_of(["region=eu", "name=a=b", "site="]) == {"region": "eu", "name": "a=b", "site": ""}
    assert labels_of(None) == {}
    for given in (["region"], ["=eu"], ["a=1", "a=2"]):
        with pytest.raises(OperatorFault, match="usage"):
            labels_of(given)


def test_site_and_name_count_as_labels() -> None:
    device = msgspec.structs.replace(a_device("d1", "va"), site="mercy", labels={"region": "eu"})
    assert matches(device, {})
    assert matches(device, {"region": "eu", "site": "mercy", "name": "va"})
    assert not matches(device, {"region": "us"})
    assert not matches(device, {"zone": ""})


def test_the_plane_chooses_by_what_it_can_and_the_rest_is_looked_at_here() -> None:
    labels = {"region": "eu", "zone": "a,b", "site": "mercy", "name": "va"}
    assert _query(labels, "cordoned", online=True) == {
        "state": "cordoned",
        "online": "true",
        "label": "region=eu",
        "site": "mercy",
        "name": "va",
    }
    assert _query({"site": ""}, "", online=False) == {"state": "", "online": "", "label": ""}


def test_an_entry_of_the_journal_is_called_by_its_place_once_it_has_one() -> None:
    entry = EntryView(
        number=9,
        tree="plane",
        place=4,
        age_ms=61_000,
        kind="run-paused",
        subject="7f3a",
        actor="person:x",
        why={"why": "\x1b[31mred"},
    )
    assert ENTRIES.row(entry) == ("plane:4", "00:01:01 ago", "run-paused", "7f3a", "person:x", "why=?[31mred")
    assert ENTRIES.row(msgspec.structs.replace(entry, place=-1))[0] == "#9"
    assert ENTRIES.mark(entry) == ENTRIES.mark(msgspec.structs.replace(entry, place=-1, age_ms=0))


@pytest.mark.parametrize(
    ("labels", "fits"),
    [
        ({}, True),
        ({"task": "heart"}, True),
        ({"alias": "candidate"}, True),
        ({"alias": "heart@candidate", "released": "no"}, True),
        ({"alias": "production"}, False),
        ({"released": "yes"}, False),
    ],
)
def test_versions_are_chosen_by_task_alias_and_release(labels: dict[str, str], fits: bool) -> None:
    view = VersionView(
        digest="sha256:00",
        number=1,
        parent="",
        run="7f3a",
        round=1,
        task="heart",
        size_bytes=1,
        contributors=1,
        statement="",
        aliases=["heart@candidate"],
        released=False,
        made_age_ms=0,
        metrics={},
    )
    assert _fits(view, labels) is fits


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    say_pairs([("name", "va"), ("lease", ""), ("state", "active")])
    assert capsys.readouterr().out == "name   va\nstate  active\n"
    assert (ago(-1), ago(61_000)) == ("never", "00:01:01 ago")
