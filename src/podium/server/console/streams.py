"""Stand-in until Live lands."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable


class Live:
    """Polls."""

    async def subscribe(
        self, key: str, render: Callable[[], Awaitable[dict[str, str]]]
    ) -> AsyncIterator[dict[str, str]]:
        """Polls."""
        while True:
            yield await render()
            await asyncio.sleep(0.7)
