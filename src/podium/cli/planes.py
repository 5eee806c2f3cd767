"""podium serve and podium dev: a plane in the foreground, until SIGTERM or Ctrl-C.

Decides: what a started plane says on stdout. Never: what a plane does. A plane that is told to end drains first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from podium.cli.options import DATA, Data, data_option, gathered
from podium.cli.output import note, say
from podium.wire.limits import SETTINGS, Limits
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.server.main import PlaneServer

Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: the last one, or a free one.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=f"A limit: {', '.join(SETTINGS)}.")]


class Address(NamedTuple):
    """Where a plane listens."""

    host: Annotated[str, typer.Option("--host", help="Beyond loopback only with --tls.")] = "127.0.0.1"
    port: Port = 0
    tls: Annotated[
        tuple[Path, Path] | None, typer.Option("--tls", metavar="CERT KEY", help="PEM certificate chain and key.")
    ] = None


@gathered(Address)
def serve(
    address: Address,
    data: Data = DATA,
    set_: Set = None,
    allow_dev_plans: Annotated[
        bool, typer.Option("--allow-dev-plans", help="Take tasks whose plan is an editable install.")
    ] = False,
    otel: Annotated[bool, typer.Option("--otel", help="Trace rounds, as the OTEL_* variables say.")] = False,
    allow_local_webhooks: Annotated[
        bool, typer.Option("--allow-local-webhooks", help="Let webhooks go to this machine, by http and any port.")
    ] = False,
) -> None:
    """Serve a data directory; prints the address once it answers."""
    from podium.server.main import PlaneServer

    server = PlaneServer(
        data,
        host=address.host,
        port=address.port,
        tls=address.tls,
        limits=limits_from(set_ or []),
        pinned_plans=not allow_dev_plans,
    )
    server.traced = otel
    server.local_webhooks = allow_local_webhooks
    _served(server, lambda: say(server.url))


def dev(
    data: Annotated[Path | None, data_option("Kept; without it, a temporary directory of this plane's own.")] = None,
    port: Port = 0,
    set_: Set = None,
) -> None:
    """Serve for development: loopback, a free port, editable plans; prints how a device enrols."""
    import tempfile

    from podium.server.main import PlaneServer

    with tempfile.TemporaryDirectory(prefix="podium-dev-") as scratch:
        home = data if data is not None else Path(scratch) / "data"
        server = PlaneServer(home, port=port, limits=limits_from(set_ or []))
        _served(server, lambda: _say_how(home, server.url))


def _served(server: "PlaneServer", say_ready: Callable[[], None]) -> None:
    """Serve until told to end. The plane's log goes beside its other files."""
    from podium.server.main import serve as serve_until_told

    make_directory(server.data)
    serve_until_told(server, lambda _: say_ready(), server.data / "plane.log")
    note("the plane has ended; its runs go on when it is served again")


def make_directory(data: Path) -> None:
    """Make the data directory if need be; `OperatorFault(usage)` says why it cannot be."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        what = f"{data} cannot be a data directory"
        raise OperatorFault("usage", what=what, why=str(error), next="choose another --data") from error


def _say_how(home: Path, url: str) -> None:
    from podium.plane.finding import connect_data
    from podium.wire.asks import TokenAsk

    with connect_data(home) as link:
        token = link.token(TokenAsk(uses=1000)).token
    say(f"plane   {url}")
    say(f"data    {home}")
    say(f"enrol   podium device enroll {token} --plane {url} --state DIR")
    say("then    podium device run --state DIR --dataset MODULE:FUNCTION --plan MODULE:FUNCTION")
    say(f"task    podium run TASK.toml --watch --data {home}")


def limits_from(settings: list[str]) -> Limits:
    """The limits with each NAME=VALUE of `settings` set; `OperatorFault(limit-invalid)` names what cannot be."""
    changed: dict[str, str] = {}
    for setting in settings:
        name, mark, value = setting.partition("=")
        if not mark or name not in SETTINGS:
            raise OperatorFault(
                "limit-invalid", what=f"--set {setting}", why=f"write NAME=VALUE with one of {', '.join(SETTINGS)}"
            )
        changed[name] = value
    kinds = {field.name: field.type for field in msgspec.structs.fields(Limits)}
    typed = {name: _number(name, value, kinds[name]) for name, value in changed.items()}
    return msgspec.structs.replace(Limits(), **typed).check()


def _number(name: str, value: str, kind: type) -> int | float:
    try:
        number: int | float = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorFault("limit-invalid", what=f"--set {name}={value}", why=str(error)) from error
    return number
