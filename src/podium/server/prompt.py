"""uvicorn's httptools protocol with two more bounds: a request's head must arrive in time, and an answer be taken.

Decides: how long a connection may be open before a whole request head has come over it, and a head be under way after
its first byte; and how long a peer may take nothing of an answer that fills the buffers. Never: request bodies (http.py
bounds those) nor idle connections between requests (uvicorn's keep-alive). Without it `clients_max` silent connections
keep every device out, and readers who never read keep every viewer out. Limits: `body_ms`.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def prompt_protocol(within_ms: int) -> type[HttpToolsProtocol]:
    """The protocol class whose connections end when a request's head is not whole `within_ms`, or a full buffer of the
    answer (64 KiB beyond the system's own) has not emptied.
    """

    class PromptProtocol(HttpToolsProtocol):
        """One connection."""

        _late: asyncio.TimerHandle | None = None
        _untaken: asyncio.TimerHandle | None = None

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
            self._taken()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """The peer takes less than it is sent: what waits for it is bounded, and so is how long."""
            super().pause_writing()
            # `close` would wait for the peer to take what waits
            self._untaken = self.loop.call_later(within_ms / 1000, self.transport.abort)

        def resume_writing(self) -> None:
            """The peer took most of it."""
            self._taken()
            super().resume_writing()

        def _await_head(self) -> None:
            self._cancel()
            self._late = self.loop.call_later(within_ms / 1000, self.transport.close)

        def _cancel(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _taken(self) -> None:
            if self._untaken is not None:
                self._untaken.cancel()
                self._untaken = None

    return PromptProtocol
