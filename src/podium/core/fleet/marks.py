"""What a person lets a device be: active, cordoned (no new lease) or banned.

Decides: which of the named devices a mark changes, by what they are at this step, and what it does to a running lease,
a nomination and a seat that is kept. Never: which devices are meant (the shell resolves selectors).
A mark names the states it may change: taking a cordon back lifts no ban that somebody laid on the device in between.
Marking a device as it is marked already changes nothing but, with `revoke`, its lease. A ban is lifted by marking the
device active; it then opens a new session.
"""

from msgspec.structs import replace

from podium.core.effects import Answer
from podium.core.events import DevicesMarked
from podium.core.fleet.roster import UNKNOWN
from podium.core.outbox import Outbox
from podium.core.rounds.leases import end_lease
from podium.core.selection.admit import withdraw
from podium.core.state import State

_WORDS = {"active": "device-uncordoned", "cordoned": "device-cordoned", "banned": "device-banned"}


def mark(state: State, out: Outbox, event: DevicesMarked) -> None:
    """Mark every named device that the mark may change; none if one of them is not enrolled (device-unknown).

    The answer tells how many are other than before, in their state or their lease.
    """
    numbers = [state.devices.number(device) for device in event.devices]
    if UNKNOWN in numbers:
        unknown = event.devices[numbers.index(UNKNOWN)]
        out.send(Answer(ticket=event.ticket, word="", code="device-unknown", detail=f"device {unknown}"))
        return
    changed = sum([_mark(state, out, event, number) for number in numbers])
    out.send(Answer(ticket=event.ticket, word="done", changed=changed))


def _mark(state: State, out: Outbox, event: DevicesMarked, number: int) -> bool:
    """Whether device `number` is other than before."""
    device = state.devices[number]
    if device.state not in event.of_states:
        return False
    other = device.state != event.state
    if other:
        kind = "device-unbanned" if device.state == "banned" else _WORDS[event.state]
        told = replace(device, state=event.state, marked_ms=state.now_ms, marked_why=event.why)
        out.record(kind, device.id, told, actor=event.actor, why=event.why)
    if event.state != "active":
        withdraw(state, number)
    ends = (event.revoke or event.state == "banned") and number in state.live_lease
    if ends:
        lease = state.leases[state.live_lease[number]]
        end_lease(out, lease, "revoked", _WORDS[event.state], actor=event.actor)
    return other or ends
