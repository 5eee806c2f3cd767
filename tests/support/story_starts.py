"""Where stories begin: a round that forms, and one that reports."""

from tests.support.core_made import task
from tests.support.core_story import Teller


def forming(devices: int, **terms: object) -> Teller:
    """A run whose first round forms, told from its submission on."""
    teller = Teller()
    teller.bring()
    teller.fleet(devices)
    teller.telling = True
    teller.submit(task(**{"goal": 2, "over": 1.0, "stall": 10_000, "deadline": 600_000, **terms}))
    teller.work()
    return teller


def reporting(devices: int = 2, **terms: object) -> Teller:
    """A run whose first round has started."""
    teller = forming(devices, **terms)
    teller.check_in(*range(devices))
    teller.wait(300)
    return teller
