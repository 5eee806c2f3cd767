"""What is advised installs Podium's own extra, from where the Podium that runs came from."""

import json
from pathlib import Path

import pytest

from podium.wire.extras import how_to_install


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, came_from: object) -> None:
    """A distribution podium 0.1.0 in `folder` is the only one there is; `came_from`: what its installer noted."""
    notes = folder / "podium-0.1.0.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: podium\nVersion: 0.1.0\n")
    if came_from is not None:
        (notes / "direct_url.json").write_text(json.dumps(came_from))
    monkeypatch.setattr("sys.path", [str(folder)])


IN_SOURCE = "pip install -c constraints.txt "


@pytest.mark.parametrize(
    ("came_from", "demo", "itself"),
    [
        (
            {"url": "file:///src/my%20podium", "dir_info": {}},
            f"cd '/src/my podium' && {IN_SOURCE}'.[demo]'",
            f"cd '/src/my podium' && {IN_SOURCE}.",
        ),
        (
            {"url": "file:///podium", "dir_info": {"editable": True}},
            f"cd /podium && {IN_SOURCE}'.[demo]'",
            f"cd /podium && {IN_SOURCE}.",
        ),
        (
            {"url": "file:///w/podium-0.1.0.whl", "archive_info": {}},
            "pip install 'podium[demo] @ file:///w/podium-0.1.0.whl'",
            "pip install 'podium @ file:///w/podium-0.1.0.whl'",
        ),
        (None, "pip install 'podium[demo]==0.1.0'", "pip install podium==0.1.0"),
    ],
)
def test_an_extra_comes_from_where_podium_came_from(
    came_from: object, demo: str, itself: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, came_from)
    assert (how_to_install("demo"), how_to_install()) == (demo, itself)


def test_sources_that_nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert how_to_install("otel") == "in Podium's source: pip install -c constraints.txt '.[otel]'"
