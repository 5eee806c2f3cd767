"""`podium.Plane`: a plane opened in this process, or one that runs elsewhere; the same calls on both.

Decides: which of the two it is. Never: anything about a run. The server is loaded only when a plane is started here.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from podium.plane.runs import Run, run_ask
from podium.plane.terms import Task
from podium.tasks.check import check_task
from podium.tasks.file import normal
from podium.tasks.task import Task as WholeTask
from podium.wire.asks import TokenAsk
from podium.wire.limits import Limits
from podium.wire.operator import DeviceView, StatusView, VersionView
from podium.wire.problems import Bug

if TYPE_CHECKING:
    from podium.server.main import PlaneServer


class Plane:
    """One plane, embedded (`open(...).start()`) or remote (`connect`). Also a context manager."""

    def __init__(self, data: Path | None, link: OperatorLink | None, limits: Limits | None = None) -> None:
        """Not called by hand: `open` or `connect` say what they need."""
        self._data = data
        self._link = link
        self._limits = limits
        self._server: PlaneServer | None = None

    @classmethod
    def open(cls, data: str | Path, limits: Limits | None = None) -> Self:
        """A plane over the directory `data` in this process, made if need be; it serves once it is started."""
        return cls(Path(data), None, limits)

    @classmethod
    def connect(cls, url: str, token: str, ca: str = "") -> Self:
        """The plane at `url` under the credential `token`; `ca`: its certificate's "sha256:<hex>", or PEM text.

        `OperatorFault(plane-unreachable)` when nothing answers.
        """
        return cls(None, OperatorLink(url, token, ca))

    def __enter__(self) -> Self:
        return self.start() if self._link is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where devices and people reach the plane."""
        return self.link.url

    @property
    def link(self) -> OperatorLink:
        """The operator API, call by call; `Bug` before the plane is started."""
        if self._link is None:
            raise Bug("the plane is not started: call start() first")
        return self._link

    def start(self) -> Self:
        """Serve the data directory on a free loopback port, in a thread; returns itself once requests are answered.

        Tasks whose plan is an editable install are taken: whoever embeds a plane runs their own code already.
        `OperatorFault` (data-in-use, data-newer), `StoreFault`.
        """
        from podium.server.main import PlaneServer

        if self._data is None or self._server is not None:
            raise Bug("only an embedded plane is started, and only once")
        self._server = PlaneServer(self._data, limits=self._limits)
        self._server.start()
        self._link = connect_data(self._data)
        return self

    def stop(self) -> None:
        """Drain and end an embedded plane (a remote one goes on); runs resume when the directory is served again."""
        if self._link is not None:
            self._link.close()
        if self._server is not None:
            self._server.stop()

    def submit(self, task: Task | WholeTask, folder: str | Path = ".") -> Run:
        """Start a run of `task`; `folder` holds its model.file, if it names one.

        `OperatorFault`: task-invalid, not-available, plan-missing, plan-dev, expression-invalid, run-limit...
        """
        terms = normal(task.whole() if isinstance(task, Task) else task)
        check_task(terms)
        data = task.model.data if isinstance(task, Task) else b""
        return Run(self.link, self.link.submit(run_ask(terms, Path(folder), data)).run)

    def run(self, name: str) -> Run:
        """The run of that id, unique prefix or task name; "@last" is the newest. `OperatorFault(run-unknown)`."""
        return Run(self.link, self.link.run(name).id)

    def token(self, site: str = "", name: str = "", labels: dict[str, str] | None = None, uses: int = 1) -> str:
        """A new enrolment token for `uses` devices, shown this once."""
        return self.link.token(TokenAsk(site=site, name=name, labels=labels or {}, uses=uses)).token

    def status(self) -> StatusView:
        """The plane in one look."""
        return self.link.status()

    def devices(self) -> Sequence[DeviceView]:
        """Every enrolled device."""
        return self.link.devices()

    def versions(self, run: str = "") -> Sequence[VersionView]:
        """Every model version, oldest first, or those that one run began with or made."""
        return self.link.versions(run)
