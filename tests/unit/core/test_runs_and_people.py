"""Runs and the people who use them: submission, stop, target, evaluation, bans, tokens, roles, refusals counted."""

import pytest

from podium.core.access.roles import CHANGING, READING, permit
from podium.core.effects import EndRound, FinishRound, PrepareRound
from podium.core.events import AggregateFailed, AggregateMade, Denied
from podium.core.refusals import HOUR_MS, MINUTE_MS, SUBJECTS_MAX
from podium.core.rounds.rounds import loss_after
from podium.core.rounds.runs import PRIOR_LOSS
from podium.wire.limits import Limits
from podium.wire.problems import Bug, OperatorFault
from tests.support.core_drive import Drive
from tests.support.core_made import task


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started over `devices` devices."""
    drive = Drive()
    drive.begin(task(**{"goal": devices, "over": 1.0, **terms}), devices)
    drive.check_in(*range(devices))
    drive.wait(1)
    return drive


def one_round(drive: Drive, *devices: int, metrics: dict[str, tuple[float, float]]) -> None:
    """`devices` train in the round that forms next, and it is sealed."""
    drive.check_in(*devices)
    drive.wait(1)
    drive.trained(*devices, metrics=metrics)
    drive.work()


def test_submission_is_checked() -> None:
    drive = Drive(Limits(runs_active_max=2))
    assert drive.submit(task()).code == "version-unknown"
    drive.bring()
    assert drive.submit(task(), "a").word == "done"
    assert drive.submit(task(), "b").word == "done"
    assert drive.submit(task(), "c").code == "run-limit"
    drive.stop("a")
    assert drive.submit(task(), "c").word == "done"


def test_submission_told_again() -> None:
    drive = Drive()
    drive.bring()
    drive.bring("sha256:other")
    drive.submit(task(), "a")
    records = len(drive.records)
    assert drive.submit(task(), "a").word == "done"
    assert drive.submit(task(), "a", digest="sha256:another-task").code == "conflicting-repeat"
    assert drive.submit(task(), "a", base="sha256:other").code == "conflicting-repeat"
    assert len(drive.records) == records


def test_stop() -> None:
    drive = reporting(rounds=2)
    leases = drive.trained(0)
    held = drive.lease(1)
    assert drive.stop(why="enough").word == "done"
    run = drive.run()
    assert (run.state, run.reason, run.ended_ms) == ("STOPPED", "enough", drive.now_ms)
    assert [drive.leased(lease).state for lease in (*leases, held)] == ["REVOKED", "REVOKED"]
    assert drive.round().outcomes == {"REVOKED:run-stopped": 2}
    assert [(row.state, row.reason) for row in (drive.round(1), drive.round(2))] == [("ABANDONED", "run-stopped")] * 2
    assert [end.round for end in drive.sent(EndRound)] == [1, 2]
    assert drive.stop().code == "run-over"
    assert drive.stop("nothing").code == "run-unknown"
    assert drive.run().loss_rate == PRIOR_LOSS, "who was sent away is not lost"
    people = [record for record in drive.records if record.tree == "plane"]
    assert [record.kind for record in people][-1] == "run-stopped"
    assert people[-1].actor == "person:administrator"


def test_a_run_ends_at_its_deadline() -> None:
    drive = reporting(2, deadline=20_000, report_deadline=60_000)
    drive.lease(0)
    drive.wait(20_000)
    assert (drive.run().state, drive.run().reason) == ("TIMED_OUT", "run-deadline")
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "run-timed-out")
    assert drive.leased("r.1.1").state == "REVOKED"


def test_abandoned_rounds_in_a_row_end_the_run() -> None:
    drive = Drive()
    drive.begin(task(goal=2, abandoned_max=3, form_deadline=1_000), 1)
    for number in (1, 2):
        drive.wait(1_000)
        assert (drive.round(number).state, drive.round(number).reason) == ("ABANDONED", "cohort-short")
        assert drive.run().abandoned_in_row == number
        drive.work()
    drive.wait(1_000)
    assert (drive.run().state, drive.run().reason) == ("ABANDONED", "rounds-abandoned")
    assert drive.run().rounds_opened == 3


def test_a_sealed_round_forgives_abandoned_ones() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=2, abandoned_max=2, form_deadline=1_000), 1)
    drive.wait(1_000)
    drive.work()
    assert drive.run().abandoned_in_row == 1
    one_round(drive, 0, metrics={})
    assert (drive.run().abandoned_in_row, drive.run().rounds_sealed) == (0, 1)
    drive.wait(1_000)
    assert (drive.run().state, drive.run().abandoned_in_row) == ("RUNNING", 1)


@pytest.mark.parametrize("reason", ["key-erased", "weight-zero"])
def test_a_round_that_cannot_be_summed_is_done_again(reason: str) -> None:
    drive = reporting(1, rounds=1)
    drive.trained(0)
    drive.judge("r.1.1")
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason=reason))
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", reason)
    assert drive.leased("r.1.1").state == "ACCEPTED", "it was accepted, and went down with its round"
    assert (drive.round(2).state, drive.round(2).base) == ("FORMING", "sha256:base")
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=1, reason=reason))
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="none", round=1, reason=reason))
    assert drive.run().abandoned_in_row == 1


def test_a_key_erased_while_a_round_forms_ahead_leaves_the_present_one() -> None:
    drive = reporting(1, rounds=3)
    assert drive.round(2).state == "FORMING"
    drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=2, reason="key-erased"))
    assert drive.round(1).state == "REPORTING"
    drive.trained(0)
    drive.work()
    assert (drive.round(1).state, drive.round(3).state, drive.round(3).base) == ("SEALED", "FORMING", "sha256:r.1")


def test_the_target_ends_the_run() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=9, target={"metric": "accuracy", "at_least": 0.8}), 1)
    one_round(drive, 0, metrics={"accuracy": (79.0, 100.0)})
    assert drive.run().state == "RUNNING"
    one_round(drive, 0, metrics={"loss": (0.9, 1.0)})
    assert drive.run().state == "RUNNING", "another metric"
    one_round(drive, 0, metrics={"accuracy": (0.0, 0.0)})
    assert drive.run().state == "RUNNING", "over nothing"
    one_round(drive, 0, metrics={"accuracy": (80.0, 100.0)})
    assert (drive.run().state, drive.run().reason) == ("FINISHED", "target-reached")
    assert drive.run().rounds_sealed == 4
    assert not drive.state.open


def test_metrics_are_pooled_over_devices_and_by_site() -> None:
    drive = Drive()
    drive.begin(task(goal=3, over=1.0))
    drive.fleet(2, site="east")
    drive.fleet(1)
    drive.check_in(0, 1, 2)
    drive.wait(1)
    drive.trained(0, metrics={"accuracy": (1.0, 10.0)})
    drive.trained(1, metrics={"accuracy": (8.0, 10.0), "loss": (0.5, 1.0)})
    drive.trained(2, metrics={"accuracy": (3.0, 20.0)})
    drive.work()
    row = drive.round()
    assert row.metrics == {"accuracy": (12.0, 40.0), "loss": (0.5, 1.0)}
    assert row.site_metrics == {"east": {"accuracy": (9.0, 20.0), "loss": (0.5, 1.0)}}
    assert drive.run().metrics == row.metrics
    assert drive.state.versions["sha256:r.1"].metrics == {}, "they are its parent's"


def test_an_evaluation_seals_its_metrics_and_makes_no_version() -> None:
    drive = reporting(2, kind="evaluate")
    first, second = drive.trained(0, 1, metrics={"accuracy": (1.0, 2.0)})
    drive.judge(first)
    drive.judge(second)
    assert (drive.round().state, drive.round().version) == ("SEALED", "")
    assert drive.round().metrics == {"accuracy": (2.0, 4.0)}
    assert not drive.sent(FinishRound)
    assert (drive.run().state, drive.run().base) == ("FINISHED", "sha256:base")
    assert list(drive.state.versions) == ["sha256:base"]
    assert drive.state.devices[0].participated_ms == -1, "an evaluation is no participation in training"
    assert [end.round for end in drive.sent(EndRound)] == [1]


def test_an_evaluation_below_its_minimum_is_abandoned() -> None:
    drive = reporting(2, kind="evaluate", report_deadline=5_000)
    drive.judge(drive.trained(0)[0])
    drive.wait(5_000)
    assert (drive.round().state, drive.round().reason) == ("ABANDONED", "below-minimum")


def test_an_evaluation_with_its_minimum_is_sealed_at_the_deadline() -> None:
    drive = reporting(2, kind="evaluate", report_deadline=5_000, minimum=1)
    drive.judge(drive.trained(0)[0])
    drive.wait(5_000)
    assert (drive.round().state, drive.run().state) == ("SEALED", "FINISHED")


def test_versions_have_parents_numbers_and_a_moving_alias() -> None:
    drive = Drive()
    drive.begin(task(name="digits", goal=1, rounds=3), 1)
    for _ in range(3):
        one_round(drive, 0, metrics={})
    versions = drive.state.versions
    assert [(versions[f"sha256:r.{n}"].number, versions[f"sha256:r.{n}"].parent) for n in (1, 2, 3)] == [
        (1, "sha256:base"),
        (2, "sha256:r.1"),
        (3, "sha256:r.2"),
    ]
    assert versions["sha256:r.2"].contributors == 1
    alias = drive.state.aliases["digits@latest"]
    assert (alias.version, alias.counter, alias.actor) == ("sha256:r.3", 3, "plane")
    prepared = [(send.round, send.base) for send in drive.sent(PrepareRound)]
    assert prepared == [(1, "sha256:base"), (2, "sha256:r.1"), (3, "sha256:r.2")]


def test_known_bytes_stay_the_version_they_are() -> None:
    drive = reporting(1, rounds=2)
    drive.trained(0)
    drive.judge("r.1.1")
    (job,) = drive.sent(FinishRound)
    drive.feed(
        AggregateMade(
            at_ms=drive.now_ms, run="r", round=1, digest="sha256:base", size_bytes=4, statement="", leases=job.leases
        )
    )
    base = drive.state.versions["sha256:base"]
    assert (base.number, base.parent, base.run) == (0, "", "")
    assert drive.round().version == drive.run().base == "sha256:base"
    drive.bring()
    assert drive.kinds().count("version-imported") == 1


def test_a_sum_over_other_leases_is_a_bug() -> None:
    drive = reporting(2)
    for lease in drive.trained(0, 1):
        drive.judge(lease)
    made = AggregateMade(
        at_ms=drive.now_ms, run="r", round=1, digest="d", size_bytes=4, statement="", leases=("r.1.1",)
    )
    with pytest.raises(Bug, match=r"summed over \('r.1.1',\)"):
        drive.core.step(made)


def test_the_loss_rate_follows_what_was_lost() -> None:
    drive = reporting(4, minimum=2, report_deadline=5_000, rounds=2)
    first = drive.trained(0, 1)
    drive.judge(first[0])
    drive.judge(first[1])
    drive.decline(drive.lease(2))
    drive.fail(drive.lease(3))
    assert loss_after(drive.run(), drive.round(), drive.state.open["r", 1]) == pytest.approx(
        0.7 * PRIOR_LOSS + 0.3 * 0.5
    )
    drive.wait(5_000)
    drive.work()
    assert drive.run().loss_rate == pytest.approx(0.22)
    assert drive.round().outcomes == {"ACCEPTED": 2, "DECLINED:battery": 1, "FAILED:plan-raised": 1}


def test_a_round_without_decided_leases_leaves_the_loss_rate() -> None:
    drive = Drive()
    drive.begin(task(goal=2, form_deadline=1_000), 1)
    drive.wait(1_000)
    assert drive.run().loss_rate == PRIOR_LOSS


def test_roles_are_least_privilege() -> None:
    for verb in READING | CHANGING:
        permit("administrator", verb)
    for verb in READING:
        permit("viewer", verb)
    for role, verb in [("viewer", verb) for verb in CHANGING] + [("nobody", "status.read"), ("administrator", "fly")]:
        with pytest.raises(OperatorFault, match="verb-denied"):
            permit(role, verb)


def test_refusals_are_written_once_an_hour_and_counted() -> None:
    drive = Drive()
    for _ in range(3):
        drive.feed(Denied(at_ms=drive.now_ms, subject="someone", code="mac-invalid"))
    drive.feed(Denied(at_ms=drive.now_ms, subject="someone", code="verb-denied"))
    assert drive.kinds() == ["refused", "refused"]
    assert drive.wake_ms == MINUTE_MS
    drive.wait(MINUTE_MS - 1)
    assert drive.kinds()[2:] == []
    drive.wait(1)
    assert drive.records[-1].kind == "counted"
    assert drive.records[-1].why == {"counts": "refused:mac-invalid=2"}
    assert drive.wake_ms == -1
    drive.wait(HOUR_MS - MINUTE_MS - 1)
    drive.feed(Denied(at_ms=drive.now_ms, subject="someone", code="mac-invalid"))
    assert drive.kinds()[3:] == []
    drive.wait(1)
    drive.feed(Denied(at_ms=drive.now_ms, subject="someone", code="mac-invalid"))
    assert drive.kinds()[3:] == ["refused"]


def test_nobody_fills_the_journal_by_being_refused() -> None:
    drive = Drive()
    for number in range(SUBJECTS_MAX + 5):
        drive.core.step(Denied(at_ms=0, subject=f"s{number}", code="mac-invalid"))
    assert len(drive.state.refusals) == SUBJECTS_MAX
    assert drive.state.counted == {"refused:mac-invalid": 5}
    drive.core.step(Denied(at_ms=HOUR_MS, subject="s0", code="mac-invalid"))
    assert len(drive.state.refusals) == SUBJECTS_MAX, "who is known is written again after an hour"


def test_quiet_check_ins_are_counted() -> None:
    drive = Drive()
    drive.fleet(3)
    told = drive.check_in(0, 1, 2)
    assert {each.reason for each in told} == {"no-task"}
    drive.wait(MINUTE_MS)
    assert drive.records[-1].why == {"counts": "check-in-without-offer=3"}
