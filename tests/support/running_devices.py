"""Device agents at work in threads of the test."""

import contextlib
import threading
from collections.abc import Iterator

from podium.device import Device


@contextlib.contextmanager
def running(*devices: Device) -> Iterator[None]:
    """`devices` run for ever, each in a thread, until the block ends."""
    threads = [threading.Thread(target=device.run_forever, daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for device in devices:
            device.stop()
        for thread in threads:
            thread.join(20)
        for device in devices:
            device.close()
