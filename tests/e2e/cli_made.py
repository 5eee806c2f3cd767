"""A `podium dev` of a test's own, and verbs run against it as a person would: other processes, pipes, exit codes."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASK = ROOT / "src" / "podium_examples" / "hospital" / "task.toml"
PLANS = ("--plan", "podium_examples.hospital:train", "--plan", "podium_examples.hospital:evaluate")
PODIUM = (sys.executable, "-m", "podium.cli.main")


@dataclass(frozen=True)
class Said:
    """What a finished verb left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


def podium(*words: str | Path) -> Said:
    """Run one verb to its end, without a terminal."""
    done = subprocess.run([*PODIUM, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return Said(done.returncode, done.stdout, done.stderr)


def start(words: Sequence[str | Path]) -> "subprocess.Popen[str]":
    """Start one verb and leave it running."""
    return subprocess.Popen(
        [*PODIUM, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Dev:
    """A running `podium dev`: its address, its directory, the token it printed."""

    url: str
    data: Path
    token: str

    def podium(self, *words: str | Path) -> Said:
        """A verb against this plane."""
        return podium(*words, "--data", self.data)


@contextlib.contextmanager
def dev(data: Path) -> Iterator[Dev]:
    """A `podium dev` over `data`; it must end with exit code 0 when it is asked to."""
    process = start(["dev", "--data", data, "--set", "window_idle_ms=200"])
    try:
        assert process.stdout is not None
        told = dict(process.stdout.readline().rstrip("\n").split(maxsplit=1) for _ in range(5))
        yield Dev(url=told["plane"], data=data, token=told["enrol"].split()[3])
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


@contextlib.contextmanager
def device_running(plane: Dev, state: Path, site: str) -> Iterator[None]:
    """One hospital's device, enrolled with the token that dev printed, running in a process of its own."""
    enrolled = podium("device", "enroll", plane.token, "--plane", plane.url, "--state", state)
    assert enrolled.code == 0, enrolled.err
    data = f"podium_examples.hospital:data?{site}"
    process = start(["device", "run", "--state", state, "--dataset", data, *PLANS])
    try:
        yield
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


def task_file(folder: Path, **changed: str) -> Path:
    """The hospitals' task with `key = value` lines changed, such as goal="1"."""
    lines = []
    for line in TASK.read_text().splitlines():
        key = line.split("=")[0].strip()
        lines.append(f"{key} = {changed[key]}" if key in changed else line)
    path = folder / "task.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
