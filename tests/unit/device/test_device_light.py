"""The device installs and starts without the plane: neither its rooms nor its dependencies are ever loaded."""

import subprocess
import sys

from tests.support.scripted_plane import ScriptedPlane

PROGRAM = """
import sys

class Absent:
    NAMES = "starlette uvicorn uvloop httptools jinja2 obstore cel_expr_python prometheus_client sklearn".split()

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.NAMES:
            raise ImportError(name + " is not installed on a device")

sys.meta_path.insert(0, Absent())
import podium.device
device = podium.device.Device(sys.argv[1], token=sys.argv[2], data={}, probes=podium.device.GivenProbes())
assert device.run_once().word == "idle"
rooms = {".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("podium.")}
print(sorted(rooms & {"podium." + room for room in "core server sim adapters cli learning".split()}))
print("podium.ports.plane" in sys.modules)
"""


def test_a_device_runs_without_the_planes_dependencies() -> None:
    with ScriptedPlane() as plane:
        program = f"import sys; sys.path[:0] = {sys.path!r}\n{PROGRAM}"
        command = [sys.executable, "-c", program, plane.url, plane.token()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
