"""Every mutant of the core's tables is caught by the core's tests, but for those that survivors.toml forgives."""

import subprocess
import sys

import pytest


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("machine", ["run", "round", "lease"])
def test_the_survivors_are_the_forgiven_ones(machine: str) -> None:
    hunted = subprocess.run([sys.executable, "-m", "tests.mutation.hunt", machine], capture_output=True, text=True)
    assert hunted.returncode == 0, hunted.stdout + hunted.stderr
