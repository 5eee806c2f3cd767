"""What is kept of runs and rounds, field by field, and the numbers that follow from lost leases and moved bytes."""

import pytest
from msgspec.structs import replace

from podium.core.effects import EndRound
from podium.core.events import ManifestMade
from podium.core.open_round import OpenRound
from podium.core.rounds.rounds import loss_after, moved
from podium.core.rounds.runs import PRIOR_LOSS
from podium.core.rows import PAST_HOPE, RoundRow, RunRow
from tests.support.core_drive import Drive
from tests.support.core_made import BASE, task

BASE_BYTES = 4  # of every version that a drive brings or makes
UPDATE_BYTES = 8  # of every report


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices, at 1 ms."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, "stall": 9_000, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def test_a_submitted_run_and_its_first_round() -> None:
    drive = Drive()
    drive.bring()
    drive.wait(50)
    heard = drive.submit(task(deadline=1_000, form_deadline=300))
    assert (heard.word, heard.code, heard.id) == ("done", "", "r")
    assert drive.run() == RunRow(
        id="r",
        task="sha256:task-of-r",
        state="RUNNING",
        reason="",
        actor="person:administrator",
        started_ms=50,
        deadline_ms=1_050,
        ended_ms=-1,
        base=BASE,
        first=BASE,
        rounds_sealed=0,
        rounds_opened=1,
        abandoned_in_row=0,
        loss_rate=PRIOR_LOSS,
        metrics={},
    )
    assert drive.round() == RoundRow(
        run="r",
        number=1,
        state="FORMING",
        reason="",
        base=BASE,
        manifest="",
        key_id="",
        opened_ms=50,
        form_deadline_ms=350,
        reporting_ms=-1,
        report_deadline_ms=-1,
        ended_ms=-1,
        leases_made=0,
        outcomes={},
        version="",
        metrics={},
        site_metrics={},
    )
    refused = drive.submit(task(), "x", base="sha256:none")
    assert (refused.word, refused.code, refused.id) == ("", "version-unknown", "x")
    for run, word, code in (("r", "done", ""), ("r", "", "run-over"), ("none", "", "run-unknown")):
        told = drive.stop(run)
        assert (told.word, told.code, told.id) == (word, code, run)


def test_a_seat_for_one_is_kept_for_one() -> None:
    drive = Drive()
    drive.begin(task(goal=1, over=1.0), 3)
    drive.check_in(0, 1, 2)
    drive.wait(1)
    assert len(drive.state.open["r", 1].reserved) == 1


def test_an_abandoned_round() -> None:
    drive = reporting(report_deadline=5_000)
    drive.accept(drive.lease(0))
    drive.wait(5_000)
    row = drive.round()
    assert (row.state, row.reason, row.ended_ms) == ("ABANDONED", "below-minimum", drive.now_ms)
    assert drive.sent(EndRound) == [EndRound(run="r", round=1, key_id="k-r.1", key_rounds=(1,))]


def test_a_manifest_for_a_round_that_is_not_there_changes_nothing() -> None:
    drive = reporting()
    records = len(drive.records)
    drive.feed(ManifestMade(at_ms=drive.now_ms, run="r", round=9, manifest="m", key_id="k"))
    drive.feed(ManifestMade(at_ms=drive.now_ms, run="none", round=1, manifest="m", key_id="k"))
    assert len(drive.records) == records


def test_a_manifest_made_before_the_parent_changes_nothing() -> None:
    drive = reporting(rounds=2)
    drive.feed(ManifestMade(at_ms=drive.now_ms, run="r", round=2, manifest="m", key_id="k"))
    assert drive.round(2).manifest == ""


def test_every_loss_counts_and_no_other_end() -> None:
    drive = reporting(8, minimum=1, report_deadline=20_000)
    leases = [told.offer.lease for told in drive.check_in(*range(8)) if told.offer]
    assert len(leases) == 8
    for lease in leases[2:]:
        drive.accept(lease)
    drive.decline(leases[0])
    drive.decline(leases[1], "lacks", incompatible=True)
    drive.fail(leases[2])
    for lease in leases[3:6]:
        drive.report(lease)
    drive.judge(leases[3], "not-finite")
    drive.judge(leases[4])
    drive.judge(leases[5])
    drive.ban("id-d6")
    drive.wait(9_000)
    counts = {state: n for state, n in drive.state.open["r", 1].count.items() if n}
    assert counts == {
        "DECLINED": 1,
        "INCOMPATIBLE": 1,
        "FAILED": 1,
        "REFUSED": 1,
        "ACCEPTED": 2,
        "REVOKED": 1,
        "LAPSED": 1,
    }
    # lost: declined, failed, refused, lapsed; decided: those and the two accepted
    assert loss_after(drive.run(), drive.round(), drive.state.open["r", 1]) == pytest.approx(
        0.7 * PRIOR_LOSS + 0.3 * 4 / 6
    )
    drive.wait(20_000)
    drive.work()
    assert drive.run().loss_rate == pytest.approx(0.7 * PRIOR_LOSS + 0.3 * 4 / 6)


