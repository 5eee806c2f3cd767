"""What is advised may be typed as it stands: it names the plane by the options that were typed, and no others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.cli.advice import VARIABLES, advised, forget
from podium.cli.main import app, main

NOWHERE = "https://plane.example:8440"


def said(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `podium WORDS`, which cannot be done, says on stderr."""
    monkeypatch.setattr("sys.argv", ["podium", *words])
    monkeypatch.setattr("sys.excepthook", sys.excepthook)  # main sets it for its process
    with pytest.raises(SystemExit):
        main()
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the environment says which plane, and nothing typed is left behind."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    yield
    forget()


def test_what_was_typed_is_in_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = tmp_path / "my plane"
    told = said(["status", "--data", str(data)], monkeypatch, capsys)
    assert f"next: check --data; podium dev --data '{data}' or podium serve --data '{data}' starts a plane" in told
    assert advised("mend it: podium explain 7f3a, then podium device list") == (
        f"mend it: podium explain --data '{data}' 7f3a, then podium device list --data '{data}'"
    )
    assert advised(advised("podium watch 7f3a")) == advised("podium watch 7f3a")


def test_only_verbs_that_take_it_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = tmp_path / "no.token"
    told = said(["status", "--plane", NOWHERE, "--token-file", str(token)], monkeypatch, capsys)
    assert "file-unreadable" in told
    both = f" --plane {NOWHERE} --token-file {token}"
    assert advised("podium resume 7f3a # soon") == f"podium resume{both} 7f3a # soon"
    assert advised("podium device enroll TOKEN") == f"podium device enroll --plane {NOWHERE} TOKEN"
    for unchanged in (
        "podium db backup --out FILE",  # a directory on this machine, of which an address says nothing
        "podium device run --state DIR",  # it remembers where its plane is
        "podium demo",
        "podium error run-unknown",
        "podium run TASK.toml --data elsewhere",
        "podium alone brings no server",
        "podium status --help",
        "nothing to type",
    ):
        assert advised(unchanged) == unchanged


def test_what_the_environment_says_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PODIUM_DATA", str(tmp_path / "kept"))
    assert f"no plane's data in {tmp_path / 'kept'}" in said(["status"], monkeypatch, capsys)
    assert advised("podium status") == "podium status"


def test_what_is_typed_goes_before_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PODIUM_PLANE", NOWHERE)
    assert "no credential was given" in said(["status"], monkeypatch, capsys)
    told = said(["status", "--data", str(tmp_path / "here")], monkeypatch, capsys)
    assert f"no plane's data in {tmp_path / 'here'}" in told


def test_each_verb_of_a_plane_hears_the_environment() -> None:
    import typer

    def options(command: object) -> set[tuple[str, str | None]]:
        inner = getattr(command, "commands", {}).values()
        own = {(each.name, each.envvar) for each in getattr(command, "params", ()) if each.name in ("plane", "data")}
        return own.union(*map(options, inner))

    assert options(typer.main.get_command(app)) == {
        ("data", "PODIUM_DATA"),
        ("plane", "PODIUM_PLANE"),
        ("data", None),  # podium demo makes a plane of its own
        ("plane", None),  # podium device run remembers its plane
    }
