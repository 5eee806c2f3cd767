"""A scripted device that never gives up: whatever breaks, it opens a session again and goes on with what it has."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import urllib3

from podium.wire import messages as m
from podium.wire.operator import PlaneFile
from tests.support.plane_cases import one_hot
from tests.support.scripted_device import CHUNK, Refused, ScriptedDevice, Update


@dataclass
class StubbornDevice:
    """Serves one-hot updates at `place` until `stopping`; `stored` are the leases whose report was acknowledged."""

    data: Path
    device: ScriptedDevice
    place: int
    stopping: threading.Event
    stored: set[str] = field(default_factory=set)
    made: dict[str, Update] = field(default_factory=dict)
    broke: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Serve."""
        while not self.stopping.is_set():
            try:
                if self.device.session is None:
                    self._open()
                self._cycle()
            except Refused as refused:
                if refused.code in ("session-unknown", "epoch-stale", "mac-invalid", "counter-replayed"):
                    self.device.session = None
                self.broke.append(refused.code)
                time.sleep(0.01)
            except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError) as error:
                self.device.session = None
                self.broke.append(type(error).__name__)
                time.sleep(0.02)

    def _open(self) -> None:
        said = msgspec.json.decode((self.data / "plane.json").read_bytes(), type=PlaneFile)
        self.device.url = said.url
        self.device.open()

    def _cycle(self) -> None:
        answer = self.device.check_in(battery=1.0)
        if answer.offer is None:
            time.sleep(answer.window_else_ms / 1000)
            return
        lease = answer.offer.lease
        if answer.offer.state == "OFFERED" and self.device.lease(lease, "accept", m.Accept()).word != "go":
            return
        if lease not in self.made:
            manifest = self.device.manifest(answer.offer)
            self.made[lease] = self.device.update(answer.offer, manifest, one_hot(self.place))
        sealed = self.made[lease].sealed
        head = self.device.ask("HEAD", f"/v1/leases/{lease}/upload")
        if head.status != 200:
            return
        for offset in range(int(head.headers["podium-offset"]), len(sealed), CHUNK):
            self.device.put(lease, offset, sealed[offset : offset + CHUNK])
        if self.device.report(lease, self.made[lease].report).word == "stored":
            self.stored.add(lease)
