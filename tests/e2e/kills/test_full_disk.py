"""A disk that is really full in the middle of a run: new work is refused with its code, nothing acknowledged is lost,
and the run goes on and ends well when there is room again.

With the right to mount, the plane's directory lies on a small file system of its own, which a file fills; without, the
kernel limits how long the plane's files may get (EFBIG, which to the plane is a full disk too).
"""

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest

from podium.wire.asks import TokenAsk
from podium.wire.problems import Problem
from tests.e2e.kills.killing import Trial
from tests.e2e.kills.ledger import check

DISK = "128m"
CODES = ("store-full", "store-failed", "store-unknown")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """`folder` as a file system of its own while the block lasts; whether that could be had."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=False, capture_output=True
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Callable[[], None]:
    """Write until nothing more fits; what makes room again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            pour(file, bytes(size))
    return ballast.unlink


def pour(file: IO[bytes], block: bytes) -> None:
    """Write `block` until it no longer fits."""
    with contextlib.suppress(OSError):
        while file.write(block) == len(block):
            pass


def limit(pid: int) -> Callable[[], None]:
    """Let no file of the process grow beyond what one row needs; what lifts that again."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, before[1]))

    def lift() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    return lift


@pytest.mark.parametrize("means", ["disk", pytest.param("limit", marks=pytest.mark.long)])
def test_a_full_disk_in_the_middle_of_a_run(tmp_path: Path, means: str) -> None:
    with small_disk(tmp_path / "small") as mounted:
        if means == "disk" and not mounted:
            means = "limit"
        trial = Trial(tmp_path / "trial", f"full/{means}", rounds=6, data=tmp_path / "small" / "data")
        try:
            trial.prepare()
            for mortal in trial.mortals:
                mortal.start()
            trial.until(lambda: trial.ended() or (trial.view is not None and trial.view.rounds_sealed >= 2), 60)
            assert trial.view is not None and trial.view.state == "RUNNING"
            free = fill(tmp_path / "small") if means == "disk" else limit(trial.plane.pid)
            said = refused(trial)
            free()
            # SQLite calls EFBIG an I/O error, so that under a limit a commit may only be of unknown outcome
            assert said.code in (CODES[:1] if means == "disk" else CODES), said
            trial.finish()
            check(trial)
        finally:
            trial.bury()


def refused(trial: Trial) -> Problem:
    """What an operator hears who asks for something new until it is refused."""
    problems: list[Problem] = []

    def asked() -> bool:
        response = trial.operator().ask("POST", "/api/v1/tokens", TokenAsk())
        if response.status == 503:
            problems.append(msgspec.json.decode(response.data, type=Problem))
        return bool(problems)

    trial.until(asked, 30)
    assert trial.operator().ask("GET", "/healthz").status == 200
    return problems[0]
