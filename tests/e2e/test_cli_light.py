"""What `podium status` loads: what it needs to ask a plane, and nothing of what makes a start slow."""

import subprocess
import sys
from pathlib import Path

from tests.support.plane_cases import plane

CODE = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from podium.cli.main import main
main()
"""
SLOW = {"numpy", "rich", "cryptography", "safetensors", "asyncio", "uvicorn", "starlette", "jinja2", "sqlite3"}
HEAVY = ("podium.core", "podium.server", "podium.sim", "podium.adapters", "podium.device.device", "podium.learning")


def test_status_loads_what_it_asks_with_and_no_more(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, _):
        words = [sys.executable, "-c", CODE, "status", "--data", str(server.data)]
        said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    loaded = said.stderr.split()
    assert said.stdout.startswith("plane ") and "podium.plane.link" in loaded
    assert sorted(SLOW.intersection(loaded)) == []
    assert [name for name in loaded if name.startswith(HEAVY)] == []
