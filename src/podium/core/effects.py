"""What a step asks for: records to keep, messages to send, when to wake.

Decides: the shape of the core's answer. Never: how it is made durable or sent (the shell). Sends wait until their
step is durable; a step without records waits for the steps before it.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.rows import AnyRow


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided, and the rows it changed as they now stand.

    `tree`: the journal it belongs to, "plane" or a population. `kind`: past tense, such as "lease-granted".
    `subject`: the id of what it is about. `actor`: who caused it ("plane" when the core did). `why`: small facts.
    """

    at_ms: int
    tree: str
    kind: str
    subject: str
    actor: str
    why: dict[str, str | int] = {}
    rows: tuple[AnyRow, ...] = ()


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything a step sends."""


class Answer(Send, frozen=True, kw_only=True):
    """The answer to one waiting request that is not a check-in.

    `word`: go, extended, stop, stored, superseded, refused, declined, failed, done, or "" for a fault. `code`: the
    problem code of a fault, a stop or a refusal, else "", with what was refused (`detail`) and why. `id`: what was
    made. `changed`: how many devices a mark changed. Windows in ms.
    """

    ticket: int
    word: str
    code: str = ""
    detail: str = ""
    why: str = ""
    id: str = ""
    changed: int = 0
    remaining_ms: int = 0
    window_ok_ms: int = 0
    window_else_ms: int = 0


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as the device sees it; `state` is OFFERED, or HELD/REPORTED when it asks again."""

    lease: str
    state: str
    run: str
    round: int
    manifest: str
    base: str
    remaining_ms: int
    stall_ms: int


class CheckinAnswers(Send, frozen=True, kw_only=True):
    """Answers to a batch of check-ins, in columns; `offers` maps row -> Offer for the few that got one.

    ticket int64; reason int16 (index into core/selection/reasons.py REASONS); window_ok_ms, window_else_ms int64.
    `news` maps row -> code of a refusal the device has not heard of yet. `against`: fact -> rows whose claim of it
    contradicted what the plane measured, and was held to it.
    """

    ticket: NDArray[np.int64]
    reason: NDArray[np.int16]
    window_ok_ms: NDArray[np.int64]
    window_else_ms: NDArray[np.int64]
    offers: dict[int, Offer]
    news: dict[int, str]
    against: dict[str, int] = {}


class PrepareRound(Send, frozen=True, kw_only=True):
    """Make an upload key, sign the manifest, then tell `ManifestMade`. Idempotent by (run, round)."""

    run: str
    round: int
    base: str


class JudgeUpdate(Send, frozen=True, kw_only=True):
    """Open, check and add the stored update of `lease`, then tell `UpdatesJudged`. Idempotent by lease."""

    lease: str


class FinishRound(Send, frozen=True, kw_only=True):
    """Every update is judged: finish the sum over `leases` into a version, then tell `AggregateMade`."""

    run: str
    round: int
    leases: tuple[str, ...]


class EndRound(Send, frozen=True, kw_only=True):
    """The round is over: drop its sums and its sealed updates, and destroy the upload keys that nobody needs now.

    `key_rounds`: the numbers of the rounds whose keys those are, its own and, of a buffered run, older ones, also one
    that is gone already; every upload under them is dropped. `leases`: those of the round whose key lives on, and whose
    uploads are dropped.
    """

    run: str
    round: int
    key_id: str
    key_rounds: tuple[int, ...]
    leases: tuple[str, ...] = ()


class EndLease(Send, frozen=True, kw_only=True):
    """The lease ended without a stored update: drop the chunks of its upload."""

    lease: str


AnySend = Answer | CheckinAnswers | PrepareRound | JudgeUpdate | FinishRound | EndRound | EndLease


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one event. `number` grows by one per step; `wake_ms`: call again by then (-1: no need)."""

    number: int
    at_ms: int
    records: tuple[Record, ...]
    sends: tuple[AnySend, ...]
    wake_ms: int
