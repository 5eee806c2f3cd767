"""A device as a process of its own: `python device_process.py URL TOKEN STATE`; runs until it is killed."""

import sys
from pathlib import Path

from podium.device import Device, GivenProbes
from podium.wire.limits import Limits

if __name__ == "__main__":
    url, token, state = sys.argv[1:]
    device = Device(url, token=token, data={"rows": [1, 2, 3]}, state=Path(state), probes=GivenProbes())
    device.limits = Limits(retry_first_ms=10, transient_ms=50)
    device.run_forever()
