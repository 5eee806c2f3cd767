"""What a round learned, hopes for and is paced by changes with no cut of batches, as test_batch_invariance.py holds
for all else.

Whole rounds are trained one after another, so that durations are known: leases fall out of hope, seats are filled anew,
and rounds end because nothing more can come. Counters show that each was met.
"""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.deadlines import NONE
from podium.core.fleet import learned
from podium.core.pacing import pace
from podium.core.step import Core
from tests.property.test_batch_invariance import DEVICES, LIMITS, Heard, Story, joined, length
from tests.support.core_made import task

MET = ("past hope", "late and live", "no time to fill", "short", "ramp", "abort", "looked at")
STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from((0, 1, 40, 300)), st.sampled_from((0, 1, 300, 900))),
    min_size=30,
    max_size=60,
)


def tell(steps: list[tuple[int, int, int]]) -> Story:
    """One run of rounds of two to four; a step is a crowd of check-ins and some training, or some losses."""
    story = Story()
    story.bring()
    story.fleet(DEVICES)
    terms = {"goal": 4, "minimum": 2, "rounds": 9, "stall": 2_450, "report_deadline": 2_600, "over": 1.5}
    story.submit(
        task(
            **terms,
            ramp={"base": 2, "factor": 2.0, "after": 2},
            abort=[{"kind": "declined", "share": 0.5, "min": 12}],
            abandoned_max=9,
        )
    )
    story.work()
    for kind, gap, wait in steps:
        for device in range(DEVICES):
            story.check_in((device + kind) % DEVICES)
            story.now_ms += gap // DEVICES
        live = [story.state.live_lease[number] for number in sorted(story.state.live_lease)]
        for place, lease in enumerate(live):
            story.accept(lease)
            if kind in (5, 6) and place >= kind - 5:
                story.decline(lease)
            elif kind < 5 and place >= kind % 3:
                story.now_ms += gap // 4
                story.report(lease)
        story.work()
        story.now_ms += wait
    return story


def replay(story: Story, cut: random.Random | None, met: Counter[str]) -> Heard:
    """Feed the story to a core, cut and joined by `cut`; `met` counts."""
    core, heard, told = Core((), step=0, at_ms=0, limits=LIMITS), Heard(), 0
    for event in story.told if cut is None else joined(story.told, cut):
        step = core.step(event)
        told += length(event)
        heard.take(step, told)
        works = core.state.open.values()
        met["late and live"] += any(work.late for work in works)
        met["no time to fill"] += any(work.filled for work in works)
        met["looked at"] += core.state.pace.due_ms != NONE
        for record in step.records:
            met["past hope"] += "hope_ms" in record.why
            met["short"] += record.why.get("reason") == "short"
            met["ramp"] += record.kind == "round-opened" and getattr(record.rows[0], "goal", 0) == 2
            met["abort"] += record.why.get("reason") == "abort:declined"
    return heard


def test_what_is_learned_changes_with_no_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    # what takes hours and many leases elsewhere is learned within the story
    monkeypatch.setattr(learned, "DURATIONS_MIN", 2)
    monkeypatch.setattr(pace, "PACE_MS", 4_000)
    met: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(STEPS, st.integers(0, 2**32))
    def holds(steps: list[tuple[int, int, int]], cut: int) -> None:
        story = tell(steps)
        single, several = replay(story, None, Counter()), replay(story, random.Random(cut), met)
        assert several.records == single.records
        assert several.answers == single.answers
        assert several.sends == single.sends
        assert {told: single.wakes[told] for told in several.wakes} == several.wakes

    holds()
    assert [case for case in MET if not met[case]] == [], met
