"""Many no-op devices in one process: enrols them, says so, and serves the plane until it is ended.

Run as a program: python -m bench._devices URL TOKEN COUNT. Each device is a thread of its own with nothing on disk.
"""

import sys
import threading

from bench._planes import PLAN
from podium import Device


def main() -> None:
    """Enrol COUNT devices, print "ready", run them."""
    url, token, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    devices = [Device(url, token=token, name=f"device-{number}") for number in range(count)]
    for device in devices:
        device.plans = (PLAN,)
        device.enrol()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threads = [threading.Thread(target=device.run_forever, daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
