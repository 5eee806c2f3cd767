"""Which plane a command means: by its data directory, or by its address and a credential file.

Decides: how plane.json and the credential files are read, and what is said when nothing serves a directory. Never:
starts a plane.
"""

from pathlib import Path

import msgspec

from podium.device.link import PlaneAway
from podium.plane.link import OperatorLink
from podium.wire.operator import PlaneFile
from podium.wire.problems import OperatorFault

PLANE_FILE = "plane.json"
CREDENTIALS = ("administrator.token", "viewer.token")
"""The credential files of a data directory, the more powerful first: whoever can read it may use it."""


def connect_data(data: Path) -> OperatorLink:
    """The plane that serves the directory `data`, under the best credential that can be read there.

    `OperatorFault`: data-missing, plane-unreachable, plane-foreign, credential-missing, file-unreadable.
    """
    said = read_plane_file(data)
    token = _first_credential(data)
    try:
        return OperatorLink(said.url, token, ca=said.ca, plane_id=said.plane_id)
    except PlaneAway as error:
        if error.code != "plane-unreachable":
            raise  # it answers, and says itself what is the matter
        raise OperatorFault(
            "plane-unreachable",
            what=f"the plane of {data} does not answer",
            why=f"{data / PLANE_FILE} names {said.url} (process {said.pid}): {error.why}",
            next=f"start it: podium serve --data {data}",
        ) from error


def connect_url(url: str, token_file: Path | None) -> OperatorLink:
    """The plane at `url` under the credential in `token_file`; `OperatorFault` as of `connect_data`, or usage."""
    if token_file is None:
        what = f"no credential was given for the plane at {url}"
        raise OperatorFault("credential-missing", what=what, next="pass --token-file FILE")
    return OperatorLink(url, read_credential(token_file))


def read_plane_file(data: Path) -> PlaneFile:
    """What serves `data` now; `OperatorFault`: data-missing, plane-unreachable when nothing does, file-unreadable."""
    path = data / PLANE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlaneFile)
    except FileNotFoundError as error:
        if not data.is_dir():
            raise OperatorFault(
                "data-missing",
                what=f"there is no plane's data in {data}",
                next="check --data; podium dev or podium serve starts a plane",
            ) from error
        raise OperatorFault(
            "plane-unreachable",
            what=f"no plane serves {data} now",
            why=f"there is no {path}",
            next=f"start one: podium serve --data {data}",
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=str(error)) from error


def read_credential(path: Path) -> str:
    """The credential in the file at `path`; `OperatorFault(file-unreadable)`, which never quotes what is in it."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorFault("file-unreadable", what=f"cannot read the credential {path}", why=str(error)) from error
    if not (text.isascii() and text.isprintable()):
        raise OperatorFault(
            "file-unreadable",
            what=f"{path} holds no credential",
            why="a credential is one line of printable ASCII",
            next="pass administrator.token or viewer.token of the plane's data directory",
        )
    return text


def _first_credential(data: Path) -> str:
    refused = ""
    for name in CREDENTIALS:
        try:
            return read_credential(data / name)
        except OperatorFault as error:
            refused = refused or error.why
    raise OperatorFault("credential-missing", what=f"no credential in {data} can be read", why=refused)
