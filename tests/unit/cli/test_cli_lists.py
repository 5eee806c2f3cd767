"""Lists: columns, JSON, and a line for each change and none for passing time."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import pytest
import typer

from podium.cli.aliases import ALIASES
from podium.cli.audits import ENTRIES
from podium.cli.auth import SERVICES
from podium.cli.fleet import DEVICES, _query, matches
from podium.cli.lists import Listing, Rows, changes, show
from podium.cli.models import _fits, measured
from podium.cli.options import labels_of
from podium.cli.output import ago, say_pairs
from podium.cli.runs import RUNS
from podium.plane.calls import Calls
from podium.wire.operator import AliasView, EntryView, ServiceView, VersionView
from podium.wire.problems import OperatorFault
from tests.e2e.test_cli_failing import a_device
from tests.unit.cli.test_cli_screen import RUN

T = TypeVar("T")


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
    show(ROWS, rows([Row("a", 1)]), json=False, watch=False)
    assert capsys.readouterr().out == "NAME  COUNT\na     1\n"
    show(ROWS, rows([Row("a", 1)]), json=True, watch=False)
    assert json.loads(capsys.readouterr().out) == [{"name": "a", "count": 1, "seen_ms": 0}]


def test_a_row_that_is_no_longer_among_the_newest_has_not_gone() -> None:
    newest = dataclasses.replace(ROWS, newest=True)
    seen: list[Sequence[Row]] = [[Row("a", 1), Row("b", 1)], [Row("b", 1), Row("c", 1)]]
    assert [(sign, each.name) for sign, each in changes(newest, iter(seen))] == [("+", "a"), ("+", "b"), ("+", "c")]


class Told(Calls):
    """A plane that gives `views` in turn, raising those that are errors; notes what it is asked for."""

    def __init__(self, *views: list[Row] | BaseException) -> None:
        self.views = list(views)
        self.asked: list[object] = []

    def rows(self, path: str, kind: type[T], /, **query: str | int) -> list[T]:
        """The first of them."""
        return next(self.follow_rows(path, kind, 0, **query))

    def first_of(self, path: str, kind: type[T], count: int, /, **query: str | int) -> list[T]:
        """The first of them."""
        return next(self.follow_rows(path, kind, count, **query))

    def follow_rows(self, path: str, kind: type[T], count: int = 0, /, **query: str | int) -> Iterator[list[T]]:
        """Each of them."""
        self.asked.append((path, kind, count, query))
        for views in self.views:
            if isinstance(views, BaseException):
                raise views
            yield [view for view in views if isinstance(view, kind)]


def rows(*views: list[Row] | BaseException) -> Rows[Row]:
    return Rows(Told(*views), "rows", Row)


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
    as_json: bool, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = rows([Row("a", 1)], [Row("a", 1)], [Row("a", 2)], KeyboardInterrupt())
    with pytest.raises(typer.Exit) as left:
        show(ROWS, told, json=as_json, watch=True, above=lambda: ["FROZEN"])
    assert left.value.exit_code == 130
    seen = capsys.readouterr()
    assert (seen.out.splitlines(), seen.err) == (said, "FROZEN\nleft the list; what it shows goes on\n")


def test_a_list_followed_on_a_terminal_is_drawn_again_below_what_stands_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    above = iter([["FROZEN for 1 s"], ["FROZEN for 2 s"]])
    with pytest.raises(typer.Exit):
        show(
            ROWS, rows([Row("a", 1)], [Row("b", 2)], KeyboardInterrupt()), json=False, watch=True, above=above.__next__
        )
    drawn = capsys.readouterr().out
    assert (
        drawn.index("FROZEN for 1 s") < drawn.index("a     1") < drawn.index("FROZEN for 2 s") < drawn.index("b     2")
    )


def test_rows_are_chosen_and_the_newest_stand_last() -> None:
    told = Told([Row("c", 3), Row("b", 2), Row("a", 1)])
    newest = Rows(told, "rows", Row, {"kind": "x"}, keep=lambda each: each.count != 2, newest=3)
    assert [each.name for each in newest.once()] == ["a", "c"]
    assert [[each.name for each in views] for views in newest.followed()] == [["a", "c"]]
    assert told.asked == [("rows", Row, 3, {"kind": "x"})] * 2
    assert [each.name for each in Rows(told, "rows", Row).once()] == ["c", "b", "a"]


def test_a_frozen_run_says_so_in_its_row() -> None:
    frozen = msgspec.structs.replace(RUN, frozen=True)
    assert (RUNS.row(RUN)[2], RUNS.row(frozen)[2]) == ("RUNNING", "RUNNING, frozen")
    assert RUNS.row(msgspec.structs.replace(frozen, state="FINISHED"))[2] == "FINISHED"


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
    ("left_ms", "revoked", "said"), [(60_000, False, "1 min"), (0, False, "over"), (60_000, True, "revoked")]
)
def test_a_credential_says_how_long_it_holds(left_ms: int, revoked: bool, said: str) -> None:
    view = ServiceView(
        id="s1",
        name="ci",
        verbs=["runs.read"],
        actor="person:x",
        age_ms=0,
        left_ms=left_ms,
        revoked=revoked,
        issuer="",
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
    row = ENTRIES.row(entry)
    assert row[:2] + row[3:] == ("plane:4", "1 min 1 s ago", "run-paused", "7f3a", "person:x", "why=?[31mred")
    at = datetime.strptime(row[2], "%Y-%m-%d %H:%M:%S")
    assert at <= datetime.now() - timedelta(seconds=61)
    assert ENTRIES.row(msgspec.structs.replace(entry, place=-1))[0] == "#9"
    assert ENTRIES.mark(entry) == ENTRIES.mark(msgspec.structs.replace(entry, place=-1, age_ms=0))


@pytest.mark.parametrize(
    ("labels", "fits"),
    [
        ({}, True),
        ({"alias": "candidate"}, True),
        ({"alias": "heart@candidate", "released": "no"}, True),
        ({"alias": "production"}, False),
        ({"released": "yes"}, False),
    ],
)
def test_versions_are_chosen_by_alias_and_release(labels: dict[str, str], fits: bool) -> None:
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
        measured_by=[],
    )
    assert _fits(view, labels) is fits
    assert measured(view) == "not measured yet"
    assert measured(msgspec.structs.replace(view, metrics={"loss": 0.25, "accuracy": 0.5})) == "accuracy 0.5 loss 0.25"


def test_pairs_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    say_pairs([("name", "va"), ("lease", ""), ("state", "active")])
    assert capsys.readouterr().out == "name   va\nstate  active\n"
    assert (ago(-1), ago(61_000)) == ("never", "1 min 1 s ago")
