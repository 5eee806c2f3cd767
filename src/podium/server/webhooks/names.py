"""Host names resolved in threads of their own: one for each name that is being looked up, however many wait for it.

Decides: how many look-ups may be under way. Never: which address is used, nor how long anybody waits. A look-up cannot
be called off: one that hangs keeps its thread until the system's resolver gives up, and nobody but those who wait for
that name. The threads are daemons, so a plane stops without them.
Limits: `most` names at once; then only names that are being looked up already are found.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future


class Names:
    """The look-ups under way. On one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[str, Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The addresses of `host`; `OSError` if it has none, if it is no name, or if too many are looked up now."""
        self._asked = {name: asked for name, asked in self._asked.items() if not asked.done()}
        asked = self._asked.get(host)
        if asked is None:
            if len(self._asked) >= self._most:
                raise OSError(f"{self._most} names are being looked up already")
            asked = self._asked[host] = Future[list[str]]()
            asked.set_running_or_notify_cancel()  # whoever stops waiting for it calls it off for nobody else
            name = f"podium-webhook-{host}"
            threading.Thread(target=_look_up, args=(host, asked), name=name, daemon=True).start()
        return await asyncio.wrap_future(asked)


def _look_up(host: str, asked: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        asked.set_exception(OSError(str(error)))
    else:
        asked.set_result([str(address[4][0]) for address in found])
