"""What a page costs the plane over a million devices and ten thousand rounds, and what a hundred watchers cost.

Rows: one for each list and view of the operator API and each screen of the console (the median time to the last byte
over one kept connection, the asker included, so a little more than the server's own), and viewers-100 (percent of a
core that a hundred streams of one live run cost).
Limits: the same number of rows read by a bare SQLite loop and encoded as JSON; for the watchers, 5 %.
"""

import contextlib
import json
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench._console import SignedIn
from bench._fleet_data import RUN, device_id, fill
from bench._load import cpu_s, resident_bytes, scratch
from bench._planes import plane
from bench._rows import Row
from podium.device.link import Link, PlaneAway
from podium.plane.link import OperatorLink
from podium.wire.asks import TokenAsk

TARGET_MS = 100.0
REQUESTS = 21
VIEWERS = 100
WATCHED_S = 10.0
ROWS = 100
PAGES: dict[str, str] = {
    "status": "status",
    "runs": f"runs?limit={ROWS}",
    "run": f"runs/{RUN}",
    "rounds": f"runs/{RUN}/rounds?limit={ROWS}",
    "rounds-last": f"runs/{RUN}/rounds?limit={ROWS}&after=101",
    "round": f"runs/{RUN}/rounds/9990",
    "round-leases": f"runs/{RUN}/rounds/9990/leases?limit={ROWS}",
    "devices": f"devices?limit={ROWS}",
    "devices-last": f"devices?limit={ROWS}&after=999800",
    "devices-site": f"devices?limit={ROWS}&site=site-077",
    "devices-name": f"devices?limit={ROWS}&name=device-09",
    "devices-label": f"devices?limit={ROWS}&label=region%3Dr7,tier%3D2",
    "devices-rare": f"devices?limit={ROWS}&site=site-077&state=cordoned",
    "devices-offline": f"devices?limit={ROWS}&online=false&after=900000",
    "device": f"devices/{device_id(777_777)}",
    "versions": f"versions?limit={ROWS}&newest=true",
    "journal": f"audit/entries?limit={ROWS}",
    "journal-kind": f"audit/entries?limit={ROWS}&kind=device-enrolled",
    "journal-subject": f"audit/entries?limit={ROWS}&subject={device_id(5)}",
    "journal-rare": f"audit/entries?limit={ROWS}&kind=plane-booted&actor=device:none",
}
"""Name of the row -> what is asked of /api/v1."""


def measure() -> Iterator[Row]:
    """Every row; the notes of opening go to the row `open`."""
    with scratch() as folder:
        data = Path(folder) / "data"
        fill(data)
        floor_ms = _floor(data)
        began = time.monotonic()
        with plane(data, None) as (pid, link):
            opened_s = time.monotonic() - began
            yield _row("open", opened_s, "s", ("none", 1.0), None)
            yield _row("memory", resident_bytes(pid) / 1e6, "MB", ("none", 1.0), None)
            for name, path in PAGES.items():
                times = [_asked(link, path) for _ in range(REQUESTS)]
                yield _row(name, statistics.median(times), "ms", ("bare-sqlite", floor_ms), TARGET_MS)
            signed_in = SignedIn(link.url, (data / "administrator.token").read_text().strip())
            version = link.versions(RUN, limit=1)[0].digest
            named = {"run": RUN, "round": "9990", "device": device_id(777_777), "version": version}
            for page, times in signed_in.times_ms(REQUESTS, **named):
                yield _row(f"console {page}", statistics.median(times), "ms", ("bare-sqlite", floor_ms), TARGET_MS)
            view = link.run(RUN)
            if view.state != "RUNNING" or view.waiting is None:
                raise RuntimeError(f"the run that is measured is {view.state}: {view.reason}")
            yield _row("viewers-100", _viewers(pid, link), "%", ("allowed", 5.0), 5.0)


def _row(name: str, value: float, unit: str, limit: tuple[str, float], target: float | None) -> Row:
    """A row whose target is a value, not a ratio."""
    return {
        "bench": "pages",
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "limit": round(limit[1], 3),
        "limit_name": limit[0],
        "ratio": round(value / limit[1], 3),
        "target": target,
        "better": "lower",
        "met": None if target is None else value <= target,
    }


def _asked(link: OperatorLink, path: str) -> float:
    """Milliseconds of one answer."""
    began = time.perf_counter()
    link._send("GET", path)
    return (time.perf_counter() - began) * 1000


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


def _viewers(pid: int, link: OperatorLink) -> float:
    """Percent of a core that the watchers cost beside the plane without them."""
    idle = _used(pid, link)
    streams = [Link(link.url, "") for _ in range(VIEWERS)]
    ready = threading.Barrier(VIEWERS + 1)

    def watch(number: int) -> None:
        _, pieces = streams[number].stream(f"/api/v1/events?subject=run:{RUN}", link._headers)
        next(pieces)
        ready.wait()
        with contextlib.suppress(PlaneAway):  # the bench ends the plane
            for _ in pieces:
                pass

    for number in range(VIEWERS):
        threading.Thread(target=watch, args=(number,), daemon=True).start()
    ready.wait(60)
    return (_used(pid, link) - idle) / WATCHED_S * 100


def _used(pid: int, link: OperatorLink) -> float:
    """Processor seconds of the plane while its core moves four times a second, so that every view is drawn anew."""
    before, until = cpu_s(pid), time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        link.token(TokenAsk())
        time.sleep(0.25)
    return cpu_s(pid) - before
