"""Raw HTTP/1.1 on a loopback port for scripted planes: answers that are given, dropped, or cut in the middle."""

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class Answer(msgspec.Struct):
    """An HTTP answer; `drop`: send nothing and close; `cut`: send the headers and that many bytes, then close."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    drop: bool = False
    cut: int = -1


Serve = Callable[[str, str, dict[str, str], bytes], Answer]
"""(method, target, headers by lower-case name, body) -> answer."""


class Loopback:
    """A listening server; `close` ends it as a killed process would: connections die unanswered."""

    def __init__(self, serve: Serve, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        loopback = self

        class Handler(_Handler):
            pass

        Handler.loopback = loopback
        self.serve = serve
        self.closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; one write per answer."""

    loopback: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Read a request, answer it; a peer that was killed midway is no fault of anybody."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.loopback.closed:
            self.close_connection = True  # the plane that this connection belongs to was stopped
            return
        answer = self.loopback.serve(self.command, self.path, headers, body)
        if answer.drop:
            self.close_connection = True
            return
        lines = [f"HTTP/1.1 {answer.status} -", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        payload = b"" if self.command == "HEAD" else answer.body
        if answer.cut >= 0:
            payload, self.close_connection = payload[: answer.cut], True
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + payload)

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
