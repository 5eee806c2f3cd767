"""What the watch screen says of a run, and which changes are worth a line."""

import msgspec

from podium.cli.screen import line, line_mark, lost_text, round_now, screen, wait_text
from podium.wire.operator import RoundView, RunView, Wait

WAIT = Wait(
    what="round 7f3a.1 needs devices to start",
    have=1,
    need=3,
    since_ms=4_000,
    left_ms=56_000,
    why={"not connected": 2, "at work": 0},
)
ROUND = RoundView(
    run="7f3a",
    number=13,
    state="REPORTING",
    reason="",
    base="sha256:aa",
    version="",
    goal=800,
    minimum=500,
    leases={"granted": 1300, "training": 800, "reported": 400, "accepted": 390},
    lost={"DECLINED:battery": 44, "DECLINED:metered": 17, "LAPSED": 38},
    left_ms=190_000,
    took_ms=1_000,
    metrics={},
    site_metrics={},
    site_examples={},
    asked=1000,
    loss_rate=0.18,
)
RUN = RunView(
    id="7f3a",
    task="kb-nwp",
    task_digest="sha256:bb",
    kind="train",
    purpose="next-word prediction",
    state="RUNNING",
    reason="",
    rounds=100,
    rounds_sealed=11,
    version_number=41,
    base="sha256:aa",
    first="sha256:cc",
    elapsed_ms=2_470_000,
    left_ms=1,
    round=ROUND,
    waiting=None,
    history={"loss": [2.91, 2.74, 2.63]},
    measured_number=40,
    bytes_down=9_100_000_000,
    bytes_up=1_234,
    retry_of="",
    actor="person:administrator",
    paused_ms=-1,
    frozen=False,
)


def changed(view: RunView = RUN, **fields: object) -> RunView:
    return msgspec.structs.replace(view, **fields)


def test_the_screen_names_run_round_leases_losses_and_metrics() -> None:
    assert screen(RUN) == [
        "kb-nwp  run 7f3a  RUNNING  round 12/100  v41 -> v42   elapsed 41 min 10 s  eta 5 h 33 min",
        " reported [##################------------------]  400/800   reporting, goal 800, minimum 500, "
        "deadline 3 min 10 s",
        " leases   granted 1,300  training 800  reported 400  accepted 390  (asks 1,000 for 800: 18.0% of such "
        "leases are lost)",
        " lost     declined 61 (battery 44, metered 17)  lapsed 38",
        " loss     2.91 2.74 2.63 (measured on v40)",
        " bytes    down 9.1 GB  up 1.2 kB",
    ]


def test_no_metric_runs_off_a_terminals_edge() -> None:
    values = [0.123456] * 40
    shown = screen(changed(history={"accuracy": values, "auc": values, "loss": values}))
    assert [each.split()[0] for each in shown[-4:]] == ["accuracy", "auc", "loss", "bytes"]
    assert max(map(len, shown[-4:])) <= 80


def test_a_run_that_is_over_shows_its_reason_and_no_next_version() -> None:
    head = screen(changed(state="ABANDONED", reason="rounds-abandoned", round=None))[0]
    assert "ABANDONED (rounds-abandoned)  round 11/100  v41   elapsed" in head
    assert "eta" not in head


def test_an_evaluation_makes_no_version() -> None:
    assert "v41   elapsed" in screen(changed(kind="evaluate"))[0]


def test_more_reports_than_the_goal_fill_the_bar_and_no_more() -> None:
    full = screen(changed(round=msgspec.structs.replace(ROUND, leases={"reported": 900})))[1]
    assert full.startswith(f" reported [{'#' * 36}]  900/800")


def test_an_abandoned_round_is_tried_again_under_the_same_number() -> None:
    assert round_now(RUN) == 12
    assert round_now(changed(rounds_sealed=100)) == 100
    assert round_now(changed(state="FINISHED", rounds_sealed=100)) == 100


def test_a_wait_says_have_need_why_since_and_until() -> None:
    told = "round 7f3a.1 needs devices to start: 1 of 3 (2 not connected), for 4 s, gives up in 56 s"
    assert wait_text(WAIT) == told
    assert f" waits    {told}" in screen(changed(waiting=WAIT))
    assert wait_text(msgspec.structs.replace(WAIT, left_ms=-1, why={})).endswith("1 of 3, for 4 s")


def test_a_reason_code_is_told_in_words_and_a_short_wait_not_at_all() -> None:
    short = msgspec.structs.replace(WAIT, why={"dataset": 2, "false: device.cores > 4": 1})
    assert "(2 without the datasets or enough examples, 1 false: device.cores > 4)" in wait_text(short)
    assert not any("waits" in each for each in screen(changed(waiting=msgspec.structs.replace(WAIT, since_ms=300))))


def test_losses_are_grouped_by_state_with_their_reasons() -> None:
    assert lost_text({"REFUSED:norm-bound": 6, "REFUSED:signature": 2, "INCOMPATIBLE": 15}) == (
        "refused 8 (norm-bound 6, signature 2)  incompatible 15"
    )


def test_a_line_holds_the_run_for_a_pipe() -> None:
    assert line(RUN) == (
        "41 min 10 s kb-nwp run 7f3a RUNNING  round 12/100  sealed 11  v41  reported 400/800  loss 2.63  "
        "(measured on v40)  "
        "lost: declined 61 (battery 44, metered 17)  lapsed 38"
    )
    assert line(changed(waiting=WAIT)).endswith("gives up in 56 s")


def test_passing_time_is_no_change_but_sealing_state_and_shortfall_are() -> None:
    later = changed(elapsed_ms=9_999_999, round=msgspec.structs.replace(ROUND, left_ms=5))
    assert line_mark(later) == line_mark(RUN)
    waiting = changed(waiting=WAIT)
    marks = {
        line_mark(view)
        for view in (
            RUN,
            changed(rounds_sealed=12),
            changed(state="STOPPED"),
            waiting,
            changed(waiting=msgspec.structs.replace(WAIT, have=2)),
        )
    }
    assert len(marks) == 5
    assert line_mark(changed(waiting=msgspec.structs.replace(WAIT, since_ms=1_000))) == line_mark(RUN)
    assert line_mark(changed(waiting=msgspec.structs.replace(WAIT, have=3))) == line_mark(RUN)
