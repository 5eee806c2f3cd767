"""What the tests of the device share: a plane, a model, a task, and a quick device."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from podium.device import Device, GivenProbes
from podium.tasks.task import Data, Head, ModelSource, Task
from podium.wire.limits import Limits
from tests.support.scripted_plane import ScriptedPlane

PLANS = str(Path(__file__).parent)
if PLANS not in sys.path:
    sys.path.append(PLANS)  # plans are loaded by name, as installed ones are

QUICK = Limits(retry_first_ms=10, transient_ms=1_000, permanent_ms=2_000)


def task(plan: str = "add_one", kind: str = "train", **local: int | float | str | bool) -> Task:
    """A task that trains with a plan of `device_plans`."""
    head = Head(
        name="count", plan=f"device_plans:{plan}", purpose="test", kind="evaluate" if kind == "evaluate" else "train"
    )
    return Task(task=head, model=ModelSource(version="x"), data=Data(datasets=("rows",)), local=local)


def model(count: int = 8) -> dict[str, NDArray[np.generic]]:
    """Two float tensors of together `count` numbers and an integer one."""
    return {
        "a": np.arange(count // 2, dtype=np.float32),
        "b": np.arange(count - count // 2, dtype=np.float32).reshape(-1, 1),
        "steps": np.array([3], dtype=np.int64),
    }


def quick_device(plane: ScriptedPlane, state: Path | None = None, probes: GivenProbes | None = None) -> Device:
    """A device of `plane` with three rows of data and short pauses."""
    device = Device(
        plane.url,
        token=plane.token(),
        data={"rows": [1, 2, 3]},
        state=state,
        name="probe",
        probes=probes or GivenProbes(),
    )
    device.limits = QUICK
    device.plans = ("device_plans:add_one",)
    return device
