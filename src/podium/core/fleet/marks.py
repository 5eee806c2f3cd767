"""What a person lets a device be: active, cordoned (no new lease) or banned.

Decides: what a mark does to the device's running lease. Never: which devices are meant (the shell resolves selectors).
Marking a device as it is marked already changes nothing but, with `revoke`, its lease. A ban is lifted by marking the
device active; it then opens a new session.
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import DevicesMarked
from podium.core.outbox import Outbox
from podium.core.rounds.leases import end_lease
from podium.core.state import State

_WORDS = {"active": "device-uncordoned", "cordoned": "device-cordoned", "banned": "device-banned"}


def mark(state: State, out: Outbox, event: DevicesMarked) -> None:
    """Mark every named device; none if one of them is not enrolled (device-unknown)."""
    numbers = [state.device_numbers.get(device, -1) for device in event.devices]
    if -1 in numbers:
        unknown = event.devices[numbers.index(-1)]
        out.send(Answer(ticket=event.ticket, word="", code="device-unknown", detail=f"device {unknown}"))
        return
    for number in numbers:
        _mark(state, out, event, number)
    out.send(Answer(ticket=event.ticket, word="done"))


def _mark(state: State, out: Outbox, event: DevicesMarked, number: int) -> None:
    device = state.devices[number]
    if device.state != event.state:
        kind = "device-unbanned" if device.state == "banned" else _WORDS[event.state]
        out.record(kind, device.id, replace(device, state=event.state), actor=event.actor, why=event.why)
    if (event.revoke or event.state == "banned") and number in state.live_lease:
        end_lease(out, state.leases[state.live_lease[number]], "revoked", _WORDS[event.state])
