"""A record as others are told of it: a CloudEvent in JSON, signed as Standard Webhooks says.

Decides: which facts of a record leave, and the bytes that are signed. Never: rows, salts, secrets, or where other
webhooks go.
Sources: CloudEvents 1.0 (JSON event format, structured mode); Standard Webhooks 1.0 (symmetric signatures, v1).
"""

import base64
import datetime
import hmac

import msgspec

from podium.core.records import read_record
from podium.ports.plane import Entry

CONTENT_TYPE = "application/cloudevents+json"
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
_UNTOLD = frozenset({"origin", "url"})


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The record's facts. `number` is the entry's in the journal, so that a reader can ask for its proof."""

    number: int
    tree: str
    actor: str
    why: dict[str, str | int]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, the attributes that a record has."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    data: Data


def event_id(entry: Entry) -> str:
    """What names an entry's event at its receiver: the same at every delivery, so that a repeat is known as one.

    Its leaf tells it from the entry that had its number in a journal of which an older backup was restored.
    """
    return f"{entry.tree}/{entry.number}/{entry.leaf.hex()[:16]}"


def kind_of(entry: Entry) -> str:
    """The kind of an entry's record, "" once it was erased; `StoreFault(store-corrupt)`."""
    return read_record(entry.record).kind if entry.record else ""


def body_of(entry: Entry, plane_id: str) -> bytes:
    """The event of an entry that was not erased, as its bytes; `StoreFault(store-corrupt)`."""
    kept = read_record(entry.record)
    at = datetime.datetime.fromtimestamp(kept.at_ms / 1000, datetime.UTC)
    event = CloudEvent(
        id=event_id(entry),
        source=f"urn:podium:{plane_id}",
        type=f"io.podium.{kept.kind}",
        subject=kept.subject,
        time=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        data=Data(
            number=entry.number,
            tree=entry.tree,
            actor=kept.actor,
            why={name: value for name, value in kept.why.items() if name not in _UNTOLD},
        ),
    )
    return msgspec.json.encode(event)


def signed_headers(secret: bytes, name: str, body: bytes, at_s: int) -> dict[str, str]:
    """The headers that let a receiver verify `body`: HMAC-SHA256 over "<id>.<seconds>.<body>", base64."""
    signed = b"%b.%d.%b" % (name.encode(), at_s, body)
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": name,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{signature}",
    }


def secret_text(secret: bytes) -> str:
    """A secret as its receiver is given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()
