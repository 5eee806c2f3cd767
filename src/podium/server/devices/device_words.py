"""Words between the wire and the core: answers and offers as messages, and bounds on what a device tells.

Decides: which numbers and names a device may tell at all. Never: what they lead to.
Limits: `name_chars_max`, `facts_bytes_max`; counts within 2^53-1 (they are signed and kept as JSON integers).
"""

import msgspec

from podium.core.effects import Answer, Offer
from podium.core.fleet.sets import SLOTS
from podium.server.http import Response, answer
from podium.wire.canonical import parse_decimal
from podium.wire.facts import MOMENTARY, QUALITIES, check_fact
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities, CheckIn, LeaseAnswer, OfferMessage
from podium.wire.problems import DeviceFault

HELD_MAX = 64


def checked(said: Answer) -> Answer:
    """`said`, unless it tells a fault: then `DeviceFault` with its code."""
    if said.word == "":
        raise DeviceFault(said.code, what=said.detail, why=said.why)
    return said


def offer_message(offer: Offer) -> OfferMessage:
    """`offer` on the wire; this release has one variant per version, the master itself."""
    return OfferMessage(
        lease=offer.lease,
        state=offer.state,
        manifest=offer.manifest,
        base=offer.base,
        variant=offer.base,
        remaining_ms=int(offer.remaining_ms),
        stall_ms=int(offer.stall_ms),
    )


def lease_answer(said: Answer) -> Response:
    """The core's answer about a lease on the wire; its fault raised."""
    checked(said)
    return answer(
        LeaseAnswer(
            word=said.word,
            code=said.code,
            remaining_ms=int(said.remaining_ms),
            window_ok_ms=said.window_ok_ms,
            window_else_ms=said.window_else_ms,
        )
    )


def check_name(what: str, text: str, chars_max: int) -> None:
    """Raise `DeviceFault(body-malformed)` unless `text` is printable, at most `chars_max` long and no path."""
    if len(text) > chars_max or not text.isprintable() or "/" in text or "\\" in text:
        raise DeviceFault(
            "body-malformed", what=f"the {what} cannot be taken", why=f"printable, <= {chars_max}, no '/'"
        )


def one_line(text: str, chars_max: int) -> str:
    """The first `chars_max` characters of what a device tells people, every control character a space: it is shown."""
    return "".join(char if char.isprintable() else " " for char in text[:chars_max])


def check_telemetry(told: CheckIn) -> None:
    """Raise `DeviceFault` for levels that cannot be (fact-absurd), or for too many versions (body-malformed)."""
    for name in MOMENTARY:
        level = getattr(told, name)
        if level is not None:
            check_fact(name, level)
    if max(len(told.held), len(told.active), len(told.losses)) > HELD_MAX:
        raise DeviceFault("body-malformed", why=f"at most {HELD_MAX} versions and losses are told")


def check_capabilities(told: Capabilities, limits: Limits) -> None:
    """Raise `DeviceFault` for numbers that cannot be (fact-absurd), or for too much of them (body-malformed)."""
    if len(msgspec.json.encode(told)) > limits.facts_bytes_max:
        raise DeviceFault("body-malformed", why=f"capabilities are at most {limits.facts_bytes_max} bytes")
    if len(told.datasets) > SLOTS:
        raise DeviceFault("body-malformed", why=f"a device tells of at most {SLOTS} datasets")
    check_fact("ram_mb", told.ram_mb)
    check_fact("cores", told.cores)
    for count in told.datasets.values():
        check_fact("datasets", count)
    for name in QUALITIES:
        level = getattr(told, name)
        if level is not None:
            check_fact(name, parse_decimal(level))  # what is signed is a decimal
