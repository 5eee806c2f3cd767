"""Write the versions installed beside this interpreter as a pip constraints file.

Decides: which distributions are pinned (all but Podium itself, pip and setuptools). Never: which versions; pip did.
Usage: python tools/lock.py constraints.txt
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

UNPINNED = {"podium", "pip", "setuptools"}
HEAD = "# Every version Podium is developed and tested with. Written by `make lock`; do not edit.\n"


def pins() -> list[str]:
    """`name==version` of each installed distribution, names normalised as PEP 503 says, sorted."""
    found = {re.sub(r"[-_.]+", "-", each.name).lower(): each.version for each in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in UNPINNED]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(HEAD + "".join(f"{pin}\n" for pin in pins()))
