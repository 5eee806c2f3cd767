"""What a person sees when something cannot be done: code, what, why, next; and the exit code for scripts.

Decides: the text of an error and the number a process ends with (docs/reference/cli.md). Never: what went wrong.
"""

import re
import sys
import traceback
from importlib.metadata import PackageNotFoundError, requires
from types import TracebackType

from podium.cli.advice import advised
from podium.wire.extras import how_to_install
from podium.wire.problems import Bug, OperatorFault, PodiumError

FAILED, USAGE, NOT_FOUND, DENIED, CONFLICT, TIMED_OUT, PARTIAL, UNVERIFIED, ABANDONED = range(1, 10)
"""The exit codes beside 0, in the order of the contracts."""
INTERRUPTED = 130
"""Left by Ctrl-C, as shells say it: 128 and the signal's number."""

EXIT_CODES = {
    0: "done; of a run: FINISHED",
    FAILED: "failed, or a bug; also: no plane answers",
    USAGE: "the command, a file or a task was given wrongly",
    NOT_FOUND: "there is no such run, version, device or data directory",
    DENIED: "denied: no credential, a wrong one, or one that may not",
    CONFLICT: "conflict: the port or directory is taken, the run is over, another plane answers",
    TIMED_OUT: "a run TIMED_OUT at its deadline",
    PARTIAL: "a run was STOPPED: partial, its last sealed version stays",
    UNVERIFIED: "verification failed: journal, statement, signature, checksum",
    ABANDONED: "a run was ABANDONED after too many abandoned rounds",
    INTERRUPTED: "left by Ctrl-C",
}
"""What each exit code of a verb means, for docs/reference/cli.md."""

_BY_CODE = {
    "journal-broken": UNVERIFIED,
    "backup-invalid": UNVERIFIED,
    "checksum-wrong": UNVERIFIED,
    "signature-invalid": UNVERIFIED,
    "digest-mismatch": UNVERIFIED,
    "size-mismatch": UNVERIFIED,
    "manifest-invalid": UNVERIFIED,
    "limit-invalid": USAGE,
}
_BY_STATUS = {401: DENIED, 403: DENIED, 404: NOT_FOUND, 409: CONFLICT, 413: USAGE, 422: USAGE}
_OF_RUN = {"FINISHED": 0, "TIMED_OUT": TIMED_OUT, "STOPPED": PARTIAL, "ABANDONED": ABANDONED}


def exit_code(error: PodiumError) -> int:
    """The exit code for `error`: by its code where verification failed, else by its kind's HTTP status, else 1."""
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.kind.status, FAILED)


def run_exit_code(state: str) -> int:
    """The exit code for a run that ended in `state`; a stopped one is partial: its last sealed version stays."""
    return _OF_RUN[state]


def error_text(error: PodiumError) -> str:
    """Four lines at most: error[P<number> <code>]: what, why, next, and where its page is."""
    lines = [f"error[P{error.kind.number} {error.code}]: {error.what}"]
    if error.why:
        lines.append(f"  why:  {error.why}")
    lines += [f"  next: {advised(error.next)}", f"  docs: podium error {error.code}"]
    return "\n".join(lines)


def say_error(error: PodiumError) -> None:
    """Print `error` to stderr."""
    sys.stderr.write(error_text(error) + "\n")


def of_missing(error: ModuleNotFoundError) -> OperatorFault | None:
    """What to install for a verb whose package only podium[server] brings; None if that does not bring it."""
    wanted = (error.name or "").partition(".")[0].replace("_", "-")
    try:
        named = requires("podium") or []
    except PackageNotFoundError:
        named = []
    for text in named:
        package = re.match(r"[A-Za-z0-9._-]+", text)
        if package and package[0].lower() == wanted and "extra == 'server'" in text:
            return OperatorFault(
                "not-available",
                what=f"this installation has no {wanted}, which the verb needs",
                why="a device does not need it, so podium alone does not bring it",
                next=how_to_install("server"),
            )
    return None


def say_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The interpreter's last hook: what nobody foresaw is a bug of ours, told as a short story, never a bare traceback.

    The process then ends with exit code 1, as after any uncaught exception.
    """
    if issubclass(kind, KeyboardInterrupt):
        return
    frames = traceback.extract_tb(trace)[-4:]
    story = " < ".join(
        f"{frame.filename.rpartition('podium/')[2]}:{frame.lineno} {frame.name}" for frame in frames[::-1]
    )
    say_error(Bug(f"{kind.__name__}: {error}" + (f" (at {story})" if story else "")))
