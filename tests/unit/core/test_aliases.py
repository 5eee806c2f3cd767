"""Aliases that people move, releases, and every reason for which an alias does not move."""

import pytest

from podium.core.events import AggregateMade
from podium.core.rows import AliasMoveRow, ReleaseRow
from tests.support.core_acts import ADMINISTRATOR, promote, release
from tests.support.core_drive import Drive
from tests.support.core_made import BASE, task

FIRST, SECOND, OTHER = "sha256:r.1", "sha256:r.2", "sha256:o.1"


def made(name: str = "digits") -> Drive:
    """Two versions of one task, and one of another."""
    drive = Drive()
    drive.begin(task(name=name, goal=1, rounds=2), 1)
    drive.begin(task(name="other", goal=1, rounds=1), run="o")
    for _ in range(3):
        drive.check_in(0)
        drive.wait(1)
        drive.trained(0)
        drive.work()
    assert {FIRST, SECOND, OTHER} < drive.state.versions.keys()
    return drive


def test_an_alias_moves_and_keeps_every_move() -> None:
    drive = made()
    assert promote(drive, "digits@candidate", FIRST, why="first").word == "done"
    drive.wait(10)
    assert promote(drive, "digits@candidate", SECOND, counter=1, why="better").word == "done"
    drive.wait(10)
    assert promote(drive, "digits@candidate", FIRST, counter=2, why="rolled back").word == "done"
    alias = drive.state.aliases["digits@candidate"]
    assert (alias.version, alias.counter, alias.actor, alias.why) == (FIRST, 3, ADMINISTRATOR, "rolled back")
    moves = list(drive.state.alias_moves.values())
    assert [(move.counter, move.version, move.before, move.why) for move in moves] == [
        (1, FIRST, "", "first"),
        (2, SECOND, FIRST, "better"),
        (3, FIRST, SECOND, "rolled back"),
    ]
    assert [move.at_ms - moves[0].at_ms for move in moves] == [0, 10, 20]
    record = drive.records[-1]
    assert (record.kind, record.subject, record.tree, record.actor) == (
        "alias-moved",
        "digits@candidate",
        "plane",
        ADMINISTRATOR,
    )
    assert record.why == {"version": FIRST, "reason": "rolled back"}
    assert [type(row) for row in record.rows[1:]] == [AliasMoveRow]
    drive.reload()
    assert list(drive.state.alias_moves.values()) == moves


def test_naming_what_it_names_changes_nothing() -> None:
    drive = made()
    promote(drive, "digits@candidate", FIRST)
    records = len(drive.records)
    heard = promote(drive, "digits@candidate", FIRST, counter=1)
    assert (heard.word, heard.id) == ("done", "digits@candidate")
    assert len(drive.records) == records
    assert drive.state.aliases["digits@candidate"].counter == 1


@pytest.mark.parametrize(
    ("alias", "version", "code", "detail"),
    [
        ("digits", FIRST, "usage", "alias 'digits'"),
        ("digits@", FIRST, "usage", "<task>@<name>"),
        ("@candidate", FIRST, "usage", "<task>@<name>"),
        (f"digits@{'a' * 129}", FIRST, "usage", "<task>@<name>"),
        ("digits@Candidate", FIRST, "alias-unknown", "digits@candidate"),
        ("digits@prod", FIRST, "alias-unknown", "digits@production"),
        ("digits@canry", FIRST, "alias-unknown", "digits@canary"),
        ("digits@nonsense", FIRST, "alias-unknown", "digits@nonsense: the nearest known one is digits@"),
        ("di/gits@candidate", FIRST, "usage", "<task>@<name>"),
        ("digits@latest", FIRST, "alias-managed", "digits@latest"),
        ("digits@candidate", "sha256:none", "version-unknown", "sha256:none"),
        ("digits@candidate", BASE, "usage", "not one of task digits"),
        ("digits@candidate", OTHER, "usage", "not one of task digits"),
        ("none@candidate", FIRST, "usage", "not one of task none"),
        ("digits@production", FIRST, "not-released", f"{FIRST} for digits@production"),
    ],
)
def test_why_an_alias_does_not_move(alias: str, version: str, code: str, detail: str) -> None:
    drive = made()
    records = len(drive.records)
    heard = promote(drive, alias, version)
    assert (heard.word, heard.code) == ("", code)
    assert detail in heard.detail
    assert len(drive.records) == records
    assert alias not in drive.state.aliases or alias == "digits@latest"


