"""uvicorn's httptools protocol with one more bound: a request's head must arrive in time.

Decides: how long a connection may be open before a whole request head has come over it, and a head be under way after
its first byte. Never: bodies (http.py bounds those) nor idle connections between requests (uvicorn's keep-alive).
Without it `clients_max` silent connections keep every device out. Limits: `body_ms`.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def prompt_protocol(head_ms: int) -> type[HttpToolsProtocol]:
    """The protocol class whose connections close when a request's head is not whole within `head_ms`."""

    class PromptProtocol(HttpToolsProtocol):
        """One connection."""

        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """The first head is awaited from now on."""
            super().connection_made(cast(asyncio.Transport, transport))
            self._await_head()

        def on_message_begin(self) -> None:
            """The first byte of a head came: the rest is awaited."""
            super().on_message_begin()
            self._await_head()

        def on_headers_complete(self) -> None:
            """The head is whole."""
            self._cancel()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            """Nobody is awaited any more."""
            self._cancel()
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._cancel()
            self._late = self.loop.call_later(head_ms / 1000, self.transport.close)

        def _cancel(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return PromptProtocol
