"""A device of the kill test: `python device_child.py URL TOKEN STATE PLACE TRACE FUSE`; runs until killed or SIGTERM.

The link writes down each request before it leaves and after its answer came. `stored` is written down, durably, before
anything else learns of it. The fuse counts requests.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from podium.device import Device, GivenProbes
from podium.device import agent as agent_module
from podium.device.link import Headers, Link, Reply, decoded
from podium.wire.limits import Limits
from podium.wire.messages import LeaseAnswer
from tests.e2e.kills.tracing import Fuse, Trace

LIMITS = Limits(retry_first_ms=50, transient_ms=200, permanent_ms=500)
PHASES = {"blobs": "fetch", "challenge": "session", "root": "session", "decline": "accept", "fail": "accept"}
"""Last (or for blobs, second) word of a path -> what that request is called, where it is not the word itself."""


def phase_of(target: str) -> str:
    """What a request is called in the conversation."""
    words = target.partition("?")[0].split("/")
    word = "blobs" if words[2] == "blobs" else words[-1]
    return PHASES.get(word, word)


class TracedLink(Link):
    """The device's link, written down."""

    trace: Trace
    fuse: Fuse

    def send(self, method: str, target: str, body: bytes | None, headers: Headers) -> Reply:
        """One request, written down."""
        phase = phase_of(target)
        self.trace.say("begin", phase)
        try:
            self.fuse.before(phase)
            reply = super().send(method, target, body, headers)
            if phase == "report" and decoded(reply[0], LeaseAnswer).word == "stored":
                self.trace.say("stored", target.split("/")[3], durable=True)
            self.fuse.after(phase)
            return reply
        finally:
            self.trace.say("end", phase)

    def stream(self, target: str, headers: Headers) -> tuple[int, Iterator[bytes]]:
        """A download, written down from its request to its last piece."""
        self.trace.say("begin", "fetch")
        try:
            self.fuse.before("fetch")
            status, pieces = super().stream(target, headers)
        except BaseException:
            self.trace.say("end", "fetch")
            raise
        return status, self._traced(pieces)

    def _traced(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
            self.fuse.after("fetch")
        finally:
            self.trace.say("end", "fetch")


def main() -> None:
    """Serve the plane until told to end."""
    url, token, state, place, trace_file, fuse = sys.argv[1:]
    trace = Trace(Path(trace_file))
    trace.say("life", fuse)
    TracedLink.trace, TracedLink.fuse = trace, Fuse(fuse, trace)
    vars(agent_module)["Link"] = TracedLink
    with Device(url, token=token, data={"place": [int(place)]}, state=Path(state), probes=GivenProbes()) as device:
        device.limits = LIMITS
        device.plans = ("kill_plans:one_hot",)
        signal.signal(signal.SIGTERM, lambda number, frame: device.stop())
        device.run_forever()


if __name__ == "__main__":
    main()