@pytest.mark.parametrize(("counter", "code"), [(-1, ""), (0, "alias-moved"), (1, ""), (2, "alias-moved")])
def test_an_alias_moves_only_from_where_it_was_read(counter: int, code: str) -> None:
    drive = made()
    promote(drive, "digits@canary", FIRST)
    assert promote(drive, "digits@canary", SECOND, counter=counter).code == code
    assert drive.state.aliases["digits@canary"].version == (FIRST if code else SECOND)


@pytest.mark.parametrize(("counter", "code"), [(-1, ""), (0, ""), (1, "alias-moved")])
def test_an_alias_that_nobody_named_stands_at_zero(counter: int, code: str) -> None:
    drive = made()
    assert promote(drive, "digits@canary", FIRST, counter=counter).code == code


def test_production_names_released_versions_only() -> None:
    drive = made()
    assert release(drive, FIRST).word == "done"
    row = drive.state.releases[FIRST]
    assert row == ReleaseRow(
        id=FIRST,
        key_id="release-key",
        statement=f"statement-of-{FIRST}-by-release-key",
        actor=ADMINISTRATOR,
        at_ms=drive.now_ms,
    )
    assert (drive.records[-1].kind, drive.records[-1].why) == ("version-released", {"key": "release-key"})
    assert promote(drive, "digits@production", FIRST).word == "done"
    refused = promote(drive, "digits@production", SECOND)
    assert (refused.code, refused.detail, refused.why) == (
        "not-released",
        f"version {SECOND} for digits@production",
        "nobody released it",
    )
    assert drive.state.aliases["digits@production"].version == FIRST


def test_a_release_by_a_key_that_is_retired_lets_nothing_into_production() -> None:
    drive = made()
    release(drive, FIRST)
    release(drive, SECOND)
    assert promote(drive, "digits@production", FIRST).word == "done"
    for keys in (["new-key"], []):
        refused = promote(drive, "digits@production", SECOND, keys=keys)
        assert (refused.word, refused.code, refused.detail) == (
            "",
            "not-released",
            f"version {SECOND} for digits@production",
        )
        assert refused.why == (
            "the release key that signed for it, release-key, is retired: the present one has to sign for it again"
        )
    assert drive.state.aliases["digits@production"].version == FIRST, "what is there stays"
    assert promote(drive, "digits@candidate", SECOND, keys=["new-key"]).word == "done", "it needs no release"
    assert promote(drive, "digits@production", SECOND, keys=["new-key", "release-key"]).word == "done"


def test_the_present_key_signs_again_for_what_a_retired_one_released() -> None:
    drive = made()
    release(drive, FIRST)
    records = len(drive.records)
    drive.wait(5)
    assert release(drive, FIRST, key="new-key").word == "done"
    row = drive.state.releases[FIRST]
    assert (row.key_id, row.statement, row.at_ms) == ("new-key", f"statement-of-{FIRST}-by-new-key", drive.now_ms)
    assert [(each.kind, each.why) for each in drive.records[records:]] == [("version-released", {"key": "new-key"})]
    drive.reload()
    assert promote(drive, "digits@production", FIRST, keys=["new-key"]).word == "done"


def test_a_release_is_kept_once_and_of_known_versions() -> None:
    drive = made()
    assert release(drive, "sha256:none").code == "version-unknown"
    release(drive, FIRST)
    before, records = drive.state.releases[FIRST], len(drive.records)
    drive.wait(5)
    assert release(drive, FIRST).word == "done"
    assert (drive.state.releases[FIRST], len(drive.records)) == (before, records)
    assert release(drive, BASE).word == "done", "a version that was brought in may be released too"


def test_the_plane_moves_latest_without_a_move_row() -> None:
    drive = made()
    assert drive.state.aliases["digits@latest"].version == SECOND
    assert not drive.state.alias_moves
    again = AggregateMade(at_ms=drive.now_ms, run="r", round=2, digest="x", size_bytes=1, statement="", leases=())
    drive.feed(again)
    assert drive.state.aliases["digits@latest"].version == SECOND
