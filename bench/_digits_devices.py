"""The hundred devices of the digits example, enrolled at a plane and at work on its runs until they are ended.

Run as a program: python -m bench._digits_devices DATA, the data directory of the plane. Each device is a thread of its
own with nothing on disk.
"""

import sys
import threading
from pathlib import Path

from podium.cli.demo_devices import Member, Threads
from podium.plane.finding import connect_data
from podium_examples.digits.shards import DEVICES

PLAN = "podium_examples.digits:train"


def main() -> None:
    """Start the devices, print "ready"."""
    members = [
        Member(
            site=f"site-{number % 10:03d}",
            name=f"digits-{number}",
            dataset=f"podium_examples.digits:data?{number}",
            plans=(PLAN,),
        )
        for number in range(DEVICES)
    ]
    with connect_data(Path(sys.argv[1])) as link, Threads(link, members, Path()):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
