"""The limit of a check-in: a raw ASGI application that decodes the same body with msgspec and answers as long a one.

Run as a program: prints its address, serves until it is ended. The same server, event loop and parser as the plane's,
without sessions, MACs, rules, batches or a store.
"""

import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import cast

import msgspec
import uvicorn
import uvloop

from podium.wire.messages import CheckIn, CheckInAnswer

Message = MutableMapping[str, object]
_DECODER = msgspec.json.Decoder(CheckIn)
ANSWER = msgspec.json.encode(CheckInAnswer(offer=None, reason="requires", window_ok_ms=1_000, window_else_ms=5_000))
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Read the body, decode it, answer."""
    body, more = b"", True
    while more:
        message = await receive()
        body += cast(bytes, message["body"])
        more = bool(message.get("more_body"))
    _DECODER.decode(body)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


def main() -> None:
    """Serve; arguments: certificate and key, or none."""
    uvloop.install()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    tls = sys.argv[1:3]
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    sys.stdout.write(f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
