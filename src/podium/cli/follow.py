"""Following a run to its end: redrawn on a terminal, lines elsewhere.

Decides: when something is written to stderr. Never: what (screen.py). Limits: on a pipe, a line each `LINE_MS` and one
for each change that `line_mark` counts; Ctrl-C leaves the watch, never the run.
"""

import contextlib
import sys
import time
from collections.abc import Callable

from podium.cli.output import note
from podium.cli.screen import line, line_mark, screen
from podium.cli.standing import Standing
from podium.plane.runs import Run
from podium.wire.operator import RUN_OPEN, RunView

LINE_MS = 10_000

Show = Callable[[RunView, list[str]], None]
"""Shows how a run stands, and why it stands still."""


def follow_run(run: Run, check: Callable[[], None] | None = None, standing: Standing | None = None) -> RunView:
    """Show `run` on stderr until it is over; its last view. `check` is called at each look, and what it raises passes.

    `standing` says who froze the plane or paused the run. KeyboardInterrupt passes, `PlaneAway` as of `Run.views`.
    """
    with contextlib.ExitStack() as ended:
        show = _redrawn(ended) if sys.stderr.isatty() else _in_lines()
        last = run.view()
        for last in run.views():
            show(last, standing.lines(last) if standing is not None else [])
            if check is not None:
                check()
        return last


def _redrawn(ended: contextlib.ExitStack) -> Show:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    live = ended.enter_context(Live(console=Console(stderr=True), auto_refresh=False))

    def show(view: RunView, stands: list[str]) -> None:
        drawn = Text("\n".join(screen(view, stands)), overflow="ellipsis", no_wrap=True)
        live.update(drawn, refresh=view.state in RUN_OPEN)  # the last one is drawn by the end of `live`, and not twice

    return show


def _in_lines() -> Show:
    said_at = -LINE_MS / 1000
    said = ""

    def show(view: RunView, stands: list[str]) -> None:
        nonlocal said, said_at
        now, mark = time.monotonic(), line_mark(view)
        if mark != said:
            for each in stands:
                note(each)
        if mark != said or (now - said_at) * 1000 >= LINE_MS:
            said, said_at = mark, now
            note(line(view))

    return show