def test_an_abandoned_round_moves_the_loss_rate_unless_the_run_ended() -> None:
    drive = reporting(2, report_deadline=5_000)
    drive.decline(drive.lease(0))
    drive.wait(5_000)
    assert drive.run().loss_rate == pytest.approx(0.7 * PRIOR_LOSS + 0.3)
    assert drive.run().abandoned_in_row == 1
    drive = reporting(2)
    drive.decline(drive.lease(0))
    drive.stop()
    assert (drive.run().loss_rate, drive.run().abandoned_in_row) == (PRIOR_LOSS, 0)


def test_a_minimum_taken_away_by_a_refusal_counts_as_abandoned() -> None:
    drive = reporting(2, report_deadline=5_000, minimum=1)
    lease = drive.trained(0)[0]
    drive.wait(5_000)
    drive.judge(lease, "not-finite")
    assert (drive.round().reason, drive.run().abandoned_in_row) == ("below-minimum", 1)


def test_bytes_are_counted_for_leases_that_were_taken() -> None:
    drive = reporting(6, goal=6, minimum=1, report_deadline=5_000, rounds=2)
    leases = [told.offer.lease for told in drive.check_in(*range(6)) if told.offer]
    drive.decline(leases[0])
    drive.decline(leases[1], "lacks", incompatible=True)
    for lease in leases[2:5]:
        drive.accept(lease)
    drive.report(leases[2])
    drive.report(leases[3])
    assert moved(drive.state, drive.state.open["r", 1]) == (3 * BASE_BYTES, 2 * UPDATE_BYTES)
    drive.wait(5_000)
    drive.work()
    assert (drive.run().rounds_sealed, drive.run().bytes_down, drive.run().bytes_up) == (1, 3 * BASE_BYTES, 16), (
        "an offer that nobody accepted moved nothing"
    )
    drive.check_in(*range(6))
    drive.wait(300)
    (device,) = sorted(drive.state.open["r", 2].reserved)[:1]
    drive.accept(drive.lease(device))
    drive.stop()
    assert (drive.run().bytes_down, drive.run().bytes_up) == (4 * BASE_BYTES, 16)


@pytest.mark.parametrize(("accuracy", "state"), [((0.8, 1.0), "FINISHED"), ((0.79, 1.0), "RUNNING")])
def test_a_target_can_be_reached_at_once(accuracy: tuple[float, float], state: str) -> None:
    drive = reporting(1, rounds=5, target={"metric": "accuracy", "at_least": 0.8})
    drive.trained(0, metrics={"accuracy": accuracy})
    drive.work()
    assert drive.run().state == state


def test_what_was_superseded_is_lost_past_hope_and_otherwise_only_if_nobody_knows() -> None:
    drive = reporting(4, minimum=2)
    run, row, work = replace(drive.run(), loss_rate=0.5), drive.round(), drive.state.open["r", 1]
    leases = [work.leases[drive.lease(number)] for number in range(4)]

    def rate(hope: int, *ends: tuple[str, str]) -> float:
        ended = OpenRound()
        for number, (lease, (state, reason)) in enumerate(zip(leases, ends, strict=False)):
            ended.add(number, replace(lease, state=state, reason=reason))
        return loss_after(run, replace(row, hope_ms=hope), ended)

    accepted, late, cut = ("ACCEPTED", ""), ("SUPERSEDED", PAST_HOPE), ("SUPERSEDED", "round-closed")
    lost = [rate(hope, accepted, accepted, accepted, late) for hope in (-1, 0, 900)]
    # nobody knows: at least as before; known: a quarter
    assert lost == pytest.approx([0.5, 0.7 * 0.5 + 0.3 / 4, 0.7 * 0.5 + 0.3 / 4])
    assert rate(-1, accepted, late, late, late) == pytest.approx(0.7 * 0.5 + 0.3 * 0.75), "it raises the rate"
    spared = [rate(hope, accepted, accepted, cut, cut) for hope in (-1, 0, 900)]
    assert spared == pytest.approx([0.5, 0.35, 0.35]), "who was only slower than the round is not lost"
    assert rate(-1, accepted, accepted) == pytest.approx(0.35), "nobody was superseded: the round is as good as it is"
    assert rate(-1, cut, cut) == 0.5, "nothing was decided"
