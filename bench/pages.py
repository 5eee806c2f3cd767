"""What a page costs the plane over a million devices and twelve thousand rounds, and what a hundred watchers cost.

All of it while a run goes on: the hundred devices of the digits example check in, take leases, train and report to the
very run whose ten thousand rounds are looked at, so that nothing is read twice from an idle plane.
Rows: one for each list and view of the operator API and each screen of the console (the median time to the last byte
over one kept connection, the asker included, so a little more than the server's own); the same of the overview while
the whole journal is verified; and what a hundred viewers of the live run cost, percent of a core: viewers-page-100 of
its page in the console (half of them administrators), viewers-api-100 of its stream in the operator API, each with
how long it takes from one event to the next.
Limits: the same number of rows read by a bare SQLite loop and encoded as JSON; for the watchers, 5 %.
"""

import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench import _fleet_runs
from bench._console import Asker, Watchers, screens, signed_in
from bench._fleet_data import fill
from bench._fleet_runs import RUN, WIDE, device_id
from bench._load import cpu_s, resident_bytes, scratch
from bench._planes import plane
from bench._rows import Row, valued
from podium.plane.link import OperatorLink

TARGET_MS, ALLOWED = 100.0, 5.0
REQUESTS = 21
VIEWERS, WATCHED_ROUNDS, WATCHES = 100, 16, 5
"""So many viewers, each time while so many rounds are sealed, so often; a round takes less than a second, and a page
under so many eyes is drawn every three."""
LATEST = "digits@latest"
ROWS = 100
TOP = Path(__file__).resolve().parents[1]
RETURN_MS = 1_000
"""How soon devices come back: a fleet of a million would be told hours."""
DEVICE = device_id(_fleet_runs.BUSY)
PAGES: dict[str, str] = {
    "status": "status",
    "runs": f"runs?limit={ROWS}",
    "run": f"runs/{RUN}",
    "run-explain": f"runs/{RUN}/explain",
    "rounds": f"runs/{RUN}/rounds?limit={ROWS}",
    "rounds-last": f"runs/{RUN}/rounds?limit={ROWS}&after=101",
    "rounds-wide": f"runs/{WIDE}/rounds?limit={ROWS}",
    "round": f"runs/{RUN}/rounds/9990",
    "round-leases": f"runs/{WIDE}/rounds/50/leases?limit={ROWS}",
    "devices": f"devices?limit={ROWS}",
    "devices-last": f"devices?limit={ROWS}&after=999800",
    "devices-site": f"devices?limit={ROWS}&site=site-077",
    "devices-name": f"devices?limit={ROWS}&name=device-09",
    "devices-label": f"devices?limit={ROWS}&label=region%3Dr7,tier%3D2",
    "devices-rare": f"devices?limit={ROWS}&site=site-077&state=cordoned",
    "devices-offline": f"devices?limit={ROWS}&online=false&after=900000",
    "device": f"devices/{DEVICE}",
    "device-explain": f"devices/{DEVICE}/explain",
    "device-leases": f"devices/{DEVICE}/leases?limit={ROWS}",
    "fleet": "fleet",
    "presence": "fleet/presence",
    "versions": f"versions?limit={ROWS}&newest=true",
    "versions-run": f"versions?limit={ROWS}&run={RUN}&newest=true",
    "versions-task": f"versions?limit={ROWS}&task=trial&newest=true",
    "aliases": "aliases",
    "journal": f"audit/entries?limit={ROWS}",
    "journal-kind": f"audit/entries?limit={ROWS}&kind=device-enrolled",
    "journal-subject": f"audit/entries?limit={ROWS}&subject={device_id(5)}",
    "journal-rare": f"audit/entries?limit={ROWS}&kind=plane-booted&actor=device:none",
}
"""Name of the row -> what is asked of /api/v1."""


def measure() -> Iterator[Row]:
    """Every row, in a directory that goes away."""
    with scratch() as folder:
        data = Path(folder) / "data"
        fill(data)
        yield from measured(data)


def measured(data: Path) -> Iterator[Row]:
    """Every row over a filled directory, which goes on growing."""
    floor_ms = _floor(data)
    began = time.monotonic()
    with plane(data, None, f"window_max_ms={RETURN_MS}") as (pid, link):
        yield _row("open", time.monotonic() - began, "s", ("none", 1.0), None)
        yield _row("memory", resident_bytes(pid) / 1e6, "MB", ("none", 1.0), None)
        token = (data / "administrator.token").read_text().strip()
        with _devices(data):
            _sealing(link, 2)
            api, person = Asker(link.url, {"authorization": f"Bearer {token}"}), signed_in(link.url, token)
            console = Asker(link.url, person)
            asked = [(name, api, f"/api/v1/{path}") for name, path in PAGES.items()]
            asked += [("metrics", api, "/metrics")]
            asked += [(f"console {name}", console, path) for name, path in screens(**_named(link))]
            for name, asker, path in asked:
                times = [asker.ask_ms(path) for _ in range(REQUESTS)]
                yield _row(name, statistics.median(times), "ms", ("bare-sqlite", floor_ms), TARGET_MS)
            yield from _verifying(console, floor_ms)
            yield from _viewers(pid, link, data)


