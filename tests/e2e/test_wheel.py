"""The wheel: all of the source tree is in it, and what is installed from it needs nothing of the tree.

Two installations are made from one built wheel, outside the tree: with what this environment has, which serves; and
with what the base requirements name alone, which is a device and a command line, and no plane.
"""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from podium.adapters.sqlite.schema import MIGRATIONS
from tests.e2e.cli_made import ROOT, Said
from tests.support.console_browser import Browser
from tests.support.scripted_plane import ScriptedPlane

pytestmark = pytest.mark.long

SERVED = re.compile(r'(?:href|src)="(/static/[^"]+)"')

AGENT = """
import sys
import podium.device
device = podium.device.Device(sys.argv[1], token=sys.argv[2], data={}, probes=podium.device.GivenProbes())
print(device.run_once().word, podium.__file__)
"""


class Installed:
    """A directory of packages: `pip install --target`, seen by a Python that sees nothing else of ours."""

    def __init__(self, wheel: Path, folder: Path, *, alone: bool) -> None:
        """`alone`: beside it only what the wheel's base requirements name, and what those need."""
        self.folder, self._alone = folder, alone
        pip("install", "--target", folder, wheel)
        root = Distribution.at(next(folder.glob("podium-*.dist-info")))
        for needed in closure(root) if alone else ():
            for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
                (folder / top).symlink_to(str(needed.locate_file(top)))

    def start(self, *words: str | Path) -> "subprocess.Popen[str]":
        """Python with `words`, in a directory that is not the tree."""
        flags = ("-S",) if self._alone else ()  # without site-packages
        return subprocess.Popen(
            [sys.executable, *flags, "-P", *map(str, words)],
            cwd=self.folder.parent,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, *words: str | Path) -> Said:
        """What Python with `words` left."""
        child = self.start(*words)
        out, err = child.communicate(timeout=120)
        return Said(child.returncode, out, err)


def pip(*words: str | Path) -> None:
    """Without an index: nothing but the tree and this environment is asked."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    subprocess.run([*command, "--no-deps", "--no-index"], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def closure(root: Distribution) -> Iterator[Distribution]:
    """What `root` needs without extras, and all that this needs; each once."""
    seen, waiting = set[str](), [root]
    while waiting:
        for text in waiting.pop().requires or ():
            wanted = Requirement(text)
            if wanted.name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            seen.add(wanted.name)
            needed = distribution(wanted.name)
            waiting.append(needed)
            yield needed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the tree with the backend that is here."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def full(wheel: Path) -> Installed:
    """With everything that this environment has."""
    return Installed(wheel, wheel.parent / "full", alone=False)


@pytest.fixture(scope="module")
def base(wheel: Path) -> Installed:
    """As `pip install podium` leaves it."""
    return Installed(wheel, wheel.parent / "base", alone=True)


def test_the_wheel_holds_the_whole_source_and_nothing_else(wheel: Path) -> None:
    """Byte for byte; so whatever is read as data at run time is there, whatever its suffix."""
    with zipfile.ZipFile(wheel) as packed:
        held = {name: packed.read(name) for name in packed.namelist() if ".dist-info/" not in name}
        told = {name.partition("/")[2] for name in packed.namelist() if ".dist-info/" in name}
    source = {
        str(path.relative_to(ROOT / "src")): path.read_bytes()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert held == source
    console = "podium/server/console"
    for name in (f"{console}/templates/sign_in.html", f"{console}/static/console.css", f"{console}/static/console.js"):
        assert held[name]
    assert {"podium/py.typed", "podium/wire/advice.toml", "podium_examples/digits/task.toml"} <= held.keys()
    assert MIGRATIONS[0].strip()[:40].encode() in held["podium/adapters/sqlite/schema.py"]
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= told


def test_an_installed_plane_serves_its_console(full: Installed, tmp_path: Path) -> None:
    """By the `podium` that the wheel installs; its database is made, and its pages and their files are whole."""
    script, data = full.folder / "bin" / "podium", tmp_path / "data"
    child = full.start(script, "serve", "--data", data)
    try:
        assert child.stdout is not None
        browser = Browser(child.stdout.readline().strip())
        page = browser.page("/sign-in")
        assert "<form" in page
        page += browser.sign_in((data / "administrator.token").read_text().strip()).page("/")
        paths = {path.rpartition("/")[2]: path for path in SERVED.findall(page)}
        assert paths.keys() == {"console.css", "console.js", "podium.svg"}
        for name, path in paths.items():
            kept = full.folder / "podium" / "server" / "console" / "static" / name
            assert browser.get(path).data == kept.read_bytes()
        said = full.said(script, "doctor", "--data", data)
        assert said.code == 0 and "ok    journal" in said.out and "ok    plane" in said.out, said
    finally:
        child.terminate()
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    said = full.said("-c", "import podium, podium_examples; print(podium.__file__, podium_examples.__file__)")
    assert [Path(name).parents[1] for name in said.out.split()] == [full.folder, full.folder], said


def test_the_base_installation_is_a_device_and_a_command_line(base: Installed, tmp_path: Path) -> None:
    """None of the server's packages is there to be imported, and nothing asks for one but a verb that serves."""
    absent = "for name in 'starlette uvicorn jinja2 obstore cel_expr_python prometheus_client'.split():\n"
    absent += "    try: __import__(name)\n    except ModuleNotFoundError: print('absent', end=' ')"
    assert base.said("-c", absent).out.split() == ["absent"] * 6
    with ScriptedPlane() as plane:
        said = base.said("-c", AGENT, plane.url, plane.token())
    assert said.out.split() == ["idle", str(base.folder / "podium" / "__init__.py")], said
    program = ("-m", "podium.cli.main")
    assert base.said(*program, "--help").code == 0
    task = base.folder / "podium_examples" / "digits" / "task.toml"
    said = base.said(*program, "task", "validate", task)
    assert said.code == 0, said
    said = base.said(*program, "doctor", "--data", tmp_path / "nowhere")
    assert "podium[server]" in said.out and "Traceback" not in said.err, said
    said = base.said(*program, "serve", "--data", tmp_path / "data")
    assert said.code == 2 and "not-available" in said.err and "pip install 'podium[server]" in said.err, said
