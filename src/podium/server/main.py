"""How a plane is reached: sockets, TLS, threads and signals around one Plane.

Decides: where it listens (loopback and a free port unless told otherwise, the next time on the same one; beyond
loopback only with TLS), and how it ends: SIGTERM and SIGINT drain, then close. Never: what it answers. Limits:
`clients_max` connections, `drain_ms`.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from podium.server.logs import log_to, stop_logging
from podium.server.plane import Plane, open_parts
from podium.server.plane_data import last_port, remove_plane_file, write_plane_file, write_port
from podium.server.prompt import prompt_protocol
from podium.wire.limits import Limits
from podium.wire.problems import Bug, OperatorFault, PodiumError

log = logging.getLogger("podium.server")

KEEP_ALIVE_S = 75
"""An idle connection is kept this long: longer than the windows of a busy round, shorter than most proxies' own."""


class Draining(uvicorn.Server):
    """Ends every watch before it waits for what is under way: a stream has no end of its own."""

    def __init__(self, config: uvicorn.Config, end_watches: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_watches = end_watches

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, once nobody watches."""
        self._end_watches()
        await super().shutdown(sockets)


class PlaneServer:
    """A plane that serves HTTP from a thread of its own. Also a context manager: started inside, stopped after."""

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[Path, Path] | None = None,
        limits: Limits | None = None,
        pinned_plans: bool = False,
    ) -> None:
        """`port` 0 is the last one of `data`, or a free one; `tls`: PEM certificate chain and key.

        Nothing is opened before `start`.

        `pinned_plans`: tasks that do not pin their plan's digest are refused, so no editable install is trained.
        """
        self.data = data
        self.url = ""
        self.plane_id = ""
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = (limits or Limits()).check()
        self._pinned_plans = pinned_plans
        self.traced = False
        """Whether rounds are traced, by the OTEL_* variables; set before `start`."""
        self._thread = threading.Thread(target=self._main, name="podium-plane", daemon=True)
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._fault: BaseException | None = None
        self._http: uvicorn.Server | None = None
        self.plane: Plane | None = None
        self.local_webhooks = False
        """To be set before `start`: webhooks may go to loopback, by http and any port (for trying them out)."""

    def start(self) -> "PlaneServer":
        """Serve; returns self once requests are answered.

        `OperatorFault` (port-in-use, data-in-use, data-newer, usage, file-unreadable), `StoreFault`.
        """
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            self._thread.join()
            raise self._fault
        return self

    def stop(self) -> None:
        """Drain, close and end the thread; stopping again changes nothing. Raises what broke the plane, if anything."""
        if self._http is not None:
            self._http.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        if self._fault is not None:
            raise self._fault

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the plane has ended by itself; whether it has."""
        return self._ended.wait(timeout_s)

    def __enter__(self) -> "PlaneServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except (PodiumError, OSError, RuntimeError) as error:
            self._fault = error
        finally:
            if not self._ready.is_set() and self._fault is None:
                self._fault = Bug("the plane ended before it served")
            self._ready.set()
            self._ended.set()

    async def _serve(self) -> None:
        context = None if self._tls is None else _tls_context(*self._tls)
        if context is None:
            _check_loopback(self._host)
        parts = await asyncio.to_thread(open_parts, self.data, self._limits)
        with contextlib.ExitStack() as unless_wired:
            unless_wired.callback(parts.store.close)
            listener = unless_wired.enter_context(contextlib.closing(self._listening()))
            plane = self.plane = Plane(parts, self.data)
            end_traces = _traced(plane) if self.traced else _nothing
            unless_wired.pop_all()
        self.plane_id = parts.identity.plane_id
        self.url = _url("http" if context is None else "https", self._host, listener.getsockname()[1])
        plane.surface.reads.url = self.url
        plane.surface.pages.guarded = not _is_loopback(self._host)
        if self.local_webhooks:
            plane.surface.webhooks.allow_local()
        plane.submission.pinned_plans = self._pinned_plans
        plane.submission.ca = "" if self._tls is None else fingerprint(self._tls[0])
        try:
            await plane.open()
            await self._answer(plane, listener, context)
        finally:
            remove_plane_file(self.data)
            listener.close()
            await plane.close()
            await asyncio.to_thread(end_traces)

    def _listening(self) -> socket.socket:
        """Without a port asked for it is the last one again, if it is free still: devices know the plane there."""
        last = last_port(self.data)
        if self._port == 0 and last:
            with contextlib.suppress(OperatorFault):  # somebody else has it now
                return _listen(self._host, last)
        return _listen(self._host, self._port)

    async def _answer(self, plane: Plane, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            plane,
            http=prompt_protocol(self._limits.body_ms),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=self._limits.clients_max,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, self._limits.drain_ms // 1000),
            ssl_context_factory=None if context is None else lambda config, default: context,
        )
        self._http = Draining(config, plane.surface.live.end)
        write_port(self.data, listener.getsockname()[1])
        write_plane_file(self.data, self.url, self.plane_id, plane.submission.ca)
        listening = asyncio.get_running_loop().create_task(self._http.serve(sockets=[listener]))
        while not self._http.started and not listening.done():
            await asyncio.sleep(0.005)
        log.info("serving", extra={"url": self.url, "plane": self.plane_id})
        self._ready.set()
        await listening


def serve(server: PlaneServer, on_ready: Callable[[PlaneServer], None], log_file: Path | None = None) -> None:
    """Start `server`, call `on_ready` once it answers, and block until SIGTERM or SIGINT; then drain and close.

    Called from the main thread. Raises as `PlaneServer.start` and `stop`.
    """
    handler = log_to(log_file)
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        on_ready(server)
        while not asked.wait(0.5) and not server.wait(0):
            pass  # a plain wait would keep the main thread from running its signal handlers on some systems
        server.stop()
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        stop_logging(handler)


def fingerprint(certificate: Path) -> str:
    """ "sha256:<hex>" of the first certificate in the PEM file, which is what a device sees and pins."""
    pem = certificate.read_text("ascii")
    begin, end = pem.find("-----BEGIN CERTIFICATE-----"), pem.find("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(pem[begin : end + len("-----END CERTIFICATE-----")])
    return "sha256:" + hashlib.sha256(der).hexdigest()


def _tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise OperatorFault("file-unreadable", what=f"TLS files {certificate}, {key}", why=str(error)) from error
    return context


def _traced(plane: Plane) -> Callable[[], None]:
    """Let the rounds of `plane` be traced; what to call when it is closed. `OperatorFault(not-available)`."""
    from podium.server.observe.traces import Traces

    traces = Traces(lambda: plane.loop.state, plane.parts.identity.plane_id)
    plane.watch.listeners.append(traces.step)
    return traces.close


def _nothing() -> None:
    """Ends nothing."""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_loopback(host: str) -> None:
    if not _is_loopback(host):
        raise OperatorFault(
            "usage",
            what=f"listening on {host} without TLS",
            why="without TLS a plane binds loopback only",
            next="pass --tls CERT KEY",
        )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; `OperatorFault(port-in-use | usage)`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno in (98, 48):  # EADDRINUSE on Linux and on macOS
            raise OperatorFault("port-in-use", what=f"listening on {host}:{port}") from error
        raise OperatorFault("usage", what=f"listening on {host}:{port}", why=str(error)) from error
    return listener


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
