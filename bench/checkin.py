"""What one check-in costs the plane: processor time of its process for each request, beside a raw echo.

Rows: no-offer (a run is there, each device fails its momentary rule), offers-5 (5 % of the check-ins get a lease, which
is durable before the answer leaves), both also under TLS. 256 keep-alive connections, one request under way on each.
The median of three passes each; the load is sent by this process, the server's time is read from the kernel.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench._load import drive, scratch, self_signed
from bench._planes import PLAN, looks, noop_task, plane, process
from bench._rows import Row, row
from bench.limits.raw_asgi_echo import ANSWER
from podium import Round, Run, Select
from podium.device.link import Headers, Link, Reply
from podium.device.plan import load_plan
from podium.device.session import Session, enrol, new_identity, read_token
from podium.device.state import State
from podium.plane.link import OperatorLink
from podium.plane.runs import run_ask
from podium.wire.asks import TokenAsk
from podium.wire.messages import Capabilities, CheckIn, CheckInAnswer

CONNECTIONS = 256
PASSES = 3
REQUESTS = 26
"""Of each device, the last of them an offer; with the shortened first devices of `scripts_of`, 5 % are offers."""
DEVICES = 512
OFFERED = b'"offer":{'
ECHO = str(Path(__file__).parent / "limits" / "raw_asgi_echo.py")
IDLE = CheckIn(battery=0.5, charging=True, metered=False, ram_free_mb=1024.0, disk_free_mb=4096.0, thermal_c=31.5)
READY = CheckIn(battery=0.95, charging=True, metered=False, ram_free_mb=1024.0, disk_free_mb=4096.0, thermal_c=31.5)


class Recorder(Link):
    """A link that keeps check-ins as bytes instead of sending them."""

    def __init__(self, url: str, ca: str) -> None:
        super().__init__(url, ca)
        self.kept: list[bytes] = []

    def send(self, method: str, target: str, body: bytes | None, headers: Headers) -> Reply:
        """Everything but a check-in is sent."""
        if target != "/v1/checkin" or body is None:
            return super().send(method, target, body, headers)
        lines = [f"{method} {target} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.kept.append("\r\n".join([*lines, "", ""]).encode() + body)
        return ANSWER, {}


class Fleet:
    """Enrolled devices with open sessions, whose check-ins are made as bytes."""

    def __init__(self, link: OperatorLink, count: int) -> None:
        token = read_token(link.token(TokenAsk(uses=count)).token)
        facts = Capabilities(
            os="linux",
            architecture="amd64",
            variant="",
            ram_mb=2048,
            cores=4,
            accelerator="",
            agent="bench",
            runtimes={"numpy": "2.0"},
            plans={PLAN: load_plan(PLAN).digest},
            datasets={},
        )
        self._sessions: list[tuple[Recorder, Session]] = []
        for number in range(count):
            recorder, state = Recorder(link.url, token.ca), State(None)
            identity = enrol(recorder, state, new_identity(token, f"device-{number}"), token)
            session = Session(recorder, state, identity, lambda: facts)
            session.say("/v1/checkin", IDLE, CheckInAnswer)  # opens the session
            recorder.kept.clear()
            recorder.close()
            self._sessions.append((recorder, session))

    def checkins(self, messages: Sequence[CheckIn]) -> list[list[bytes]]:
        """For each device, these check-ins as requests with growing counters."""
        made = []
        for recorder, session in self._sessions:
            for message in messages:
                session.say("/v1/checkin", message, CheckInAnswer)
            made.append(list(recorder.kept))
            recorder.kept.clear()
        return made


def scripts_of(requests: list[list[bytes]]) -> list[list[bytes]]:
    """The devices' requests dealt over the connections, device after device on each.

    A connection starts somewhere within its first device's requests, so that the last ones (the offers) spread evenly.
    """
    share = -(-len(requests) // CONNECTIONS)
    scripts = []
    for number, start in enumerate(range(0, len(requests), share)):
        devices = requests[start : start + share]
        first = devices[0][number % len(devices[0]) :]
        scripts.append([request for device in (first, *devices[1:]) for request in device])
    return scripts


def echo_us(tls: tuple[Path, Path] | None, scripts: list[list[bytes]]) -> float:
    """Microseconds of the echo's processor time for each of the same requests."""
    with process([ECHO, *map(str, tls or ())]) as (pid, url):
        return statistics.median(_us(drive(url, scripts, OFFERED, pid)[0], scripts) for _ in range(PASSES))


def _us(seconds: float, scripts: list[list[bytes]]) -> float:
    return seconds * 1e6 / sum(map(len, scripts))


def measure() -> Iterator[Row]:
    """The four rows."""
    with scratch() as folder:
        home = Path(folder)
        for suffix, tls in (("", None), ("-tls", self_signed(home))):
            yield from _rows(home / f"plane{suffix}", suffix, tls)


def _rows(data: Path, suffix: str, tls: tuple[Path, Path] | None) -> Iterator[Row]:
    with plane(data, tls, "window_max_ms=600000") as (pid, link):
        fleets = [Fleet(link, DEVICES) for _ in range(PASSES)]
        run = _started(link)
        scripts = [scripts_of(fleet.checkins([IDLE] * REQUESTS)) for fleet in fleets]
        idle = [_us(drive(link.url, each, OFFERED, pid)[0], each) for each in scripts]
        _reporting(link, run)
        offering = [scripts_of(fleet.checkins([*[IDLE] * (REQUESTS - 1), READY])) for fleet in fleets]
        seen = [(drive(link.url, each, OFFERED, pid), each) for each in offering]
        share = sum(found for (_, found), _ in seen) / sum(len(script) for _, each in seen for script in each)
        if not 0.04 <= share <= 0.06:
            raise RuntimeError(f"{share:.1%} of the check-ins got an offer instead of 5 %")
        offers = statistics.median(_us(used, each) for (used, _), each in seen)
    limit = ("raw-asgi-echo" + suffix, echo_us(tls, scripts[0]))
    yield row(("checkin", f"no-offer{suffix}"), statistics.median(idle), "us", limit, 2.0)
    yield row(("checkin", f"offers-5{suffix}"), offers, "us", limit, 2.5)


def _started(link: OperatorLink) -> Run:
    select = Select(requires="device.ram_mb >= 16", when="device.battery > 0.9 && device.charging")
    goal = 2 * PASSES * DEVICES
    terms = Round(goal=goal, minimum=1, deadline="1h", form_deadline="1h", stall="1h")
    task = noop_task("checkin", 16, select, terms)
    return Run(link, link.submit(run_ask(task.whole(), Path(), task.model.data)).run)


def _reporting(link: OperatorLink, run: Run) -> None:
    """Let one device be ready, so that the round starts and has seats for all others."""
    (requests,) = Fleet(link, 1).checkins([READY] * 3)
    drive(link.url, [requests], OFFERED, os.getpid())
    for view in looks(run, 50):
        if view.round is not None and view.round.state == "REPORTING":
            return
