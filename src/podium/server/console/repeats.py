"""A form that is sent twice is done once: a second click, or a browser that tries again, gets what the first led to.

Decides: what the same form is: of one session, with the same fields, among them the mark of the very page it was drawn
in (`MARK`), so that whoever opens the page again and sends it means it again. What was refused is forgotten: it may be
sent again. Never: what a form does. The operator API has other means (an Idempotency-Key, acts that are idempotent).
Limits: the last form of each of `SESSIONS_MAX` sessions. What it led to stays in memory until the next one, a secret
that is shown once among it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from podium.wire.problems import PodiumError

MARK = "once"
SESSIONS_MAX = 256
T = TypeVar("T")


class _Sent(NamedTuple, Generic[T]):
    path: str
    fields: Mapping[str, str]
    done: "asyncio.Future[T]"


class Repeats(Generic[T]):
    """The last forms of one console."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Sent[T]] = OrderedDict()

    async def once(self, whose: str, path: str, fields: Mapping[str, str], act: Callable[[], Awaitable[T]]) -> T:
        """What `act` gives, or gave when `whose` session sent this very form before. Raises what `act` raises."""
        sent = self._last.get(whose)
        if sent is None or (sent.path, sent.fields) != (path, fields) or not fields.get(MARK):
            sent = _Sent(path, fields, asyncio.ensure_future(act()))
            self._last[whose] = sent
            self._last.move_to_end(whose)
            if len(self._last) > SESSIONS_MAX:
                self._last.popitem(last=False)
        try:
            return await asyncio.shield(sent.done)  # whoever sent it first may be gone: it is done all the same
        except PodiumError:
            if self._last.get(whose) is sent:
                del self._last[whose]
            raise
