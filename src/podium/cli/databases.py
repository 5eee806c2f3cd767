"""podium db backup, restore: everything a plane knows in one file, and a directory made from it again.

Decides: where files come from and go to. Never: what is in a backup (podium.server.backup). A passphrase is read from a
file: never from the command line, where others of the machine can see it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import DATA, Data, Json, data_option
from podium.cli.output import count_of_bytes, note, printable, say, say_json
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.ports.plane import SignedHead
    from podium.server.backup.restoring import Restored
    from podium.server.backup.secrets import PlaneSecrets

app = typer.Typer(help="The data directory as a whole.", no_args_is_help=True)

Keys = tuple[Path, Path]
"""A file of keys, and the file whose first line is its passphrase."""
KEYS = "FILE PASSPHRASE-FILE"


@app.command("backup")
def backup(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The backup.", dir_okay=False)],
    with_keys: Annotated[
        Keys | None, typer.Option("--with-keys", metavar=KEYS, help="Keep the plane's own keys there, sealed.")
    ] = None,
    json: Json = False,
    data: Data = DATA,
) -> None:
    """Back a data directory up to one file while the plane serves or not; no private key is in it."""
    from podium.server.backup.secrets import write_secrets
    from podium.server.backup.taking import check_place, take_backup

    passphrase = "" if with_keys is None else _passphrase(with_keys[1])
    if with_keys is not None:
        check_place(data, with_keys[0])  # before there is a backup without keys
    taken = take_backup(data, out)
    keys = 0 if with_keys is None else write_secrets(data, taken, with_keys[0], passphrase)
    note(f"plane {taken.plane_id}: {taken.entries} entries, {taken.blobs} blobs, {count_of_bytes(taken.size_bytes)}")
    if taken.gone:
        note(f"{taken.gone} blobs are not in it, as the plane lost them: of versions once aliased, or released")
    note(f"{keys} keys in {with_keys[0]}" if with_keys else "its keys are not in it: see --with-keys")
    say_json(taken) if json else say(str(out))


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", dir_okay=False)],
    data: Annotated[Path, data_option("The directory to make; it must hold nothing.")] = DATA,
    keys: Annotated[Keys | None, typer.Option("--keys", metavar=KEYS, help="What --with-keys kept.")] = None,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="Signed heads kept outside; default DATA.heads.jsonl.", dir_okay=False),
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Restore although kept heads show a longer journal.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a data directory from a backup, once every byte of it and its journal are verified; exit code 8 if not."""
    from podium.server.backup.restoring import restore_backup

    restored = restore_backup(
        file,
        data,
        secrets=None if keys is None else _secrets(*keys),
        heads=None if heads is None else _heads(heads),
        accept_loss=accept_loss,
    )
    note(f"plane {restored.plane_id}: {restored.entries} entries, {restored.blobs} blobs, {restored.keys} keys")
    _say_standing(restored)
    if restored.heads_aside:
        note(f"{restored.heads_aside} counts more entries: devices that saw them refuse to train until there are more")
    if restored.freeze:
        note(f"its first start is frozen: {restored.freeze}")
        note(f"devices that trust a newer root document than its version {restored.root_version} refuse it: then")
        note("podium key rotate --role online --yes, until podium key list shows a version above the one they trust")
        note("revoke, ban or freeze again what was; then podium unfreeze --why 'looked through'")
    if not restored.keys:
        note(f"it cannot sign as the plane until {data / 'keys'} is there: copy it, or restore with --keys")
    say_json(restored) if json else say(str(data))


def _say_standing(restored: "Restored") -> None:
    """What is live again, by whom a person can tell what must not be."""
    standing = restored.standing
    note(f"as it was when the backup was taken, {_at(restored.at_ms)}:")
    for service in standing.services:
        verbs = ", ".join(service.verbs)
        note(f"  service {printable(service.name)} is good until {_at(service.expires_ms)}, for {verbs}")
    for origin in standing.webhooks:
        note(f"  a webhook tells {printable(origin)}")
    frozen = f"was frozen: {printable(standing.frozen)}" if standing.frozen else "was not frozen"
    note(
        f"  {len(standing.services)} services, {len(standing.webhooks)} webhooks, {standing.banned} banned devices;"
        f" the plane {frozen}"
    )


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _secrets(keys: Path, passphrase_file: Path) -> "PlaneSecrets":
    from podium.server.backup.secrets import read_secrets

    return read_secrets(keys, _passphrase(passphrase_file))


def _passphrase(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=type(error).__name__) from error


def _heads(path: Path) -> "list[SignedHead]":
    from podium.server.journal.heads import read_heads

    return read_heads(path)
