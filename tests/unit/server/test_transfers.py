"""How fast bytes of a lease passed the door: what is timed, and what an early or late word does to it."""

from podium.core.said import Transfer
from podium.server.devices.transfers import LEASES_KEPT, Transfers

NOTHING = (Transfer(), Transfer())


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def timed() -> tuple[Transfers, Clock]:
    clock = Clock()
    return Transfers(clock), clock


def test_a_download_ends_with_the_word_that_covers_its_bytes() -> None:
    transfers, clock = timed()
    clock.now_ms = 1_400
    transfers.sent("r.1.1", 8_000_000, 1_000)
    transfers.told("r.1.1", 0, 7_999_999)
    assert transfers.of("r.1.1") == NOTHING
    clock.now_ms = 3_000
    transfers.told("r.1.1", 0, 8_000_000)
    clock.now_ms = 9_000
    transfers.told("r.1.1", 0, 9_000_000)  # the same word again is no other measure
    assert transfers.of("r.1.1") == (Transfer(bytes=8_000_000, ms=2_000), Transfer())


def test_a_word_before_the_bytes_were_handed_on_or_after_a_step_times_nothing() -> None:
    transfers, clock = timed()
    transfers.told("r.1.1", 0, 1 << 40)
    transfers.sent("r.1.1", 8_000_000, 1_000)
    assert transfers.of("r.1.1") == NOTHING
    clock.now_ms = 5_000
    transfers.told("r.1.1", 1, 1 << 40)  # it has begun to work: that took time too
    assert transfers.of("r.1.1") == NOTHING


def test_a_download_that_begins_anew_is_timed_anew() -> None:
    transfers, clock = timed()
    transfers.sent("r.1.1", 8_000_000, 1_000)
    clock.now_ms = 20_000
    transfers.sent("r.1.1", 2_000_000, 19_000)  # the rest of it, after a break
    transfers.told("r.1.1", 0, 8_000_000)
    assert transfers.of("r.1.1")[0] == Transfer(bytes=2_000_000, ms=1_000)


def test_chunks_of_an_upload_add_up_without_the_pauses_between() -> None:
    transfers, clock = timed()
    clock.now_ms = 1_250
    transfers.came("r.1.1", 1_000_000, 1_000)
    clock.now_ms = 9_050
    transfers.came("r.1.1", 500_000, 9_000)
    assert transfers.of("r.1.1") == (Transfer(), Transfer(bytes=1_500_000, ms=300))
    assert transfers.of("r.1.2") == NOTHING


def test_the_newest_leases_are_kept() -> None:
    transfers, clock = timed()
    clock.now_ms = 1_001
    for number in range(LEASES_KEPT + 1):
        transfers.came(f"r.1.{number}", 1, 1_000)
    assert transfers.of("r.1.0") == NOTHING
    assert transfers.of("r.1.1")[1] == transfers.of(f"r.1.{LEASES_KEPT}")[1] == Transfer(bytes=1, ms=1)
