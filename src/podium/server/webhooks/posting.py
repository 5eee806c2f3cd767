"""One POST to a webhook: resolved once, connected to that very address, bounded in time and in bytes.

Decides: when a delivery has arrived: on a 2xx status line, whatever follows it. Never: what is sent, nor whether it is
tried again. A redirect is an answer like any other that is not 2xx. TLS is verified against the host's own name and the
system's authorities. A name that hangs holds up its own webhooks only: those that are set already wait for none that is
about to be. Limits: `webhook_ms` for everything; of the answer at most `HEAD_BYTES_MAX` are read.
"""

import asyncio
import ssl
from collections.abc import Mapping

from podium.server.webhooks.addresses import Target, choose, read_url, refused
from podium.server.webhooks.names import Names
from podium.wire.problems import OperatorFault

HEAD_BYTES_MAX = 8192
NAMES_MAX = 64
"""Names looked up at once for deliveries: one for each webhook, and those of removed ones that hang still."""
NEW_NAMES_MAX = 4
"""Names looked up at once to set a webhook."""


class Undelivered(Exception):
    """The receiver did not take it; the text says why, without the address."""


class Poster:
    """Posts from the plane's event loop."""

    def __init__(self, allow_local: bool, bound_ms: int) -> None:
        """`allow_local`: as of addresses.py. `bound_ms`: the longest that one delivery may take."""
        self.allow_local = allow_local
        self._bound_s = bound_ms / 1000
        self._context = ssl.create_default_context()
        self._names, self._new_names = Names(NAMES_MAX), Names(NEW_NAMES_MAX)

    async def check(self, url: str) -> Target:
        """`url` taken apart, if a delivery to it would be tried now; else `OperatorFault(webhook-refused)`."""
        target = read_url(url, self.allow_local)
        try:
            async with asyncio.timeout(self._bound_s):
                choose(target, await _resolved(target, self._new_names), self.allow_local)
        except TimeoutError as error:
            raise refused(target.host, f"its name is not found within {self._bound_s:g} s") from error
        except OSError as error:
            raise refused(target.host, f"its name is not found: {error}") from error
        return target

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Deliver `body`; `Undelivered` if it was not taken within the bound."""
        try:
            target = read_url(url, self.allow_local)
            async with asyncio.timeout(self._bound_s):
                address = choose(target, await _resolved(target, self._names), self.allow_local)
                status = await self._exchange(target, address, headers, body)
        except OperatorFault as error:
            raise Undelivered(error.why) from error
        except TimeoutError as error:
            raise Undelivered(f"no answer within {self._bound_s:g} s") from error
        except (OSError, EOFError, ValueError) as error:  # refused, reset, TLS, cut short, no HTTP
            raise Undelivered(f"{type(error).__name__}: {error}"[:200]) from error
        if not 200 <= status < 300:
            raise Undelivered(f"it answered {status}")

    async def _exchange(self, target: Target, address: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer."""
        reader, writer = await asyncio.open_connection(
            address,
            target.port,
            limit=HEAD_BYTES_MAX,
            ssl=self._context if target.secure else None,
            server_hostname=target.host if target.secure else None,
        )
        try:
            lines = [f"POST {target.target} HTTP/1.1", f"host: {target.authority}", "user-agent: podium"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            lines += [f"content-length: {len(body)}", "connection: close", "", ""]
            writer.write("\r\n".join(lines).encode("ascii") + body)
            await writer.drain()
            return _status(await reader.readline())
        finally:
            writer.transport.abort()


async def _resolved(target: Target, names: Names) -> list[str]:
    return [target.address] if target.address else await names.addresses(target.host)


def _status(line: bytes) -> int:
    """The number in a status line (RFC 9112 section 4); `ValueError` on what is none."""
    version, _, rest = line.partition(b" ")
    digits = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(digits) != 3 or not digits.isdigit():
        raise ValueError("what answers there is no web server")
    return int(digits)
