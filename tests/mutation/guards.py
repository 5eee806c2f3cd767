"""Run mutmut over the guards of core/rounds and hold its survivors against the forgiven ones.

Decides: what a survivor is called, so that its name outlives an edit elsewhere: "<function>: <old> => <new>". Never:
which mutants there are (mutmut; [tool.mutmut] names files and suite) nor which are forgiven (survivors.toml).
A mutant that only rewords a message is prose and forgiven. By hand: python -m tests.mutation.guards [PATTERN ...]; a
pattern is mutmut's, such as 'podium.core.rounds.leases.*'. Without one every mutant is tried, which takes long.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.hunt import LIST

MADE = Path("mutants")
ALIVE = (0, 5, 33)
"""mutmut's exit codes for a mutant no test fails on: survived, no tests, no tests."""

PROSE = re.compile(r"""f?"[^"]*\s[^"]*"|'[^']*\s[^']*'""")


def survivor_name(mutant: str, diff: str) -> str:
    """What a survivor is called, from mutmut's id and its unified diff."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "#"))]
    old = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    new = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return f"{re.sub(r'__mutmut_[0-9]+$', '', mutant)}: {old} => {new}"


def is_prose(name: str) -> bool:
    """Whether the mutant changes nothing but the wording of a message: quoted text that holds a space."""
    old, _, new = name.partition(": ")[2].partition(" => ")
    return PROSE.sub("", old) == PROSE.sub("", new)


def forgiven(path: Path = LIST) -> dict[str, str]:
    """Survivor's name -> reason, as committed."""
    return {each["mutant"]: each["reason"] for each in tomllib.loads(path.read_text()).get("guard", [])}


def survivors(made: Path = MADE) -> list[str]:
    """mutmut's ids of the mutants that its last run left alive."""
    found = [json.loads(path.read_text())["exit_code_by_key"] for path in sorted(made.rglob("*.meta"))]
    return [mutant for codes in found for mutant, code in codes.items() if code in ALIVE]


def _mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, stdin=subprocess.DEVNULL)


def main(patterns: Sequence[str]) -> int:
    """Run, print every survivor that is not forgiven, 0 if there is none; with no pattern, stale ones count too."""
    shutil.rmtree(MADE, ignore_errors=True)
    ran = _mutmut("run", *patterns)
    if ran.returncode:
        sys.stdout.write(ran.stdout[-4000:] + ran.stderr[-4000:])
        return ran.returncode
    alive = {survivor_name(mutant, _mutmut("show", mutant).stdout) for mutant in survivors()}
    alive = {name for name in alive if not is_prose(name)}
    lines = [f"survives: {name}" for name in sorted(alive - forgiven().keys())]
    if not patterns:
        lines += [f"is caught after all, or is none: {name}" for name in sorted(forgiven().keys() - alive)]
    sys.stdout.write("\n".join([*lines, f"{len(alive)} survive, {len(lines)} to look at"]) + "\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
