"""The named guards have no surviving mutants but the forgiven ones. `make mutate` tries all of core/rounds."""

import subprocess
import sys
import tomllib

import pytest

from tests.mutation.hunt import LIST


@pytest.mark.long
@pytest.mark.timeout(1400)  # twelve minutes or so with another worker beside it
def test_the_named_guards_have_no_other_survivors() -> None:
    patterns = tomllib.loads(LIST.read_text())["guards"]
    hunted = subprocess.run([sys.executable, "-m", "tests.mutation.guards", *patterns], capture_output=True, text=True)
    assert hunted.returncode == 0, hunted.stdout + hunted.stderr
