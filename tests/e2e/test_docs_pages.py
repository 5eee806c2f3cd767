"""The docs do what they say: every command of every page runs, in the page's order, against real planes and devices."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.page_shell import commands, script

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for folder in (DOCS, DOCS / "how-to", DOCS / "explanation")
    for page in folder.glob("*.md")
    if commands(page) and page.name != "tutorial.md"
)


def do(text: str, folder: Path, seconds: int) -> None:
    """Run `text` in `folder` as a reader would; nothing that it started lives on."""
    # `bin` of the environment that the tests run in comes first: the reader has installed Podium there
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=os.environ | {"PATH": path, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    others = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in folder.glob("terminal.*"))
    assert code == 0, f"{(folder / 'said').read_text()[-4000:]}\n{others}"


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """All of it but its installation: what the tests run in stands for the environment that it makes."""
    bin = tmp_path / ".venv-podium" / "bin"
    bin.mkdir(parents=True)
    (bin / "activate").touch()
    lines = script(DOCS / "tutorial.md").splitlines(keepends=True)
    do("".join(line for line in lines if not line.startswith(("python3 -m venv ", "pip install "))), tmp_path, 240)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_tutorial_from_a_fresh_clone(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), "clone"], cwd=tmp_path, check=True)
    do(script(DOCS / "tutorial.md"), tmp_path / "clone", 580)


def test_there_are_pages_with_commands() -> None:
    assert len(PAGES) >= 6


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    do(script(page), tmp_path, 380)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    made = subprocess.run(
        [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "reference" / "errors.html").is_file()
