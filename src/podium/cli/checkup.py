"""What podium doctor looks at: the installation, a data directory, the plane that serves it, a task's plan.

Decides: what is well, what deserves a look, and what is broken, each with why and what next. Never: changes anything,
starts a server, or takes a plane's lock. A check that cannot be made says so. Limits: the journal is verified whole,
which takes about a minute for ten million entries; clocks are compared to the second.
"""

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import msgspec

from podium.wire.extras import how_to_install
from podium.wire.problems import PodiumError

OK, WARN, FAIL = "ok", "warn", "fail"
PYTHON_LEAST = (3, 11)
DISK_WARN_BYTES, DISK_FAIL_BYTES = 2 * 10**9, 2 * 10**8
FILES_LEAST = 1_000
"""Names that a file system must have left: each blob, upload and key is a file."""
BACKUP_WARN_MS = 7 * 86_400_000
CLOCK_WARN_S = 60.0
CREDENTIALS = ("administrator.token", "viewer.token", "keys")

_NEEDED = re.compile(r"([A-Za-z0-9._-]+)(?:>=([0-9.]+))?")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its name, ok, warn or fail, what was found, why that matters, and what to do next."""

    check: str
    state: str
    what: str
    why: str = ""
    next: str = ""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check=check, state=OK, what=what)


def of_fault(check: str, error: PodiumError, state: str = FAIL) -> Finding:
    """What an error found."""
    return Finding(check=check, state=state, what=error.what, why=error.why or error.kind.title, next=error.next)


# -- the installation ----------------------------------------------------------------------------------------


def installation() -> Iterator[Finding]:
    """Python and the packages that the distribution names, the server's among them."""
    running = sys.version_info[:3]
    said = ".".join(map(str, running))
    if running < PYTHON_LEAST:
        why = f"Podium needs {'.'.join(map(str, PYTHON_LEAST))} or newer"
        yield Finding(check="python", state=FAIL, what=f"Python {said}", why=why, next="install a newer Python")
    else:
        yield ok("python", f"Python {said}")
    try:
        named, own = requires("podium") or [], version("podium")
    except PackageNotFoundError:
        yield Finding(
            check="packages", state=WARN, what="Podium runs from its sources", why="no distribution says what it needs"
        )
        return
    missing = [*_short(named, "")]
    server = [*_short(named, "server")]
    if missing:
        why = "Podium's own distribution names them"
        yield Finding(check="packages", state=FAIL, what=", ".join(missing), why=why, next=how_to_install())
    elif server:
        why = "a plane needs them; a device does not"
        yield Finding(check="packages", state=WARN, what=", ".join(server), why=why, next=how_to_install("server"))
    else:
        yield ok("packages", f"podium {own} and what it needs")


def _short(named: list[str], extra: str) -> Iterator[str]:
    """What is missing or too old among the requirements of `extra` ("" for those of every installation)."""
    for text in named:
        wanted, _, marker = text.partition(";")
        if (f"extra == '{extra}'" not in marker) if extra else ("extra ==" in marker):
            continue
        found = _NEEDED.match(wanted.strip())
        if found is None or ("win32" in marker and sys.platform == "win32"):
            continue
        name, least = found.groups()
        try:
            held = version(name)
        except PackageNotFoundError:
            yield f"{name} is not installed"
            continue
        if least and _numbers(held) < _numbers(least):
            yield f"{name} {held} is older than {least}"


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version ("1.10.2rc1" -> 1, 10, 2), without trailing zeros."""
    numbers = [int(digits) for digits in re.findall(r"\d+", re.split(r"[a-z+-]", text, maxsplit=1)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


# -- the data directory --------------------------------------------------------------------------------------


def shut(data: Path) -> Finding | None:
    """What keeps this user from looking into the directory, None if nothing does or it is not there."""
    next_ = "run podium doctor as the user who serves it"
    try:
        if not data.is_dir() or os.access(data, os.R_OK | os.X_OK):
            return None
    except PermissionError as error:
        return Finding(check="directory", state=FAIL, what=f"cannot reach {data}", why=str(error), next=next_)
    why = f"it belongs to user {data.stat().st_uid} and has mode {stat.S_IMODE(data.stat().st_mode):o}"
    return Finding(check="directory", state=FAIL, what=f"cannot look into {data}", why=why, next=next_)


def directory(data: Path) -> Iterator[Finding]:
    """Who may read the directory and its secrets, whether a plane can write there, and how much room there is."""
    mode = stat.S_IMODE(data.stat().st_mode)
    unwritable = [path for path in (data, data.absolute().parent) if not os.access(path, os.W_OK)]
    if unwritable:
        why = "a plane writes its database there, and the signed heads beside it"
        next_ = "run as its owner; or mount it writable"
        yield Finding(check="directory", state=FAIL, what=f"cannot write to {unwritable[0]}", why=why, next=next_)
    elif mode & 0o077:
        why = "others of this machine can look into it"
        yield Finding(
            check="directory", state=WARN, what=f"{data} has mode {mode:o}", why=why, next=f"chmod 700 {data}"
        )
    else:
        yield ok("directory", f"{data}, its owner's alone")
    yield from _secrets(data)
    disk = os.statvfs(data)
    room = disk.f_bavail * disk.f_frsize
    state = FAIL if room < DISK_FAIL_BYTES else WARN if room < DISK_WARN_BYTES else OK
    what = f"{room / 1e9:.1f} GB are free"
    if disk.f_files and disk.f_favail < FILES_LEAST:
        state, what = FAIL, f"{disk.f_favail} files more can be made, {what}"
    why = "" if state == OK else "a full disk stops the plane; nothing acknowledged is lost"
    yield Finding(check="disk", state=state, what=what, why=why, next="free some space" if why else "")


def _secrets(data: Path) -> Iterator[Finding]:
    paths = [data / name for name in CREDENTIALS]
    paths += sorted((data / "keys").glob("*.key")) if (data / "keys").is_dir() else []
    there = [path for path in paths if path.exists()]
    loose = [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if loose:
        what = f"{len(loose)} secrets can be read by others: {', '.join(path.name for path in loose[:3])}"
        why = "whoever reads one of them is the plane, or its administrator"
        names = " ".join(str(path) for path in loose[:3])
        yield Finding(check="secrets", state=FAIL, what=what, why=why, next=f"chmod go-rwx {names}; rotate what leaked")
    else:
        yield ok("secrets", f"{len(there)} files, their owner's alone")


def journal(data: Path) -> Iterator[Finding]:
    """The database's schema, and every entry, tree and signed head of the journal."""
    from podium.server.journal.audit import verify_data

    try:
        found = verify_data(data)
    except PodiumError as error:
        yield of_fault("journal", error, WARN if error.code == "usage" else FAIL)
        return
    yield ok("journal", f"{found.entries} entries hold, {found.pending} pending, {found.heads} heads")


