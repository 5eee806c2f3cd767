"""The keys that a plane cannot do without, in a file of their own under a passphrase, for a restore elsewhere.

Decides: which secrets may leave the Keys port: root, online, session and webhook keys, and the credentials. Never:
upload keys, which die with their rounds and are in no copy; nor the release key, which the plane does not have.
"""

import os
from pathlib import Path

import msgspec

from podium.adapters.disk import write_durably
from podium.adapters.keys import FileKeys
from podium.crypto.passphrase import NONCE_BYTES, SALT_BYTES, open_with, seal_with
from podium.server.backup.taking import Taken, check_place
from podium.server.identity import read_root
from podium.server.plane_data import TOKENS
from podium.wire.problems import OperatorFault

PURPOSE = "keys of a plane"
UPLOAD_PREFIX = "upload/"


class PlaneSecrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys name -> secret, and role -> credential, of plane `plane_id`."""

    plane_id: str
    keys: dict[str, bytes]
    credentials: dict[str, str]


def write_secrets(data: Path, taken: Taken, out: Path, passphrase: str) -> int:
    """Keep the secrets of the data directory `data` in the new file `out` (0600) under `passphrase`; how many keys.

    `taken`: the backup that they are to be restored with. `OperatorFault(usage)` for a short passphrase or a file that
    is there already, `OperatorFault(data-missing)` without keys, `OperatorFault(data-in-use)` if a key was rotated
    since the backup was taken, `StoreFault`.
    """
    check_place(data, out)
    if not (data / "keys").is_dir():
        raise OperatorFault("data-missing", what=f"there are no keys in {data}")
    keys = FileKeys(data / "keys")
    secrets = PlaneSecrets(
        plane_id=taken.plane_id,
        keys={name: keys.get(name) for name in keys.names("") if not name.startswith(UPLOAD_PREFIX)},
        credentials={
            role: (data / f"{role}.token").read_text("utf-8").strip()
            for role in TOKENS
            if (data / f"{role}.token").is_file()
        },
    )
    version = read_root(data).version  # after the keys: the one before is erased only when this is newer
    if version != taken.root_version:
        raise OperatorFault(
            "data-in-use",
            what=f"the keys of {data} are not those of the backup {taken.file}",
            why=f"a key was rotated while it was taken: root document {version}, of the backup {taken.root_version}",
            next="move that backup away, and take the backup again",
        )
    sealed = seal_with(passphrase, PURPOSE, msgspec.json.encode(secrets), os.urandom(SALT_BYTES + NONCE_BYTES))
    write_durably(out, sealed)
    return len(secrets.keys)


def read_secrets(path: Path, passphrase: str) -> PlaneSecrets:
    """The secrets in the file `path`; `OperatorFault(file-unreadable | signature-invalid | usage)`."""
    try:
        sealed = path.read_bytes()
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=error.strerror or "") from error
    try:
        return msgspec.json.decode(open_with(passphrase, PURPOSE, sealed), type=PlaneSecrets)
    except msgspec.DecodeError as error:
        raise OperatorFault("file-unreadable", what=f"{path} holds no keys of a plane", why=str(error)) from error
