"""Every (lease state, word) pair through `Core.step`: where the lease goes, and what the device hears."""

from collections.abc import Callable

import pytest

from podium.core.effects import Answer
from podium.core.rounds.table import LEASE_STATES
from tests.support.core_drive import Drive
from tests.support.core_made import task


def reporting() -> Drive:
    """A round of goal 2 that has started over four devices; number 0 is the one that the walk is about."""
    drive = Drive()
    drive.begin(task(goal=2, minimum=1, over=2.0, stall=1_000, form_deadline=50_000, report_deadline=200_000), 4)
    drive.check_in(0, 1, 2, 3)
    drive.wait(1)
    assert drive.round().state == "REPORTING"
    return drive


def others_reach_the_goal(drive: Drive) -> bool:
    """The round is closed by the reports of other devices; an accepted update of ours counts towards it."""
    offers = [told.offer for told in drive.check_in(1, 2)]
    for offer in offers:
        if offer is not None and drive.round().state == "REPORTING":
            drive.accept(offer.lease)
            drive.report(offer.lease)
            drive.judge(offer.lease)
    return drive.round().state != "REPORTING"


def unheard(happened: object) -> None:
    """What happened was told to nobody."""


WORDS: dict[str, Callable[[Drive, str], Answer | None]] = {
    "accepted": lambda drive, lease: drive.accept(lease),
    "declined": lambda drive, lease: drive.decline(lease, "private"),
    "incompatible": lambda drive, lease: drive.decline(lease, "lacks x", incompatible=True),
    "failed": lambda drive, lease: drive.fail(lease),
    "progressed": lambda drive, lease: drive.progress(lease, done=1),
    "reported": lambda drive, lease: drive.report(lease),
    "passed": lambda drive, lease: unheard(drive.judge(lease)),
    "refused": lambda drive, lease: unheard(drive.judge(lease, "not-finite")),
    "silent": lambda drive, lease: unheard(drive.wait(30_000)),
    "superseded": lambda drive, lease: unheard(others_reach_the_goal(drive)),
    "revoked": lambda drive, lease: unheard(drive.stop()),
}
WAY: dict[str, tuple[str, ...]] = {
    "OFFERED": (),
    "HELD": ("accepted",),
    "REPORTED": ("accepted", "reported"),
    "ACCEPTED": ("accepted", "reported", "passed"),
    "DECLINED": ("declined",),
    "INCOMPATIBLE": ("accepted", "incompatible"),
    "FAILED": ("accepted", "failed"),
    "LAPSED": ("accepted", "silent"),
    "REFUSED": ("accepted", "reported", "refused"),
    "SUPERSEDED": ("accepted", "superseded"),
    "REVOKED": ("accepted", "revoked"),
}
GOES: dict[str, dict[str, str]] = {
    "OFFERED": {
        "accepted": "HELD",
        "declined": "DECLINED",
        "incompatible": "INCOMPATIBLE",
        "failed": "FAILED",
        "silent": "LAPSED",
        "superseded": "SUPERSEDED",
        "revoked": "REVOKED",
    },
    "HELD": {
        "declined": "DECLINED",
        "incompatible": "INCOMPATIBLE",
        "failed": "FAILED",
        "reported": "REPORTED",
        "silent": "LAPSED",
        "superseded": "SUPERSEDED",
        "revoked": "REVOKED",
    },
    "REPORTED": {"passed": "ACCEPTED", "refused": "REFUSED", "revoked": "REVOKED"},
}
"""Where a word leads; every other pair leaves the lease as it is."""
LIVE_WORDS = {
    ("OFFERED", "accepted"): ("go", ""),
    ("OFFERED", "progressed"): ("", "lease-over"),
    ("OFFERED", "reported"): ("", "lease-over"),
    ("HELD", "accepted"): ("go", ""),
    ("HELD", "progressed"): ("extended", ""),
    ("HELD", "reported"): ("stored", ""),
}
ENDING = {"declined": ("declined", ""), "incompatible": ("declined", ""), "failed": ("failed", "")}
ENDED = {
    "REPORTED": ("stored", ""),
    "ACCEPTED": ("stored", ""),
    "DECLINED": ("declined", ""),
    "INCOMPATIBLE": ("declined", ""),
    "FAILED": ("failed", ""),
    "LAPSED": ("stop", "lease-lapsed"),
    "REFUSED": ("refused", "not-finite"),
    "SUPERSEDED": ("superseded", ""),
    "REVOKED": ("stop", "lease-over"),
}


def lease_in(state: str) -> tuple[Drive, str]:
    """A lease that has come to `state` by words alone."""
    drive = reporting()
    lease = drive.lease(0)
    for word in WAY[state]:
        WORDS[word](drive, lease)
    assert drive.leased(lease).state == state
    return drive, lease


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("state", LEASE_STATES)
def test_every_pair_goes_where_it_should(state: str, word: str) -> None:
    drive, lease = lease_in(state)
    before, records = drive.leased(lease), len(drive.records)
    heard = WORDS[word](drive, lease)
    after = drive.leased(lease)
    assert after.state == GOES.get(state, {}).get(word, state)
    if heard is not None:
        expected = ENDED.get(state) or LIVE_WORDS.get((state, word)) or ENDING[word]
        assert (heard.word, heard.code) == expected
    moved = [record for record in drive.records[records:] if record.subject == lease]
    assert len(moved) == (after.state != state), "a transition is recorded once, and nothing else is"
    assert after.generation == before.generation + (after.state != state)
    if after.state == state:
        assert after == before


def test_a_reload_changes_no_answer() -> None:
    for state, (word, code) in ENDED.items():
        drive, lease = lease_in(state)
        drive.reload()
        heard = drive.report(lease)
        assert (heard.word, heard.code) == (word, code), state


def test_the_walk_knows_every_state() -> None:
    assert set(WAY) == set(LEASE_STATES) == set(ENDED) | {"OFFERED", "HELD"}