def keys(data: Path) -> Iterator[Finding]:
    """Whether the release key is still beside the directory, and whether the root document names one."""
    from podium.adapters.keys import FileKeys
    from podium.crypto.release import ROLE
    from podium.crypto.root import active_keys
    from podium.server.identity import ONLINE, ROOT_KEY, read_root, release_key_path

    path = release_key_path(data)
    try:
        document = read_root(data)
    except (OSError, PodiumError) as error:
        what = f"{data / 'identity.json'} does not say who the plane is"
        yield Finding(check="keys", state=FAIL, what=what, why=str(error), next="podium db restore")
        return
    name = active_keys(document, ONLINE)[0]
    if not _held(data, name):
        what = f"online key {name}, with which the plane signs, is not in {data / 'keys'}"
        why = "the directory was restored without its keys, and cannot be served so"
        next_ = "podium db restore FILE --keys KEYS, or copy keys/ of the directory that was backed up"
        yield Finding(check="keys", state=WARN, what=what, why=why, next=next_)
    elif FileKeys.look(data / "keys", ROOT_KEY) is None:
        why = "nobody can let another online or release key sign, should one leak"
        next_ = "podium db restore FILE --keys KEYS of a backup that has it"
        yield Finding(check="keys", state=WARN, what="the plane's root key is gone", why=why, next=next_)
    elif not active_keys(document, ROLE):
        why = "a plane of an older release; `production` cannot be promoted to without one"
        next_ = "podium key rotate --role release --out FILE"
        yield Finding(check="keys", state=WARN, what="the root document names no release key", why=why, next=next_)
    elif path.exists():
        why = "who takes the machine could release a version"
        yield Finding(check="keys", state=WARN, what=f"the release key is at {path}", why=why, next="move it offline")
    else:
        yield ok("keys", f"root version {document.version}; the release key is not here")


def _held(data: Path, name: str) -> bool:
    """Whether the directory holds the private half of the online key of that id."""
    from podium.adapters.keys import FileKeys
    from podium.crypto.sign import key_id, public_key
    from podium.server.identity import ONLINE_KEY, online_name

    found = (FileKeys.look(data / "keys", each) for each in (online_name(name), ONLINE_KEY))
    return any(seed is not None and key_id(public_key(seed)) == name for seed in found)


def backup(data: Path) -> Iterator[Finding]:
    """When the last backup was taken, and whether devices would follow a plane restored from it."""
    from podium.server.backup.taking import TAKEN_FILE, Taken
    from podium.server.identity import read_root

    next_ = f"podium db backup --out FILE --data {data}"
    try:
        taken = msgspec.json.decode((data / TAKEN_FILE).read_bytes(), type=Taken)
    except (OSError, msgspec.DecodeError):
        why = "a lost disk would lose every version and the journal"
        yield Finding(check="backup", state=WARN, what="no backup was taken yet", why=why, next=next_)
        return
    age_ms = time.time_ns() // 1_000_000 - taken.at_ms
    days = age_ms / 86_400_000
    what = f"{taken.file} of {taken.entries} entries, {days:.1f} days old"
    try:
        version = read_root(data).version
    except (OSError, PodiumError):
        version = 0  # the check of the keys says so
    if taken.root_version < version:
        why = f"a key was rotated since: devices that know root document {version} refuse a plane restored from it"
        yield Finding(check="backup", state=WARN, what=what, why=why, next=next_)
    elif age_ms > BACKUP_WARN_MS:
        yield Finding(check="backup", state=WARN, what=what, why="it is older than a week", next=next_)
    else:
        yield ok("backup", what)


# -- a task --------------------------------------------------------------------------------------------------


def plan(task: Path) -> Iterator[Finding]:
    """Whether a task file holds, and its plan can be imported here."""
    from podium.device.plan import load_plan
    from podium.tasks.check import check_task
    from podium.tasks.file import read_task

    try:
        terms = read_task(task)
        check_task(terms)
        found = load_plan(terms.task.plan)
    except PodiumError as error:
        yield of_fault("plan", error)
        return
    state = "an editable install" if found.dev else "installed"
    yield ok("plan", f"{found.name} {found.version}, {state}, {found.digest}")
