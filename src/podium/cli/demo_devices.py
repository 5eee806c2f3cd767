"""The devices of a demo: a process for each hospital, a thread for each of a hundred small devices.

Decides: how they are started, noticed when they die, and ended. Never: what they train. Whatever happens to the demo,
the processes it started are ended by their ids before it returns.
"""

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from podium.cli.devices import keep_place
from podium.device import Device
from podium.device.plan import load_data
from podium.plane.link import OperatorLink
from podium.wire.asks import TokenAsk
from podium.wire.facts import QUALITIES
from podium.wire.problems import OperatorFault, PodiumError

_END_S = 5.0
_LOG_TAIL = 2000


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a demo: its site, its name, the data source it holds, the plans it offers."""

    site: str
    name: str
    dataset: str
    plans: tuple[str, ...]


class Processes:
    """One `podium device run` for each member, with its state and its log below `folder`."""

    def __init__(self, link: OperatorLink, members: list[Member], folder: Path) -> None:
        self._running: dict[Path, subprocess.Popen[bytes]] = {}
        for member in members:
            state = folder / member.name
            token = link.token(TokenAsk(site=member.site, name=member.name)).token
            with Device(link.url, token=token, state=state, name=member.name) as device:
                device.enrol()
            keep_place(state, link.url)
        try:
            for member in members:
                self._start(member, folder)
        except OSError:
            self.close()
            raise

    def _start(self, member: Member, folder: Path) -> None:
        log = folder / f"{member.name}.log"
        words = ["device", "run", "--state", str(folder / member.name), "--dataset", member.dataset]
        words += [word for plan in member.plans for word in ("--plan", plan)]
        with log.open("ab") as out:
            self._running[log] = subprocess.Popen(
                [sys.executable, "-m", "podium.cli.main", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """`OperatorFault(file-unreadable)` with the end of its log if a device has ended by itself."""
        for log, process in self._running.items():
            if process.poll() is not None:
                tail = log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
                what = f"the device of {log.stem} ended with exit code {process.returncode}"
                raise OperatorFault("file-unreadable", what=what, why=tail or "it said nothing", next=f"read {log}")

    def close(self) -> None:
        """Ask each process to end, wait, and end those that did not."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


class Threads:
    """One device in one thread for each member; they keep nothing."""

    def __init__(self, link: OperatorLink, members: list[Member], folder: Path) -> None:
        self._fault: PodiumError | None = None
        self._devices: list[Device] = []
        self._threads: list[threading.Thread] = []
        tokens = {
            site: link.token(TokenAsk(site=site, uses=sum(member.site == site for member in members))).token
            for site in sorted({member.site for member in members})
        }
        for member in members:
            data = load_data(member.dataset)
            device = Device(link.url, token=tokens[member.site], data=data, name=member.name)
            device.plans = member.plans
            # the digits are public: what a device's owner keeps private, these tell
            device.told, device.tells = frozenset(data), frozenset(QUALITIES)
            self._devices.append(device)
            self._threads.append(threading.Thread(target=self._run, args=(device,), name=member.name, daemon=True))
        for thread in self._threads:
            thread.start()

    def _run(self, device: Device) -> None:
        try:
            device.run_forever()
        except PodiumError as error:
            self._fault = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise what ended a device, if anything did."""
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Ask each device to stop, wait for its thread, close it."""
        for device in self._devices:
            device.stop()
        for thread in self._threads:
            thread.join(_END_S)
        for device in self._devices:
            device.close()
