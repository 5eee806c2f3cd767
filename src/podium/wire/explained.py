"""What the operator API says of why something stands where it stands: causes, the funnel, and what to do next.

Decides: field names of the two explanations of /api/v1. Never: what is in them (core/views/explain.py).
"""

import msgspec

from podium.wire.operator import View, Wait


class Cause(View, frozen=True, kw_only=True):
    """One reason why something does not go on: a stable code, how many devices it holds back, and what it means.

    `alone`: of these, those that nothing else holds: without this cause so many more could take part.
    """

    code: str
    devices: int
    text: str
    alone: int = 0


class Left(View, frozen=True, kw_only=True):
    """Devices that got no further than a stage: a cause's code or how their lease stands, and what would change it."""

    code: str
    what: str  # the clause, the reason, or what the cause means
    devices: int
    change: str  # "" if nothing need be done


class Stage(View, frozen=True, kw_only=True):
    """A stage of the funnel: devices that got so far, each once, and what keeps those that got no further."""

    name: str
    means: str
    devices: int
    left: list[Left]


class Explanation(View, frozen=True, kw_only=True):
    """Why a run or a device stands where it stands: the binding cause first, then the others, and what to do next."""

    kind: str  # run | device
    subject: str
    state: str
    cause: str  # the binding cause's code: see docs/reference/causes.md; "" when nothing holds it
    what: str
    causes: list[Cause]
    next: list[str]
    waiting: Wait | None
    funnel: list[Stage] = msgspec.field(default_factory=list)  # of the round `funnel_of`: registered to accepted
    funnel_of: str = ""  # RUN.NUMBER; "" when no round is open
    shapes: dict[str, int] = msgspec.field(default_factory=dict)  # session shape -> leases of its newest rounds
