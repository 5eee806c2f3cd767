"""Words between the wire and the core: answers and offers as messages, and bounds on what a device tells.

Decides: which numbers and names a device may tell at all. Never: what they lead to.
Limits: `name_chars_max`, `facts_bytes_max`; counts within 2^53-1 (they are signed and kept as JSON integers).
"""

import msgspec

from podium.core.effects import Answer, Offer
from podium.core.fleet.sets import SLOTS
from podium.server.http import Response, answer
from podium.wire.canonical import parse_decimal
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities, CheckIn, LeaseAnswer, OfferMessage
from podium.wire.problems import DeviceFault

COUNT_MAX = 2**53 - 1
EXAMPLES_MAX = 2**31 - 1
HELD_MAX = 64
LEVELS: dict[str, tuple[float, float]] = {
    "battery": (0.0, 1.0),
    "ram_free_mb": (0.0, 1e9),
    "disk_free_mb": (0.0, 1e12),
    "thermal_c": (-100.0, 300.0),
    "download_mb_s": (0.0, 1e6),
    "upload_mb_s": (0.0, 1e6),
    "latency_ms": (0.0, 1e7),
    "label_coverage": (0.0, 1.0),
    "missing_rate": (0.0, 1.0),
    "freshness_h": (0.0, 1e6),
}
"""The least and the most that a device may tell of itself: beyond, it is broken or lies."""


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
    """Raise `DeviceFault(body-malformed)` for a level that no device has, or too many versions."""
    _check_levels(told)
    if max(len(told.held), len(told.active), len(told.losses)) > HELD_MAX:
        raise DeviceFault("body-malformed", why=f"at most {HELD_MAX} versions and losses are told")


def check_capabilities(told: Capabilities, limits: Limits) -> None:
    """Raise `DeviceFault(body-malformed)` for more than `facts_bytes_max`, or numbers that cannot be."""
    if len(msgspec.json.encode(told)) > limits.facts_bytes_max:
        raise DeviceFault("body-malformed", why=f"capabilities are at most {limits.facts_bytes_max} bytes")
    if not all(0 <= count <= COUNT_MAX for count in (told.ram_mb, told.cores)):
        raise DeviceFault("body-malformed", why="sizes are within [0, 2^53)")
    if len(told.datasets) > SLOTS:
        raise DeviceFault("body-malformed", why=f"a device tells of at most {SLOTS} datasets")
    if not all(0 <= count <= EXAMPLES_MAX for count in told.datasets.values()):
        raise DeviceFault("body-malformed", why="examples of a dataset are within [0, 2^31)")
    _check_levels(told)


def _check_levels(told: CheckIn | Capabilities) -> None:
    for name, (least, most) in LEVELS.items():
        level = getattr(told, name, None)
        level = parse_decimal(level) if isinstance(level, str) else level  # what is signed is a decimal
        if level is not None and not least <= level <= most:
            raise DeviceFault("body-malformed", why=f"{name} is within [{least:g}, {most:g}]")
