"""Refusals and quiet traffic in the journal: the first of a kind is written singly, the rest is counted.

Decides: what of it becomes a record: the first refusal per subject and code an hour; a bounded entry a minute with the
counts of everything else. Never: whether to refuse. Limits: `SUBJECTS_MAX` remembered subjects, beyond which refusals
are only counted, so that nobody fills the journal by being refused.
"""

from podium.core.events import Denied
from podium.core.outbox import Outbox
from podium.core.state import State

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
SUBJECTS_MAX = 10_000


def deny(state: State, out: Outbox, event: Denied) -> None:
    """Record or count one refusal."""
    key = (event.subject, event.code)
    last = state.refusals.get(key)
    fresh = last is None and len(state.refusals) < SUBJECTS_MAX
    again = last is not None and state.now_ms - last >= HOUR_MS
    if not (fresh or again):
        state.count(f"refused:{event.code}", state.now_ms)
        return
    state.refusals[key] = state.now_ms
    out.record("refused", event.subject, code=event.code)


def count_due(state: State) -> int:
    """When the counts are written next, in ms; very large while there are none."""
    return state.counted_since_ms + MINUTE_MS if state.counted else state.never


def record_counts(state: State, out: Outbox) -> None:
    """Write the counts if their minute is over."""
    if count_due(state) > state.now_ms:
        return
    counts = " ".join(f"{name}={count}" for name, count in sorted(state.counted.items()))
    out.record("counted", "traffic", counts=counts)
    state.counted.clear()
    state.refusals = {key: at for key, at in state.refusals.items() if state.now_ms - at < HOUR_MS}