def _named(link: OperatorLink) -> dict[str, str]:
    """What fills the braces of the screens' paths."""
    service = next(each.id for each in link.services() if not each.revoked)
    return {
        "run": RUN,
        "task": "digits",
        "wide": WIDE,
        "round": "9990",
        "device": DEVICE,
        "version": link.run(RUN).base,
        "service": service,
    }


@contextlib.contextmanager
def _devices(data: Path) -> Iterator[None]:
    """The devices of the digits, in a process of their own."""
    words = [sys.executable, "-m", "bench._digits_devices", str(data)]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=TOP)
    try:
        assert running.stdout is not None
        if running.stdout.readline() != "ready\n":
            raise RuntimeError(f"the devices ended with exit code {running.wait()}")
        yield
    finally:
        running.kill()
        running.wait()


def _sealing(link: OperatorLink, count: int) -> None:
    """Wait until the live run has sealed `count` further rounds; `RuntimeError` if it stands still."""
    wanted, until = _seals(link) + count, time.monotonic() + 120
    while _seals(link) < wanted:
        time.sleep(0.1)
        if time.monotonic() > until:
            raise RuntimeError(f"the run that is watched stands still: {link.explain('run', RUN)}")


def _seals(link: OperatorLink) -> int:
    """How often the live run's alias has moved: it does with each seal, and is the cheapest thing to ask for."""
    return next(each.counter for each in link.aliases() if each.alias == LATEST)


def _verifying(console: Asker, floor_ms: float) -> Iterator[Row]:
    """How long the journal's verification takes, and how long the overview meanwhile."""
    took: list[float] = []
    other = threading.Thread(target=lambda: took.append(console.ask_ms("/journal/verify")))
    other.start()
    times = [console.ask_ms("/")]
    while other.is_alive():
        times.append(console.ask_ms("/"))
    yield _row("verifying", took[0] / 1000, "s", ("none", 1.0), None)
    yield _row("console / while verifying", statistics.median(times), "ms", ("bare-sqlite", floor_ms), TARGET_MS)


def _viewers(pid: int, link: OperatorLink, data: Path) -> Iterator[Row]:
    """Percent of a core that viewers cost: the plane's processor time over as many rounds with them and without.

    Rounds are counted, not seconds, so that both times hold the same work of devices; each time with viewers is set
    against those without before and after it.
    """
    tokens = [(data / f"{role}.token").read_text().strip() for role in ("administrator", "viewer")]
    people = [signed_in(link.url, tokens[number % 2]) for number in range(VIEWERS)]
    machines = [{"authorization": f"Bearer {tokens[0]}"}] * VIEWERS
    watched = {
        "viewers-page-100": (f"/live/runs/{RUN}", people),
        "viewers-api-100": (f"/api/v1/runs/{RUN}", machines),
    }
    costs: dict[str, list[float]] = {name: [] for name in watched}
    every: dict[str, list[float]] = {name: [] for name in watched}
    alone_s, _ = _used(pid, link)
    for name, (path, whose) in WATCHES * list(watched.items()):
        before_s = alone_s
        used_s, lasted_s, told = _watched(pid, link, path, whose)
        alone_s, _ = _used(pid, link)
        costs[name].append((used_s - (before_s + alone_s) / 2) / lasted_s * 100)
        every[name].append(lasted_s / told)
    for name in watched:
        yield _row(name, statistics.median(costs[name]), "%", ("allowed", ALLOWED), ALLOWED)
        yield _row(f"{name} every", statistics.median(every[name]), "s", ("none", 1.0), None)


def _watched(pid: int, link: OperatorLink, path: str, whose: list[dict[str, str]]) -> tuple[float, float, int]:
    """`_used` while streams of `path` are open, and how often everybody at least was told something meanwhile.

    `RuntimeError` if somebody never was.
    """
    with Watchers(link.url, path, whose) as watchers:
        before = watchers.fewest()
        used_s, lasted_s = _used(pid, link)
        told = watchers.fewest() - before
        if not told:
            raise RuntimeError(f"{path}: somebody was told nothing for {lasted_s} s")
    return used_s, lasted_s, told


def _used(pid: int, link: OperatorLink) -> tuple[float, float]:
    """Processor seconds of the plane from one seal to the `WATCHED_ROUNDS`th after it, and how long that lasted."""
    _sealing(link, 1)
    before, began = cpu_s(pid), time.monotonic()
    _sealing(link, WATCHED_ROUNDS)
    return cpu_s(pid) - before, time.monotonic() - began


def _row(name: str, value: float, unit: str, limit: tuple[str, float], target: float | None) -> Row:
    return valued(("pages", name), value, unit, limit, target)


def _floor(data: Path) -> float:
    """Milliseconds to read `ROWS` rows by their key and encode them."""
    db = sqlite3.connect(data / "podium.db")
    times = []
    for start in range(0, 900_000, 45_000):
        began = time.perf_counter()
        query = "SELECT body FROM devices WHERE number > ? ORDER BY number LIMIT ?"
        json.dumps([json.loads(body) for (body,) in db.execute(query, (start, ROWS))])
        times.append((time.perf_counter() - began) * 1000)
    db.close()
    return statistics.median(times)
