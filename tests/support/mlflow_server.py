"""A real MLflow server on a loopback port, from a virtual environment of its own (`make test-long` makes it)."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".venv-mlflow" / "bin" / "mlflow"
START_S = 120.0


@contextmanager
def mlflow_server(home: Path) -> Iterator[str]:
    """Its URL once it answers; everything it keeps is under `home`."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing; run: make .venv-mlflow/.stamp"
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PROGRAM), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "kept")]
    told = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    told |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, env=told, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, home / "log")
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=2.0)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if pool.request("GET", url + "/health").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"MLflow did not start: {log.read_text()[-4000:]}")
