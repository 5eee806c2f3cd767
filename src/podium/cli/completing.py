"""podium completion, and the names that shells complete: verbs and options by typer, the rest by the plane.

Decides: what a RUN, DEVICE or VERSION argument is, and which words are offered for it, an alias or a code. Never: says
anything: where no plane answers, or not within `ASK_S`, there are none. Limits: the first `OFFERED_MAX` of a list.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from podium.cli.options import DATA, connect
from podium.wire.alias_names import MOVABLE
from podium.wire.operator import AliasView, DeviceView, RunView, VersionView
from podium.wire.problems import KINDS, PodiumError

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

ASK_S = 1.0
OFFERED_MAX = 200
VARIABLE = "_PODIUM_COMPLETE"
"""What the shell's script sets when it asks for words."""

Words = list[tuple[str, str]]
"""Word and what it is."""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the script that lets a shell complete podium: `source <(podium completion bash)`."""
    from typer._completion_shared import get_completion_script

    from podium.cli.output import say

    say(get_completion_script(prog_name="podium", complete_var=VARIABLE, shell=shell))


def prepare() -> None:
    """Let typer answer a shell that asks for words; nothing where none does."""
    if os.environ.get(VARIABLE):
        from typer._completion_classes import completion_init

        completion_init()


def runs(context: typer.Context, incomplete: str) -> Words:
    """Ids of runs, newest first, and @last."""
    return _asked(context, incomplete, _runs)


def devices(context: typer.Context, incomplete: str) -> Words:
    """Names of devices, and their ids, in order of enrolment."""
    return _asked(context, incomplete, _devices)


def runs_and_devices(context: typer.Context, incomplete: str) -> Words:
    """What `runs` offers, and then what `devices` does."""
    return _asked(context, incomplete, lambda link: [*_runs(link), *_devices(link)])


def versions(context: typer.Context, incomplete: str) -> Words:
    """@last, aliases, and versions by number and by digest in short, oldest first."""
    return _asked(context, incomplete, _versions)


def aliases(context: typer.Context, incomplete: str) -> Words:
    """Aliases that there are."""
    return _asked(context, incomplete, _aliases)


def movable_aliases(context: typer.Context, incomplete: str) -> Words:
    """What people may call an alias, and the aliases of such names that there are."""
    names = [(name, "of the version's task") for name in MOVABLE if name.startswith(incomplete)]
    found = _asked(context, incomplete, _aliases)
    return [*names, *(word for word in found if word[0].rpartition("@")[2] in MOVABLE)]


def codes(incomplete: str) -> Words:
    """Problem codes."""
    return [(code, kind.title) for code, kind in KINDS.items() if code.startswith(incomplete)]


RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="An id, a unique prefix, a task's name, or @last.", autocompletion=runs),
]
DeviceName = Annotated[
    str,
    typer.Argument(metavar="DEVICE", help="An id, a unique prefix, or a name.", autocompletion=devices),
]
VersionName = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="A digest, a unique prefix, v3, an alias, or @last.", autocompletion=versions
    ),
]


def _runs(link: "OperatorLink") -> Words:
    views = link.first_of("runs", RunView, OFFERED_MAX)
    return [("@last", "the newest"), *((view.id, f"{view.task} {view.state}") for view in views)]


def _devices(link: "OperatorLink") -> Words:
    views = link.first_of("devices", DeviceView, OFFERED_MAX)
    names = [(view.name, view.site) for view in views if view.name and view.name.isprintable() and " " not in view.name]
    return [*dict(names).items(), *((view.id, view.name or view.site) for view in views)]


def _versions(link: "OperatorLink") -> Words:
    from podium.cli.output import short

    views = link.first_of("versions", VersionView, OFFERED_MAX)
    numbers = {f"v{view.number}": view.task for view in views}
    digests = [(short(view.digest), f"{view.task} v{view.number}".strip()) for view in views]
    return [("@last", "the newest"), *_aliases(link), *numbers.items(), *digests]


def _aliases(link: "OperatorLink") -> Words:
    return [(view.alias, f"v{view.number}") for view in link.first_of("aliases", AliasView, OFFERED_MAX)]


def _asked(context: typer.Context, incomplete: str, ask: Callable[["OperatorLink"], Words]) -> Words:
    """What the plane of the options before the word offers that begins with `incomplete`."""
    given = context.params
    file = given.get("token_file")
    try:
        with (
            _within(ASK_S),
            connect(Path(given.get("data") or DATA), given.get("plane") or "", Path(file) if file else None) as link,
        ):
            words = ask(link)
    except (PodiumError, TimeoutError):
        words = []
    return [word for word in words if word[0].startswith(incomplete)]


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """`TimeoutError` after so long, where the system has such a timer."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
