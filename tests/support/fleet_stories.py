"""Stories of a fleet whose devices are known by their past, and of one that comes back at once."""

from podium.wire.limits import Limits
from tests.support.core_made import task
from tests.support.core_story import Teller


def learned_round() -> Teller:
    """A run of six devices whose first five rounds took a second each, told from its sixth on."""
    teller = Teller()
    teller.bring()
    teller.fleet(6)
    terms = {"goal": 5, "minimum": 3, "over": 1.0, "rounds": 9, "stall": 20_000, "report_deadline": 60_000}
    teller.submit(task(**terms, deadline=600_000))
    teller.work()
    for _ in range(5):
        teller.check_in(*range(6))
        teller.wait(300)
        offers = [told.offer.lease for told in teller.check_in(*range(6)) if told.offer]
        for lease in offers:
            teller.accept(lease)
        teller.wait(1_000)
        for lease in offers:
            teller.report(lease)
        teller.work()
    teller.telling = True
    teller.check_in(*range(6))
    teller.wait(300)
    return teller


def straggler() -> Teller:
    """One device takes far longer than its class: its seat is filled anew, and its lease is not taken back."""
    teller = learned_round()
    slow, *others = [told.offer.lease for told in teller.check_in(*range(6)) if told.offer]
    for lease in (slow, *others):
        teller.accept(lease)
    teller.wait(1_000)
    for lease in others:
        teller.report(lease)
    teller.work()
    teller.note("it is past hope: one and a half times the p95 of its class")
    teller.wake()
    (spare,) = set(range(6)) - {int(teller.leased(lease).device.removeprefix("id-d")) for lease in (slow, *others)}
    teller.progress(slow, done=1)
    teller.trained(spare)
    teller.work()
    teller.report(slow)
    return teller


def mass_drop_out() -> Teller:
    """Most devices of a round fall silent: it ends when no lease that begins now could report in time."""
    teller = learned_round()
    offers = [told.offer.lease for told in teller.check_in(*range(6)) if told.offer]
    for lease in offers:
        teller.accept(lease)
    teller.wait(1_000)
    for lease in offers[:2]:
        teller.report(lease)
    teller.work()
    for moment in (
        "past hope",
        "and lost",
        "check-ins are counted",
        "its time is not over, but too short for whoever usually takes a second",
    ):
        teller.note(moment)
        teller.wake()
    return teller


def herd() -> Teller:
    """A plane comes back after an outage, and its devices all at once: their windows part them."""
    teller = Teller(Limits(rendezvous_devices_max=4))
    teller.bring()
    teller.fleet(12)
    teller.reload(600_000)
    for device in range(12):
        teller.open(device)
    teller.telling = True
    told = teller.check_in(*range(12))
    teller.note(f"come back in (ms): {' '.join(str(each.window_ms) for each in told)}")
    return teller
