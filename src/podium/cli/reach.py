"""What podium doctor asks of a plane: does it answer, what does it warn of, its release, limit, clock and certificate.

Decides: what of that is well. Never: anything about the directory (checkup.py). Nothing is sent but reading verbs.
"""

import contextlib
import os
import re
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import urllib3

from podium.cli.checkup import CLOCK_WARN_S, FAIL, WARN, Finding, of_fault, ok
from podium.cli.options import Where
from podium.wire.limits import Limits
from podium.wire.operator import PlaneFile, StatusView
from podium.wire.problems import PodiumError

TIMEOUT_S = 10.0
FILES_BESIDE = 256
"""Files that a plane keeps open beside its connections: database, blobs, uploads, viewers."""
CERTIFICATE_WARN_DAYS = 30


def serving(data: Path) -> PlaneFile | None:
    """What says that it serves `data`; None if nothing does."""
    try:
        return msgspec.json.decode((data / "plane.json").read_bytes(), type=PlaneFile)
    except (OSError, msgspec.DecodeError):
        return None


def plane(where: Where) -> Iterator[Finding]:
    """The plane that the options mean, if there is one; each of its own warnings is one of ours."""
    said = None if where.url else serving(where.data)
    if not where.url and said is None:
        yield ok("plane", "none serves this directory now")
        yield from _port(where.data)
        yield from _record(where.data)
        return
    if said is not None and not _alive(said.pid):
        what = f"process {said.pid}, which served this directory, is gone"
        why = "it was killed, or the machine stopped; nothing acknowledged was lost"
        yield Finding(check="plane", state=WARN, what=what, why=why, next=f"podium serve --data {where.data}")
        return
    try:
        with where.link() as link:
            status = link.status()
    except PodiumError as error:
        yield of_fault("plane", error)
        return
    yield from _answered(status)
    yield from _release(status)
    if said is not None:
        yield from _files(said.pid, status.devices)
    url = where.url or status.url
    yield from _clock(url)
    if urlsplit(url).scheme == "https":
        yield from _certificate(url)


def _answered(status: StatusView) -> Iterator[Finding]:
    if not status.alerts:
        what = f"{status.plane_id} answers at {status.url}: {status.online} of {status.devices} devices are online"
        yield ok("plane", what)
    for alert in status.alerts:
        yield Finding(check="plane", state=WARN, what=alert, why="the plane says so", next="podium status")


def _release(status: StatusView) -> Iterator[Finding]:
    """Whether the plane is of the release that asks it."""
    from podium import __version__

    if status.version != __version__:
        what = f"the plane runs podium {status.version}, this is {__version__}"
        why = "an installed release serves only once the plane was started again; verbs of another may not fit it"
        next_ = "stop the plane and serve it again, or use its release here"
        yield Finding(check="release", state=WARN, what=what, why=why, next=next_)
    else:
        yield ok("release", f"the plane runs podium {status.version} too")


def _files(pid: int, devices: int) -> Iterator[Finding]:
    """Whether the plane's process may open a connection for each device; nothing is said where a system hides it."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text("ascii")
    except OSError:
        return
    found = re.search(r"^Max open files +(\d+)", limits, re.MULTILINE)
    if found is None:
        return
    most, needed = int(found[1]), min(devices, Limits().clients_max) + FILES_BESIDE
    what = f"the plane may open {most} files, and has {devices} devices"
    if most < needed:
        why = "each device that is connected is an open file; beyond the limit none gets in"
        next_ = f"serve with a limit of {needed} or more: ulimit -n, or LimitNOFILE= of its service"
        yield Finding(check="files", state=WARN, what=what, why=why, next=next_)
    else:
        yield ok("files", what)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _port(data: Path) -> Iterator[Finding]:
    """Whether the port of the next start is free: devices know the plane there."""
    try:
        port = int((data / "port").read_text("ascii"))
    except (OSError, ValueError):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            what = f"port {port}, on which devices know this plane, is taken"
            yield Finding(check="port", state=WARN, what=what, why=str(error), next="free it, or give --port")
            return
    yield ok("port", f"{port} is free for the next start")


def _record(data: Path) -> Iterator[Finding]:
    """This machine's clock against the time of the newest record, which it cannot be before."""
    from podium.adapters.sqlite.reader import open_readonly

    try:
        with contextlib.closing(open_readonly(data)) as reader:
            at_ms = int(reader.get_meta("step").partition(" ")[2] or 0)
    except PodiumError:
        return  # the check of the journal says so
    ahead_s = at_ms / 1000 - time.time()
    if ahead_s > CLOCK_WARN_S:
        what = f"the newest record is {ahead_s:.0f} s ahead of this machine's clock"
        why = "the clock was set back, or ran fast before; tokens and certificates are judged by it"
        yield Finding(check="clock", state=WARN, what=what, why=why, next="let it follow NTP")
    else:
        yield ok("clock", "it is after the newest record")


def _clock(url: str) -> Iterator[Finding]:
    """This machine's clock against the plane's, by the Date of an answer (RFC 9110 section 6.6.1)."""
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, cert_reqs="CERT_NONE")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)  # only a time is read
            said = pool.request("GET", url + "/healthz").headers.get("date", "")
        behind = parsedate_to_datetime(said).timestamp() - time.time()
    except (urllib3.exceptions.HTTPError, ValueError, TypeError) as error:
        yield Finding(check="clock", state=WARN, what="the plane's clock could not be read", why=str(error))
        return
    if abs(behind) > CLOCK_WARN_S:
        what = f"this machine and the plane differ by {abs(behind):.0f} s"
        why = "tokens, sessions and certificates are judged by clocks"
        yield Finding(check="clock", state=WARN, what=what, why=why, next="let both follow NTP")
    else:
        yield ok("clock", "this machine and the plane agree")


def _certificate(url: str) -> Iterator[Finding]:
    """How long the certificate that the plane shows is valid; whose it is, the connection before has checked."""
    from cryptography import x509

    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = parts.hostname or "", parts.port or 443
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as plain, context.wrap_socket(plain) as secure:
            shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError) as error:
        yield Finding(check="certificate", state=FAIL, what=f"{host}:{port} shows none", why=str(error))
        return
    days = (shown.not_valid_after_utc.timestamp() - time.time()) / 86_400
    what = f"the certificate ends in {days:.0f} days" if days > 0 else f"the certificate ended {-days:.0f} days ago"
    if days < CERTIFICATE_WARN_DAYS:
        state = WARN if days > 0 else FAIL
        why = "devices refuse a plane whose certificate is over"
        yield Finding(check="certificate", state=state, what=what, why=why, next="serve a new one: --tls CERT KEY")
    else:
        yield ok("certificate", what)
